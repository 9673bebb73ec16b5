"""The billing tree -> GraphQL: a company's branch with suggestions and their evidence, and a person's drafts of relations.

The levels above and beside it are reports: companies, relationCandidates, psaCustomers, psaAgreements and psaProducts.
"""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway import drafts
from gateway.errors import Refusal
from gateway.schema.context import Context
from gateway.schema.making import made_type, many, value_of
from gateway.schema.outcomes import MSP, OPERATION, Outcome, checked, outcome
from gateway.schema.reports import node_of
from gateway.schema.scalars import DateTime, Decimal
from services.reporting.queries import company_branch

_LEVELS = {
    "company": "A company and its PSA customer.",
    "subscription": "A subscription and its PSA agreement.",
    "resource": "A resource and its PSA product.",
}
DraftLevel = graphene.Enum(
    "DraftLevel",
    [(level.upper(), level) for level in _LEVELS],
    description=lambda value: _LEVELS[value_of(value)] if value else "What a draft ties.",
)
Evidence = made_type(
    "Evidence",
    "One thing that speaks for a suggestion or against it.",
    {
        "kind": graphene.String(required=True, description="For programs, such as equal_words or other_number."),
        "text": graphene.String(required=True, description="For people."),
        "weight": Decimal(required=True, description="Above zero it speaks for it, below against it; 0: good to know."),
    },
)


def _suggestion(name: str, *levels: str) -> Any:
    fields: dict[str, Any] = {}
    for level in levels:
        fields[f"psa_{level}_id"] = graphene.String(required=True, description=f"The PSA {level}.")
        fields[f"psa_{level}_name"] = graphene.String(required=True, description="What it is called.")
    weighed = {
        "score": Decimal(required=True, description="How likely it is right, 0 to 1: strong from 0.9, fair from 0.7."),
        "evidence": graphene.Field(many(Evidence), description="Why; the weights add up to the score."),
    }
    return made_type(name, "What is suggested. Nothing is ever linked by itself.", fields | weighed)


CustomerSuggestion = _suggestion("CustomerSuggestion", "customer")
AgreementSuggestion = _suggestion("AgreementSuggestion", "agreement")
ProductSuggestion = _suggestion("ProductSuggestion", "customer", "agreement", "product")
BranchResource = made_type(
    "BranchResource",
    "A resource in the billing tree.",
    {
        "candidate": graphene.Field(node_of("relation_candidates"), required=True, description="Its row."),
        "suggestion": graphene.Field(
            ProductSuggestion, description="The product that is suggested, with the evidence."
        ),
    },
)
BranchSubscription = made_type(
    "BranchSubscription",
    "A subscription in the billing tree.",
    {
        "subscription_id": graphene.String(required=True, description="Its id in ODIN."),
        "subscription_name": graphene.String(required=True, description="What it is called."),
        "linked": graphene.Int(required=True, description="How many of its resources are linked."),
        "unlinked": graphene.Int(required=True, description="How many could be linked and are not."),
        "psa_agreement_id": graphene.String(description="The agreement that it is linked to."),
        "psa_agreement_name": graphene.String(description="What that is called."),
        "suggestion": graphene.Field(
            AgreementSuggestion, description="The agreement that is suggested; null when linked."
        ),
        "resources": graphene.Field(many(BranchResource), description="Its active resources, by name."),
    },
)
CompanyBranch = made_type(
    "CompanyBranch",
    "A company's branch of the billing tree.",
    {
        "suggestion": graphene.Field(CustomerSuggestion, description="The PSA customer suggested; null when linked."),
        "whole": graphene.Boolean(
            required=True,
            description="False: there are more than 1,000 resources; read relationCandidates for the rest.",
        ),
        "subscriptions": graphene.Field(many(BranchSubscription), description="Its subscriptions, by name."),
    },
)
RelationDraft = made_type(
    "RelationDraft",
    "What you have chosen to link and not yet set. Nothing is posted for it.",
    {
        "psa_connection_id": graphene.String(required=True, description="The PSA connection."),
        "level": graphene.Field(DraftLevel, required=True, description="What it ties."),
        "connection_id": graphene.String(required=True, description="The marketplace connection."),
        "odin_id": graphene.String(
            required=True, description="The company's or subscription's id, or the resource key."
        ),
        "psa_id": graphene.String(required=True, description="The PSA customer, agreement or product chosen."),
        "saved_at": DateTime(required=True, description="When you chose it."),
    },
)


class RelationDraftWish(graphene.InputObjectType):
    """A choice to keep, or to take back."""

    psa_connection_id = graphene.String(required=True, description="The PSA connection.")
    level = graphene.Field(DraftLevel, required=True, description="What it ties.")
    connection_id = graphene.String(required=True, description="The marketplace connection.")
    odin_id = graphene.String(required=True, description="The company's or subscription's id, or the resource key.")
    psa_id = graphene.String(description="The PSA customer, agreement or product; null takes the choice back.")


def _branch(_root: object, info: GraphQLResolveInfo, msp_id: str, **which: str) -> dict[str, Any]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        branch = company_branch(connection, MspId(msp_id), **which)
    if not branch["subscriptions"]:
        raise _NO_COMPANY
    for subscription in branch["subscriptions"]:
        subscription["resources"] = [
            {"candidate": row, "suggestion": row["suggestion"]} for row in subscription["resources"]
        ]
    return branch


_NO_COMPANY = Refusal(
    "NO_SUCH_COMPANY", "This company has nothing active in this context.", "Look it up in the report companies."
)


def _drafts(
    _root: object, info: GraphQLResolveInfo, msp_id: str, psa_connection_id: str | None = None
) -> list[dict[str, Any]]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        return drafts.drafts(connection, msp_id, context.caller.name, psa_connection_id)


def _named(says: str) -> Any:
    return graphene.String(required=True, description=says)


def billing_fields() -> dict[str, tuple[Any, Any]]:
    """The fields of the root query, each with its resolver."""
    branch = graphene.Field(
        graphene.NonNull(CompanyBranch),
        psa_connection_id=_named("The PSA connection."),
        connection_id=_named("The marketplace connection."),
        company_id=_named("The company."),
        description="A company's subscriptions and resources with their relations and what is suggested, and why.",
        **MSP,
    )
    kept = graphene.Field(
        many(RelationDraft),
        psa_connection_id=graphene.String(description="Of this PSA connection; by default of all."),
        description="Your own drafts, the newest last; those for resources that are linked by now are left out.",
        **MSP,
    )
    return {"company_subscriptions": (branch, _branch), "relation_drafts": (kept, _drafts)}


class BillingMutations:
    """What a person keeps on the way to relations."""

    save_relation_drafts = graphene.Field(
        graphene.NonNull(Outcome),
        drafts=graphene.Argument(
            graphene.NonNull(graphene.List(graphene.NonNull(RelationDraftWish))), description="At most 200."
        ),
        description="Keep choices for yourself, also beyond signing out. Nothing is linked and nothing is posted.",
        **MSP,
        **OPERATION,
    )

    @staticmethod
    def resolve_save_relation_drafts(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str, **given: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Saving twice is saving once."""
        wanted = [
            drafts.Draft(
                each["psa_connection_id"],
                value_of(each["level"]),
                each["connection_id"],
                each["odin_id"],
                each.get("psa_id"),
            )
            for each in given["drafts"]
        ]
        known, context = checked(info, msp_id, operation_id, len(wanted))
        return outcome(operation_id, drafts.save(context.engine, context.clock, known, context.caller.name, wanted))
