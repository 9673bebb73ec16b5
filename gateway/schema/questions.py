"""question, answerQuestion -> what could continue an ended subscription or agreement, and a person's answer to it."""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.schema.context import Context
from gateway.schema.making import made_type, many
from gateway.schema.outcomes import MSP, OPERATION, Outcome, checked, outcome
from services.reporting.queries import question_of

LONGEST_REASON = 1_000
Candidate = made_type(
    "QuestionCandidate",
    "What could continue it.",
    {
        "id": graphene.String(required=True, description="The subscription or agreement: what answerQuestion takes."),
        "name": graphene.String(required=True, description="Its name."),
        "evidence": graphene.Field(many(graphene.String), description="What speaks for and against it."),
    },
)
AskedQuestion = made_type(
    "AskedQuestion",
    "What became of a subscription or an agreement that ended, with all that could continue it.",
    {
        "question_id": graphene.String(required=True, description="Which question."),
        "kind": graphene.String(required=True, description="renewal or agreement."),
        "subject_name": graphene.String(required=True, description="The subscription or agreement that ended."),
        "customer_name": graphene.String(required=True, description="Whose it was."),
        "state": graphene.String(required=True, description="open or settled."),
        "candidates": graphene.Field(many(Candidate), description="What could continue it, the likeliest first."),
    },
)


def question_field() -> tuple[Any, Any]:
    """The field of the root query, and its resolver."""
    field = graphene.Field(
        AskedQuestion,
        question_id=graphene.String(required=True, description="As the report `questions` names it."),
        description="One question with its candidates. Null when there is no such question.",
        **MSP,
    )
    return field, _question


def _question(_root: object, info: GraphQLResolveInfo, msp_id: str, question_id: str) -> dict[str, Any] | None:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        return question_of(connection, MspId(msp_id), question_id)


class QuestionMutations:
    """What a person answers."""

    answer_question = graphene.Field(
        graphene.NonNull(Outcome),
        question_id=graphene.String(required=True, description="Which question."),
        candidate_id=graphene.String(
            description="What continues it: of a renewal, any living subscription of the company. Left out: nothing does. "
            "Then the resources of a subscription are taken for gone, and relations on an agreement stay there."
        ),
        reason=graphene.String(required=True, description="Why, for the record. At most 1,000 characters."),
        description="Say what became of a subscription or an agreement that ended. Relations follow to what continues it.",
        **MSP,
        **OPERATION,
    )

    @staticmethod
    def resolve_answer_question(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        operation_id: str,
        question_id: str,
        reason: str,
        candidate_id: str | None = None,
    ) -> dict[str, Any]:
        """poller decides about subscriptions, mapping about agreements; the same answer again changes nothing."""
        _, context = checked(info, msp_id, operation_id, 1)
        said = reason.strip()
        if not 1 <= len(said) <= LONGEST_REASON:
            raise Refusal("BAD_REASON", f"A reason has 1 to {LONGEST_REASON} characters.", "Say why in a sentence.")
        with context.reading(msp_id) as connection:
            asked = question_of(connection, MspId(msp_id), question_id)
        if asked is None:
            raise Refusal("NO_SUCH_QUESTION", "There is no such question.", "Load the questions again.")
        given = {"msp_id": msp_id, "reason": said, "actor": context.caller.name}
        if asked["kind"] == "renewal":
            subject = {"connection_id": asked["connection_id"], "subscription_id": asked["subject_id"]}
            answer = context.ask("poller", "answer_renewal", continued_by=candidate_id, **subject, **given)
        else:
            subject = {"psa_connection_id": asked["connection_id"], "psa_agreement_id": asked["subject_id"]}
            given["operation_id"] = operation_id
            answer = context.ask("mapping", "answer_move", moved_to=candidate_id, **subject, **given)
        return outcome(operation_id, [{"id": question_id, "ok": not answer["refusal"], "refusal": answer["refusal"]}])
