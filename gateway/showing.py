"""Relations that someone would set or clear, an adjustment someone would undo -> what would be posted then, row by row.

mapping says what may be set, reconciler what would be asked for, and the writer, which reads the PSA anew, what would be posted
for how much money. Nothing is done. Several rows of one product show the same numbers, those of the product.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.schema.context import Context
from services.reporting.queries import adjustment_at, counts_read_at, open_requests_of

# So many products a call of the writer, which reads as many in one call of the PSA.
PORTION = 500
# Longest wait for one such reading: a PSA may be slow.
READING_SECONDS = 120.0
MONEY = ("price_now", "cost_now", "price_month", "cost_month", "margin_month")
# What stands against a post but not against the relation: it goes out when this is over.
_PASSING = {"uncalibrated"}

Row = dict[str, Any]
Told = Callable[[int], None]


def _nobody(_done: int) -> None:
    """Nobody wants to know how far it is."""


def show_relations(
    context: Context, msp_id: MspId, pairs: Sequence[Mapping[str, Any]], told: Told = _nobody
) -> list[Row]:
    """A row for each pair {"id", "resource_key", "psa_connection_id", "psa_product_id", "score"}: what setting all of them
    would come to. told: is given how many rows are done."""
    decided = _asked(context, "mapping", "foresee_relations", msp_id=msp_id, wishes=list(pairs))["results"]
    rows = [row | {"resource_key": pair["resource_key"]} for row, pair in zip(decided, pairs, strict=True)]
    return _shown(context, msp_id, rows, rows, [], told)


def show_clearing(context: Context, msp_id: MspId, relation_ids: Sequence[str]) -> list[Row]:
    """A row for each relation: the units that stay ("units"), the requests that are dropped ("open_requests"), and what would
    be posted when other resources still feed the product ("feeds")."""
    rows = _asked(context, "mapping", "foresee_clearing", msp_id=msp_id, relation_ids=list(relation_ids))["results"]
    cleared = [row["resource_key"] for row in rows if row["ok"] and row["note"] is None]
    shown = _shown(context, msp_id, rows, [], cleared, _nobody)
    products = [_product(row) for row in rows if row["ok"]]
    with context.reading(msp_id) as connection:
        dropped = open_requests_of(connection, msp_id, products)
    return [row | {"open_requests": dropped.get(_product(row), 0)} for row in shown]


def show_again(context: Context, msp_id: MspId, relation_ids: Sequence[str]) -> list[Row]:
    """A row for each live relation: what bringing its product to the counts once more would come to."""
    rows = _asked(context, "mapping", "foresee_clearing", msp_id=msp_id, relation_ids=list(relation_ids))["results"]
    gone = {"code": "relation_cleared", "message": "This relation is cleared.", "fix": "Link the resource again."}
    rows = [row | {"ok": False, "refusal": gone} if row["note"] else row for row in rows]
    return _shown(context, msp_id, rows, rows, [], _nobody)


def show_undo(context: Context, msp_id: MspId, position: int) -> tuple[Row, Row]:
    """The adjustment that is recorded at the position, and what the opposite change would come to now. Refusal
    NO_SUCH_ADJUSTMENT, NOTHING_TO_UNDO."""
    with context.reading(msp_id) as connection:
        adjustment = adjustment_at(connection, msp_id, position)
    if adjustment is None:
        raise Refusal("NO_SUCH_ADJUSTMENT", "There is no such adjustment.", "Choose one of the adjustments log.")
    if not adjustment["unit_change"]:
        raise Refusal("NOTHING_TO_UNDO", "It changed a cost and no units.", "Correct the cost where it comes from.")
    wish = {name: adjustment[name] for name in ("psa_connection_id", "psa_agreement_id", "psa_product_id")}
    (row,) = _previewed(context, msp_id, [wish | {"unit_change": -adjustment["unit_change"]}])
    return adjustment, _verdicts(adjustment | {"refusal": None, "note": None}, row, None)


def totals(rows: Sequence[Row]) -> Row:
    """What all rows that can be done come to: each product once, money one amount a currency."""
    fine = [row for row in rows if not is_blocked(row)]
    products = {_product(row): row for row in fine if row["unit_change"] is not None}
    sums: dict[str, dict[str, Decimal]] = {}
    for row in products.values():
        for name in MONEY:
            if (money := row[name]) is not None:
                of = sums.setdefault(money["currency"], dict.fromkeys(MONEY, Decimal(0)))
                of[name] += Decimal(money["amount"])
    return {
        "rows": len(rows),
        "blocked": len(rows) - len(fine),
        "held": sum(row["brake"] is not None for row in products.values()),
        "products": len(products),
        "unit_change": sum(row["unit_change"] for row in products.values()),
        "money": [{"currency": currency, **sums[currency]} for currency in sorted(sums)],
    }


def is_blocked(row: Row) -> bool:
    """Whether something stands against doing it that a person has to put right first."""
    return any(verdict["severity"] == "ERROR" for verdict in row["preflight"])


def _shown(
    context: Context, msp_id: MspId, rows: Sequence[Row], linked: Sequence[Row], cleared: Sequence[str], told: Told
) -> list[Row]:
    """linked, cleared: the rows and resource keys that are thought to be so."""
    good = [row for row in rows if row["ok"]]
    pairs = [{name: row[name] for name in _PAIR} for row in linked if row["ok"]]
    foreseen = context.ask("reconciler", "foresee", msp_id=msp_id, pairs=pairs, cleared=list(cleared))
    asked = {_product(product): product for product in foreseen["products"]}
    agreements = {_product(row): row["psa_agreement_id"] for row in good}
    wishes = [_wish(product, agreements[key], asked.get(key)) for key, product in _first(good).items()]
    previewed: dict[tuple[str, str], Row] = {}
    for start in range(0, len(wishes), PORTION):
        portion = _previewed(context, msp_id, wishes[start : start + PORTION])
        previewed |= {_product(row): row for row in portion}
        told(min(len(rows), start + PORTION))
    with context.reading(msp_id) as connection:
        read_at = counts_read_at(connection, msp_id, [row["resource_key"] for row in good])
    shown = []
    for row in rows:
        key = row["resource_key"]
        read = read_at.get(key)
        counted = {"count": foreseen["counts"].get(key), "count_read_at": read.isoformat() if read else None}
        shown.append(_verdicts(row, previewed.get(_product(row)), asked.get(_product(row))) | counted)
    return shown


_PAIR = ("resource_key", "psa_connection_id", "psa_product_id")


def _first(rows: Sequence[Row]) -> dict[tuple[str, str], Row]:
    """One row of each product, in order."""
    return {_product(row): row for row in reversed(rows)}


def _wish(row: Row, agreement_id: str, asked: Row | None) -> Row:
    """What the writer is asked: the target, or nothing but the units there are when nothing would be asked for."""
    wish = {"psa_connection_id": row["psa_connection_id"], "psa_product_id": row["psa_product_id"]}
    if asked is None or asked["target_units"] is None:
        return wish | {"psa_agreement_id": agreement_id, "unit_change": 0}
    names = ("target_units", "target_unit_cost", "target_unit_price", "fed_by")
    return wish | {"psa_agreement_id": agreement_id} | {name: asked[name] for name in names}


def _verdicts(row: Row, previewed: Row | None, asked: Row | None) -> Row:
    """The row with the numbers of its product and all that is said for and against it."""
    numbers: Row = {name: previewed[name] if previewed else None for name in _NUMBERS}
    numbers |= {"changes": previewed["changes"] if previewed else []}
    preflight = []
    if row["refusal"]:
        preflight.append({"severity": "ERROR", **row["refusal"]})
    if row["note"]:
        said = {"already_set": "It is linked so already.", "already_cleared": "It is cleared already."}[row["note"]]
        preflight.append({"severity": "INFO", "code": row["note"], "message": said, "fix": "Nothing to do."})
    if asked and asked["reason"]:
        refused = {"code": "no_whole_units", "message": asked["reason"], "fix": asked["fix"]}
        preflight.append({"severity": "ERROR", **refused})
    if previewed and previewed["hindrance"]:
        hindrance = previewed["hindrance"]
        severity = "WARNING" if hindrance["code"] in _PASSING else "ERROR"
        preflight.append({"severity": severity, **hindrance})
    held = previewed["held"] if previewed else None
    brake = {"held": True, "reason": held["message"], "fix": held["fix"]} if held else None
    kept = {name: row.get(name) for name in _KEPT}
    feeds = asked["feeds"] if asked else None
    return kept | numbers | {"feeds": feeds, "preflight": preflight, "brake": brake}


_KEPT = (
    "id",
    "relation_id",
    "resource_key",
    "company_name",
    "subscription_name",
    "resource_name",
    "psa_connection_id",
    "psa_customer_name",
    "psa_agreement_name",
    "psa_product_id",
    "psa_product_name",
)
_NUMBERS = (
    "target_units",
    "units",
    "units_read_at",
    "unit_change",
    "effective_date",
    "period",
    "days",
    *MONEY,
)


def patient(context: Context) -> Context:
    """The same, waiting for a service as long as a PSA may take."""
    return replace(context, rpc_seconds=max(READING_SECONDS, context.rpc_seconds))


def _previewed(context: Context, msp_id: MspId, wishes: Sequence[Row]) -> list[Row]:
    rows: list[Row] = _asked(patient(context), "psa_writer", "preview", msp_id=msp_id, wishes=list(wishes))["rows"]
    return rows


def _asked(context: Context, service: str, method: str, **given: Any) -> Row:
    """The answer; the refusal of the whole call as our own."""
    answer: Row = context.ask(service, method, **given)
    if refusal := answer["refusal"]:
        raise Refusal(refusal["code"].upper(), refusal["message"], refusal["fix"])
    return answer


def _product(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["psa_connection_id"], row["psa_product_id"]
