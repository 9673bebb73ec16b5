"""The sandbox's engine -> what a PSA client would have read of one product, for tests of the pure decisions."""

from datetime import UTC, date, datetime
from decimal import Decimal

from deploy.sandbox.autotask.books import Books
from deploy.sandbox.autotask.engine import Engine, Origin, Wish
from deploy.sandbox.autotask.periods import PeriodType
from deploy.sandbox.autotask.records import Account, Contract, Line, Service
from deploy.sandbox.autotask.switches import Switches
from deploy.sandbox.autotask.unit_rows import seen
from domain.keys import PsaProductId
from domain.money import Money
from domain.periods import PeriodType as DomainPeriodType
from services.psa_writer.as_read import AsRead
from services.psa_writer.psa.port import UnitsRow

LINE, CONTRACT, SERVICE = 8001, 29730000, 1201
START, END = date(2026, 1, 1), date(2026, 12, 31)


def make_engine(
    units: int = 5,
    start: date = START,
    end: date = END,
    period: str = "monthly",
    price: Decimal = Decimal("10.00"),
    **switches: object,
) -> Engine:
    """One contract with one line at a unit cost of 3.40."""
    chosen = Switches()
    chosen.set(**switches)
    engine = Engine(Books(), chosen, lambda: datetime(2026, 7, 11, 9, tzinfo=UTC))
    engine.add_account(Account(29683500, "Repair and Wear"))
    engine.add_contract(Contract(CONTRACT, 29683500, "Cloud", start, end, PeriodType(period)))
    engine.add_service(Service(SERVICE, "Exchange Online", PeriodType(period), Decimal("3.40"), price))
    cost = Decimal("3.40")
    engine.add_line(Line(LINE, CONTRACT, SERVICE, start, units, cost, price, cost, price, price))
    return engine


def adjust(engine: Engine, day: date, change: int, unit_cost: Decimal | None = None) -> None:
    """One adjustment through the API's rules."""
    engine.adjust(Wish(day, Decimal(change), line_id=LINE, unit_cost=unit_cost), Origin("api@msp.example", 1))


def rows_of(engine: Engine, today: date, since: date = date.min, until: date = date.max) -> tuple[UnitsRow, ...]:
    """The rows that the port would give for these days."""
    return tuple(
        UnitsRow(
            PsaProductId(str(LINE)),
            row.start,
            row.end,
            str(row.id),
            row.units,
            row.cost,
            row.price,
            row.approved_at is not None,
        )
        for row in seen(engine.rows(LINE), engine.switches, today)
        if row.end >= since and row.start <= until
    )


def as_read(
    engine: Engine,
    today: date,
    taken: frozenset[date] = frozenset(),
    since: date | None = None,
    until: date | None = None,
    calibration: str | None = None,
) -> AsRead:
    """The product as it stands, read from `since` to `until` (default: all of the contract)."""
    contract = engine.contract(CONTRACT)
    since, until = since or contract.start, until or contract.end
    return AsRead(
        start_date=contract.start,
        end_date=contract.end,
        period_type=DomainPeriodType(contract.period_type.value.replace("semi-annual", "half_yearly")),
        rows=rows_of(engine, today, since, until),
        read_since=since,
        read_until=until,
        calibration=calibration or engine.switches.mid_period_row,  # type: ignore[arg-type]
        unit_cost=Money(engine.line(LINE).unit_cost, "USD"),
        unit_price=Money(engine.line(LINE).adjusted_price, "USD"),
        taken_dates=taken,
    )
