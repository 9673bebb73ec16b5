"""Who asks, and what this caller may do for which MSP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.errors import Refusal
from gateway.people.permissions import INSTALLATION, PERMISSIONS, Role, Scope

# How long it is believed without the password that whoever sits at an open session is still the user.
PROVEN_LASTS = timedelta(minutes=15)


@dataclass(frozen=True)
class Caller:
    """Who asks; name is recorded as the actor of whatever is changed.

    everything: the installation's own operator, who holds its token. roles: of a user, by MSP. key_msp and scopes: of an API key.
    session: the id of a user's session. proven_at: when its user last gave the password, or signed in at the provider
    (by_single_sign_on). must_change: the user must choose a
    password before anything else."""

    name: str
    everything: bool = False
    user_id: str = ""
    session: str = ""
    proven_at: datetime | None = None
    by_single_sign_on: bool = False
    must_change: bool = False
    roles: Mapping[str, Role] = field(default_factory=dict)
    key_msp: str = ""
    scopes: frozenset[Scope] = frozenset()

    @property
    def is_user(self) -> bool:
        """Whether a person has signed in."""
        return bool(self.user_id)

    @property
    def proven_until(self) -> datetime | None:
        """Until when it may do what needs the password again; None: it is not asked for one, being no user."""
        return self.proven_at + PROVEN_LASTS if self.proven_at else None

    def refuse_unproven(self, now: datetime) -> None:
        """Refusal PASSWORD_NEEDED when a user gave the password too long ago."""
        if self.proven_until is None or now < self.proven_until:
            return
        if self.by_single_sign_on:
            said = "This needs you to sign in at your provider once more: you did so more than 15 minutes ago."
            raise Refusal("PASSWORD_NEEDED", said, "Open signInOptions.oidc.proveUrl, then send this again.")
        said = "This needs your password once more: you gave it more than 15 minutes ago."
        raise Refusal("PASSWORD_NEEDED", said, "Send confirmPassword, then this again.")

    def knows(self, msp_id: str) -> bool:
        """Whether the MSP exists for this caller; of others not even that is told."""
        return self.everything or msp_id in self.roles or (bool(self.key_msp) and msp_id == self.key_msp)

    def refuse(self, wanted: str, msp_id: str) -> None:
        """wanted: a field of a root type, such as Query.pulse. Refusal NO_SUCH_MSP or FORBIDDEN when it may not be had."""
        if self.everything:
            return
        if wanted in INSTALLATION:
            raise Refusal("FORBIDDEN", "This belongs to the installation, not to an MSP.", "Ask who runs it.")
        needs = PERMISSIONS[wanted]
        if not self.knows(msp_id):
            raise no_such_msp(msp_id)
        if self.key_msp:
            if needs.scope not in self.scopes:
                what = f"the scope {needs.scope}" if needs.scope else "a user: API keys may not do it"
                raise Refusal("FORBIDDEN", f"This needs {what}.", "Use a key that has it, or sign in.")
        elif self.roles[msp_id] < needs.role:
            said = f"This needs the role {needs.role.name.lower()}; yours is {self.roles[msp_id].name.lower()}."
            raise Refusal("FORBIDDEN", said, "Ask an admin of the MSP to do it, or for the role.")


NOBODY = Caller("nobody")
OPERATOR = Caller("operator", everything=True)


def no_such_msp(msp_id: str) -> Refusal:
    """The same for an MSP that does not exist and for one that is not the caller's."""
    return Refusal("NO_SUCH_MSP", f"There is no MSP {msp_id!r}.", "Choose one of yours.")
