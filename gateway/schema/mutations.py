"""What a person wishes -> RPC to the service that decides it, or work in the outbox; answers row by row."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import graphene
from graphql import GraphQLResolveInfo
from sqlalchemy import text

from gateway import operations
from gateway.errors import Refusal
from gateway.schema.context import Context
from gateway.schema.outcomes import MSP, OPERATION, Outcome, checked, outcome, texts
from plumbing import outbox
from plumbing.row_security import of_msp


class AdjustmentMutations:
    """What can be changed about adjustments and polls."""

    poll_now = graphene.Field(
        graphene.NonNull(Outcome),
        connection_id=graphene.String(description="One marketplace connection; by default all of the MSP's."),
        description="Poll ODIN now, within the call budget.",
        **MSP,
        **OPERATION,
    )
    retry_adjustments = graphene.Field(
        graphene.NonNull(Outcome),
        request_ids=texts("The requests, at most 200."),
        description="Try adjustments that failed again now. Units are read first: only what is missing is posted.",
        **MSP,
        **OPERATION,
    )
    release_adjustments = graphene.Field(
        graphene.NonNull(Outcome),
        request_ids=texts("The requests, at most 200."),
        description="Let parked adjustments out, whatever we posted before. What the brake holds is approved instead.",
        **MSP,
        **OPERATION,
    )

    @staticmethod
    def resolve_retry_adjustments(
        _root: object, info: GraphQLResolveInfo, msp_id: str, request_ids: list[str], operation_id: str
    ) -> dict[str, Any]:
        """psa_writer decides each row; doing it twice is doing it once, since units are read first."""
        _, context = checked(info, msp_id, operation_id, len(request_ids))
        return answered(context, "psa_writer", "retry", msp_id, operation_id, len(request_ids), request_ids=request_ids)

    @staticmethod
    def resolve_release_adjustments(
        _root: object, info: GraphQLResolveInfo, msp_id: str, request_ids: list[str], operation_id: str
    ) -> dict[str, Any]:
        """psa_writer decides each row."""
        _, context = checked(info, msp_id, operation_id, len(request_ids))
        return answered(
            context, "psa_writer", "release", msp_id, operation_id, len(request_ids), request_ids=request_ids
        )

    @staticmethod
    def resolve_poll_now(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str, connection_id: str | None = None
    ) -> dict[str, Any]:
        """Work for any poller, put once for each operation and connection."""
        known, context = checked(info, msp_id, operation_id, 1)
        with of_msp(context.engine, known).begin() as connection:
            rows = connection.execute(
                text("SELECT connection_id FROM setup.connections WHERE msp_id = :msp_id AND kind = 'odin' ORDER BY 1"),
                {"msp_id": known},
            )
            chosen = [name for name in rows.scalars() if connection_id in (None, name)]
            if not chosen:
                raise Refusal(
                    "NO_SUCH_CONNECTION",
                    "There is no such marketplace connection.",
                    "Make it with `trueup connection set`.",
                )
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 7428))"), {"key": f"{msp_id}/{operation_id}"}
            )
            for name in chosen:
                poll_id = uuid5(NAMESPACE_URL, f"trueup:{msp_id}/{name}/{operation_id}").hex
                put = connection.scalar(
                    text(
                        "SELECT true FROM queue.outbox WHERE queue = 'poller.polls' AND body ->> 'poll_id' = :poll_id"
                    ),
                    {"poll_id": poll_id},
                )
                if not put:
                    body = {"msp_id": msp_id, "connection_id": name, "poll_id": poll_id, "reason": "asked"}
                    outbox.put(
                        connection,
                        "poller.polls",
                        [body],
                        correlation_id=context.correlation_id,
                        put_at=context.clock.now(),
                    )
        return outcome(operation_id, [{"id": name, "ok": True} for name in chosen])


def asked(
    info: GraphQLResolveInfo, service: str, method: str, msp_id: str, operation_id: str, rows: int, **given: Any
) -> dict[str, Any]:
    """What the service decides of up to MOST_ROWS rows, once for each operation. Refusal BAD_REQUEST, NO_SUCH_MSP."""
    _, context = checked(info, msp_id, operation_id, rows)
    return answered(context, service, method, msp_id, operation_id, rows, operation_id=operation_id, **given)


def answered(
    context: Context,
    service: str,
    method: str,
    msp_id: str,
    operation: str,
    rows: int,
    besides: Sequence[Mapping[str, Any]] = (),
    **given: Any,
) -> dict[str, Any]:
    """What the service decides of the rows; how far it is can be asked meanwhile. besides: results that are known already."""
    with operations.begun(context.engine, context.clock, msp_id, operation, rows + len(besides)) as ended:
        answer = context.ask(service, method, msp_id=msp_id, actor=context.caller.name, **given)
        ended([*answer["results"], *besides])
    return outcome(operation, answer["results"])
