"""(a field of the root types) -> the role a user needs for it, and the scope an API key needs. One table says it all.

A field that is not in the table cannot be served: the schema is not built then, and a test compares the two.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Role(IntEnum):
    """What a user is for an MSP; each may do whatever those below it may."""

    VIEWER = 1
    BOOKKEEPER = 2
    OPERATOR = 3
    APPROVER = 4
    ADMIN = 5


class Scope(StrEnum):
    """What an API key may be used for."""

    READ = "read"
    VIEWS = "views"
    CLOSE = "close"
    OPERATE = "operate"
    APPROVE = "approve"


@dataclass(frozen=True)
class Needs:
    """role: of the MSP that the field's argument mspId names. scope None: not for API keys. password: a user must have given it
    in the last 15 minutes."""

    role: Role
    scope: Scope | None
    password: bool = False


READS = Needs(Role.VIEWER, Scope.READ)
_VIEWS = Needs(Role.VIEWER, Scope.VIEWS)
_CLOSES = Needs(Role.BOOKKEEPER, Scope.CLOSE)
_OPERATES = Needs(Role.OPERATOR, Scope.OPERATE)
_APPROVES = Needs(Role.APPROVER, Scope.APPROVE)
_ADMINISTERS = Needs(Role.ADMIN, None)
_OPENS_DOORS = Needs(Role.ADMIN, None, password=True)

#: Whoever is not signed in may ask these; they name no MSP.
OPEN = frozenset(
    {
        "Query.signInOptions",
        "Mutation.signIn",
        "Mutation.signInWithCode",
        "Mutation.requestPasswordReset",
        "Mutation.resetPassword",
    }
)
#: Whoever is signed in as a user may ask these of itself, also while the password must be changed; they name no MSP.
OWN = frozenset({"Query.me", "Mutation.signOut", "Mutation.changePassword"})
#: The same, but not while the password must be changed.
OWN_LATER = frozenset(
    {
        "Query.signIns",
        "Mutation.signOutEverywhere",
        "Mutation.endSignIn",
        "Mutation.confirmPassword",
        "Mutation.saveProfile",
        "Mutation.switchOffCodes",
    }
)
#: The same, but only when the password was given in the last 15 minutes.
OWN_PROVEN = frozenset({"Mutation.beginCodes", "Mutation.switchOnCodes"})

PERMISSIONS: dict[str, Needs] = {
    **dict.fromkeys(
        (
            "Query.pulse",
            "Query.dashboard",
            "Query.find",
            "Query.apiBudget",
            "Query.closeChecklist",
            "Query.unreadNotifications",
            "Query.explainUnits",
            "Query.resourceHistory",
            "Query.payload",
            "Query.psaLine",
            "Query.subscriptions",
            "Query.linked",
            "Query.unlinked",
            "Query.companies",
            "Query.relationCandidates",
            "Query.companySubscriptions",
            "Query.excluded",
            "Query.testUnitRule",
            "Query.adjustments",
            "Query.requests",
            "Query.failures",
            "Query.heldAdjustments",
            "Query.shadow",
            "Query.relations",
            "Query.questions",
            "Query.question",
            "Query.psaCustomers",
            "Query.psaAgreements",
            "Query.psaProducts",
            "Query.counts",
            "Query.days",
            "Query.ledger",
            "Query.drift",
            "Query.activities",
            "Query.apiCalls",
            "Query.closeActs",
            "Query.notifications",
            "Query.policies",
            "Query.policyVersions",
            "Query.effectivePolicy",
            "Subscription.pulseChanged",
            "Subscription.reportChanged",
            "Subscription.operationProgress",
            "Subscription.notificationAdded",
        ),
        READS,
    ),
    "Query.savedViews": _VIEWS,
    "Mutation.saveView": _VIEWS,
    "Mutation.deleteView": _VIEWS,
    "Mutation.setDefaultView": _VIEWS,
    "Mutation.markNotificationsRead": _VIEWS,
    "Mutation.acceptCheck": _CLOSES,
    "Mutation.signOffClose": _CLOSES,
    "Mutation.reopenClose": _CLOSES,
    "Mutation.markInvoiced": _CLOSES,
    "Query.relationDrafts": _OPERATES,
    "Mutation.saveRelationDrafts": _OPERATES,
    "Query.previewRelations": _OPERATES,
    "Query.previewClear": _OPERATES,
    "Query.previewUndo": _OPERATES,
    "Query.previewDrift": _OPERATES,
    "Mutation.rereadUnits": _OPERATES,
    "Mutation.resolveDrift": _OPERATES,
    "Mutation.setRelations": _OPERATES,
    "Mutation.clearRelations": _OPERATES,
    "Mutation.answerQuestion": _OPERATES,
    "Mutation.saveRelationSettings": _OPERATES,
    "Mutation.freezeRelations": _OPERATES,
    "Mutation.unfreezeRelations": _OPERATES,
    "Mutation.excludeResources": _OPERATES,
    "Mutation.includeResources": _OPERATES,
    "Mutation.pollNow": _OPERATES,
    "Mutation.pausePosting": _OPERATES,
    "Mutation.resumePosting": _OPERATES,
    "Mutation.retryAdjustments": _OPERATES,
    "Mutation.releaseAdjustments": _APPROVES,
    "Mutation.approveAdjustments": _APPROVES,
    "Mutation.refuseAdjustments": _APPROVES,
    "Mutation.moveToNextPeriod": _APPROVES,
    "Mutation.dropAdjustments": _APPROVES,
    "Query.notificationRules": _ADMINISTERS,
    "Query.webhookDeliveries": _ADMINISTERS,
    "Mutation.saveNotificationRule": _ADMINISTERS,
    "Mutation.removeNotificationRule": _ADMINISTERS,
    "Mutation.testNotificationRule": _ADMINISTERS,
    "Mutation.resendDelivery": _ADMINISTERS,
    "Query.connections": _ADMINISTERS,
    "Query.connectionHistory": _ADMINISTERS,
    "Mutation.saveConnection": _OPENS_DOORS,
    "Mutation.restoreConnection": _ADMINISTERS,
    "Mutation.testConnection": _ADMINISTERS,
    "Query.previewPolicies": _ADMINISTERS,
    # With the password, when adjustments would go out by themselves: deciding.py asks for it then.
    "Mutation.savePolicies": _ADMINISTERS,
    "Mutation.restorePolicies": _ADMINISTERS,
    "Query.users": _ADMINISTERS,
    "Query.apiKeys": _ADMINISTERS,
    "Mutation.inviteUser": _OPENS_DOORS,
    "Mutation.setRole": _OPENS_DOORS,
    "Mutation.disableUser": _OPENS_DOORS,
    "Mutation.sendResetLink": _OPENS_DOORS,
    "Mutation.resetCodes": _OPENS_DOORS,
    "Mutation.createApiKey": _OPENS_DOORS,
    "Mutation.revokeApiKey": _OPENS_DOORS,
}
#: What belongs to the installation and to no MSP: its own operator alone.
INSTALLATION = frozenset({"Query.deadLetters"})


def needs_password(wanted: str) -> bool:
    """Whether a user must have given its password in the last 15 minutes to be answered this field of a root type."""
    return wanted in OWN_PROVEN or (wanted in PERMISSIONS and PERMISSIONS[wanted].password)
