"""Why a number is what it is -> GraphQL: explanations, histories, raw payloads and the lines of the PSA, as of any position."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import BadKey, ConnectionId, MspId, PsaProductId, PsaProductKey, ResourceKey
from domain.money import Money as Amount
from gateway.errors import Refusal
from gateway.schema.as_of import as_of_argument, position_of
from gateway.schema.context import Context
from gateway.schema.making import many
from gateway.schema.scalars import Date, DateTime, Decimal, Money, Position
from services.reporting.queries import BadQuestion, Lineage

T = TypeVar("T")


class Step(graphene.ObjectType):
    """One step from a line of the PSA back to what ODIN said. Without an event it is a remark."""

    kind = graphene.String(required=True, description="What kind of step it is, such as posted or count_changed.")
    text = graphene.String(required=True, description="The step in a sentence, with its moment in the MSP's time zone.")
    at = DateTime(description="When it was so.")
    by = graphene.String(description="The person, key or service that did it.")
    event_id = graphene.String(description="The id of the event that tells it.")
    position = Position(description="The event's place in the MSP's log.")
    payload_id = graphene.String(description="For payload: the answer of ODIN behind it; null when none is kept.")


class Explanation(graphene.ObjectType):
    """Why a product has the units it has."""

    units = graphene.Int(description="The PSA's units as last read; null when they are not known.")
    count = Decimal(description="What ODIN says, summed over all that feeds the product; null when it is not known.")
    equal = graphene.Boolean(description="Whether both agree; null when one of them is not known.")
    steps = graphene.Field(many(Step), description="From the PSA's line back to ODIN.")


class Happened(graphene.ObjectType):
    """One thing that happened to a resource, or to the product that it fed then."""

    at = DateTime(required=True, description="When it was so.")
    kind = graphene.String(required=True, description="What kind of thing, such as posted or count_changed.")
    text = graphene.String(required=True, description="It in a sentence, with its moment in the MSP's time zone.")
    count_before = Decimal(description="ODIN's count before; null when it was not known or is not spoken of.")
    count_after = Decimal(description="ODIN's count from then on; null likewise.")
    units_before = graphene.Int(description="The PSA's units before, on the effective date; null likewise.")
    units_after = graphene.Int(description="The PSA's units from then on; null likewise.")
    by = graphene.String(required=True, description="The person, key or service that did it.")
    event_id = graphene.String(required=True, description="The id of the event that tells it.")
    position = Position(required=True, description="The event's place in the MSP's log.")
    payload_id = graphene.String(description="For payload: the answer of ODIN behind it; null when none is kept.")


class HappenedEdge(graphene.ObjectType):
    """A thing that happened, and its cursor."""

    cursor = graphene.String(required=True, description="Where it stands, for after.")
    node = graphene.Field(Happened, required=True, description="What happened.")


class HistoryPageInfo(graphene.ObjectType):
    """Where a page of a history stands."""

    has_next_page = graphene.Boolean(required=True, description="Whether older things stand after it.")
    end_cursor = graphene.String(description="The cursor of its last row, for after.")


class HistoryConnection(graphene.ObjectType):
    """A page of a resource's history, newest first, under whatever subscription ids renewals gave it."""

    edges = graphene.Field(many(HappenedEdge), description="The rows of the page.")
    page_info = graphene.Field(HistoryPageInfo, required=True, description="Where the page stands.")


class Payload(graphene.ObjectType):
    """The answer of ODIN behind an event. What is personal or secret in it is masked before it is kept."""

    payload_id = graphene.String(required=True, name="id", description="Its id.")
    content_type = graphene.String(required=True, description="What the text is, such as application/json.")
    text = graphene.String(required=True, description="The answer, one value a line, at most 256 kB.")
    mark = graphene.String(description="The JSON pointer of the value that the event tells; null when it tells none.")
    whole = graphene.Boolean(required=True, description="Whether all of it is here, not only what surrounds the mark.")
    position = Position(required=True, description="The event's place in the MSP's log.")
    event_type = graphene.String(required=True, description="The type of the event.")
    occurred_at = DateTime(required=True, description="When ODIN said so.")


class ProratedTransaction(graphene.ObjectType):
    """One adjustment that was posted to the line from here."""

    posted_at = DateTime(required=True, description="When it was posted.")
    unit_change = graphene.Int(required=True, description="Units more, or fewer below zero.")
    units_before = graphene.Int(required=True, description="Units before, on the effective date.")
    units_after = graphene.Int(required=True, description="Units from the effective date on.")
    effective_date = Date(required=True, description="The billing day from which the PSA counts.")
    prorated_cost = graphene.Field(Money, description="Our reckoning of the cost for the rest of that billing period.")
    prorated_price = graphene.Field(
        Money, description="Our reckoning of the price for the rest of that billing period."
    )
    operation_id = graphene.String(required=True, description="The id of the post.")
    event_id = graphene.String(required=True, description="The id of the event that tells it.")
    position = Position(required=True, description="The event's place in the MSP's log.")

    resolve_prorated_cost = staticmethod(lambda row, _info: _money(row.prorated_cost))
    resolve_prorated_price = staticmethod(lambda row, _info: _money(row.prorated_price))


def _named(name: str, says: str) -> Any:
    return graphene.String(
        required=True, description=says, resolver=staticmethod(lambda line, _info: getattr(line.names, name))
    )


class PsaLine(graphene.ObjectType):
    """A line as the PSA shows it, and what was posted to it from here."""

    psa_connection_id = _named("psa_connection_id", "The PSA connection.")
    psa_customer_id = _named("psa_customer_id", "The PSA customer.")
    psa_customer_name = _named("psa_customer_name", "What it is called.")
    psa_agreement_id = _named("psa_agreement_id", "The PSA agreement.")
    psa_agreement_name = _named("psa_agreement_name", "What it is called.")
    psa_product_id = _named("psa_product_id", "The PSA product.")
    psa_product_name = _named("psa_product_name", "What it is called (Autotask: the service).")
    vendor = graphene.String(description="Who makes it.")
    period_type = graphene.String(required=True, description="How often it is billed.")
    unit_cost = graphene.Field(Money, description="What a unit costs the MSP in a billing period.")
    unit_price = graphene.Field(Money, description="What a unit costs the customer in a billing period.")
    units = graphene.Int(description="Its units as last read; null when never read, or when it is gone.")
    units_read_at = DateTime(description="Since when they are known to be so.")
    active = graphene.Boolean(required=True, description="Whether the PSA has it as active.")
    gone = graphene.Boolean(required=True, description="Whether it is no longer in the PSA.")
    read_at = DateTime(required=True, description="When the line was last seen with a change.")
    transactions = graphene.Field(many(ProratedTransaction), description="What was posted from here, newest first.")

    resolve_unit_cost = staticmethod(lambda line, _info: _money(line.unit_cost))
    resolve_unit_price = staticmethod(lambda line, _info: _money(line.unit_price))


def _money(amount: Amount | None) -> dict[str, Any] | None:
    return None if amount is None else {"amount": amount.amount, "currency": amount.currency}


@contextmanager
def _lineage(info: GraphQLResolveInfo, msp_id: str, as_of: Any) -> Iterator[Lineage]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        yield Lineage(connection, MspId(msp_id), position_of(connection, MspId(msp_id), as_of))


def _explain(
    _root: object,
    info: GraphQLResolveInfo,
    msp_id: str,
    psa_connection_id: str | None = None,
    psa_product_id: str | None = None,
    resource_key: str | None = None,
    as_of: Any = None,
) -> Any:
    by_product = psa_connection_id is not None and psa_product_id is not None
    if by_product == (resource_key is not None) or (psa_connection_id is None) != (psa_product_id is None):
        raise BadQuestion("ask by psaConnectionId and psaProductId, or by resourceKey")
    with _lineage(info, msp_id, as_of) as lineage:
        if resource_key is not None:
            return _seen(lineage.explain_resource(_resource(resource_key)), _RESOURCE)
        return _seen(lineage.explain_product(_product(msp_id, psa_connection_id, psa_product_id)), _PRODUCT)


def _history(
    _root: object,
    info: GraphQLResolveInfo,
    msp_id: str,
    resource_key: str,
    as_of: Any = None,
    first: int = 50,
    after: str | None = None,
) -> Any:
    key, before = _resource(resource_key), _cursor(after)
    with _lineage(info, msp_id, as_of) as lineage:
        page = _seen(lineage.resource_history(key, first, before), _RESOURCE)
    edges = [{"cursor": str(row.position), "node": row} for row in page.rows]
    end = edges[-1]["cursor"] if edges else None
    return {"edges": edges, "page_info": {"has_next_page": page.has_next, "end_cursor": end}}


def _payload(_root: object, info: GraphQLResolveInfo, msp_id: str, **given: str) -> Any:
    with _lineage(info, msp_id, None) as lineage:
        return _seen(lineage.payload(given["id"]), _PAYLOAD)


def _line(
    _root: object,
    info: GraphQLResolveInfo,
    msp_id: str,
    psa_connection_id: str,
    psa_product_id: str,
    as_of: Any = None,
    first: int = 50,
) -> Any:
    with _lineage(info, msp_id, as_of) as lineage:
        return _seen(lineage.psa_line(_product(msp_id, psa_connection_id, psa_product_id), first), _PRODUCT)


_RESOURCE = Refusal(
    "NO_SUCH_RESOURCE", "Trueup has never seen this resource.", "Look it up in the report subscriptions; check asOf."
)
_PRODUCT = Refusal(
    "NO_SUCH_PRODUCT",
    "Trueup has never seen this line of the PSA.",
    "Look it up in the report psaProducts; check asOf.",
)
_PAYLOAD = Refusal(
    "NO_SUCH_PAYLOAD",
    "No answer of ODIN is kept under this id.",
    "Answers are kept for the days of the policy payload_days; take ids from explainUnits or resourceHistory.",
)


def _seen(found: T | None, refusal: Refusal) -> T:
    if found is None:
        raise Refusal(refusal.code, refusal.message, refusal.fix)
    return found


def _resource(text: str) -> ResourceKey:
    try:
        return ResourceKey.parse(text)
    except BadKey:
        raise BadQuestion("that is not a resourceKey: take it from a report") from None


def _product(msp_id: str, connection_id: str | None, product_id: str | None) -> PsaProductKey:
    return PsaProductKey(MspId(msp_id), ConnectionId(connection_id or ""), PsaProductId(product_id or ""))


def _cursor(after: str | None) -> int | None:
    if after is None:
        return None
    if not (after.isascii() and after.isdecimal() and len(after) <= 18):
        raise BadQuestion("the cursor is damaged: begin again without one")
    return int(after)


def _argument(says: str, *, required: bool = False) -> Any:
    return graphene.String(required=required, description=says)


_MSP = {"msp_id": _argument("Whose.", required=True)}


def lineage_fields() -> dict[str, tuple[Any, Callable[..., Any]]]:
    """The fields of the root query, each with its resolver."""
    explain = graphene.Field(
        graphene.NonNull(Explanation),
        **_MSP,
        psa_connection_id=_argument("The PSA connection, with psaProductId."),
        psa_product_id=_argument("The PSA product to explain."),
        resource_key=_argument("Or a resource: what it feeds is explained."),
        as_of=as_of_argument(),
        description="Why a product has its units: step by step back to what ODIN said.",
    )
    history = graphene.Field(
        graphene.NonNull(HistoryConnection),
        **_MSP,
        resource_key=_argument("The resource.", required=True),
        as_of=as_of_argument(),
        first=graphene.Int(default_value=50, description="How many rows: 1 to 100."),
        after=_argument("Read on after this cursor."),
        description="What happened to a resource and to the product it fed, newest first.",
    )
    payload = graphene.Field(
        graphene.NonNull(Payload),
        **_MSP,
        id=_argument("The id from explainUnits or resourceHistory.", required=True),
        description="The masked answer of ODIN behind an event.",
    )
    line = graphene.Field(
        graphene.NonNull(PsaLine),
        **_MSP,
        psa_connection_id=_argument("The PSA connection.", required=True),
        psa_product_id=_argument("The PSA product.", required=True),
        as_of=as_of_argument(),
        first=graphene.Int(default_value=50, description="How many transactions: 1 to 100."),
        description="A line as the PSA shows it, with what was posted to it from here.",
    )
    return {
        "explain_units": (explain, _explain),
        "resource_history": (history, _history),
        "payload": (payload, _payload),
        "psa_line": (line, _line),
    }
