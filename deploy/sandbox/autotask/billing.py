"""(unposted rows and prorations) -> billing items: Autotask's Approve & Post."""

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from deploy.sandbox.autotask.engine import Engine
from deploy.sandbox.autotask.records import Adjustment, BillingItem, Contract, Line, Service, UnitRow

TWO_PLACES = Decimal("0.01")


def approve_and_post(engine: Engine, through: date, contract_id: int | None = None) -> list[BillingItem]:
    """The new billing items, money to 2 places: each unposted period begun and proration effective by that day."""
    items: list[BillingItem] = []
    with engine.books.transaction():
        for contract in engine.books.all(Contract):
            if contract_id in {None, contract.id}:
                for line in engine.books.children(Line, contract.id):
                    items += _post_line(engine, contract, line, through)
    return items


def _post_line(engine: Engine, contract: Contract, line: Line, through: date) -> list[BillingItem]:
    rows, moment = engine.rows(line.id), engine.now()
    items: list[BillingItem] = []
    for row in rows:
        if row.period > through or row.approved_at:
            continue
        if row.period == row.start:
            items.append(_period_item(engine, contract, line, row))
        engine.books.put(replace(row, approved_at=moment))
    for adjustment in engine.books.children(Adjustment, line.id):
        if adjustment.effective_date <= through and not adjustment.billed_at and not adjustment.undone:
            engine.books.put(replace(adjustment, billed_at=moment))
            if adjustment.prorated:
                items.append(_proration_item(engine, contract, line, adjustment))
    items = [replace(item, posted_at=moment) for item in items]
    for item in items:
        engine.books.put(item)
    return items


def _period_item(engine: Engine, contract: Contract, line: Line, row: UnitRow) -> BillingItem:
    """The whole period at the units of its first row; what changed inside it comes as prorations."""
    return replace(
        _item(engine, contract, line, total=row.units * row.unit_price, cost=row.units * row.unit_cost),
        period_row_id=row.id,
        item_date=row.start,
        quantity=row.units,
        rate=row.unit_price,
    )


def _proration_item(engine: Engine, contract: Contract, line: Line, adjustment: Adjustment) -> BillingItem:
    return replace(
        _item(engine, contract, line, total=adjustment.proration_price, cost=adjustment.proration_cost),
        adjustment_id=adjustment.id,
        item_date=adjustment.effective_date,
        quantity=adjustment.unit_change,
    )


def _item(engine: Engine, contract: Contract, line: Line, *, total: Decimal, cost: Decimal) -> BillingItem:
    service = engine.books.get(Service, line.service_id)
    return BillingItem(
        id=engine.books.new_id(BillingItem),
        account_id=contract.account_id,
        contract_id=contract.id,
        line_id=line.id,
        service_id=line.service_id,
        period_row_id=None,
        adjustment_id=None,
        name=service.name if service else "",
        item_date=contract.start,
        quantity=0,
        rate=line.unit_price if line.adjusted_price is None else line.adjusted_price,
        total=total.quantize(TWO_PLACES, ROUND_HALF_UP),
        our_cost=cost.quantize(TWO_PLACES, ROUND_HALF_UP),
        posted_at=engine.now(),
    )
