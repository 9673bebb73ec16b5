"""(contracts of one database, an adjustment wished for) -> changed rows, a proration and an entry of the ledger, or a refusal.

Autotask's rules as far as they are known; what is not known is a switch. Sources: the notes on Autotask, sections 4 and 9.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from deploy.sandbox.autotask.books import Books
from deploy.sandbox.autotask.contracts import OUTSIDE_CONTRACT, Contracts, Refused
from deploy.sandbox.autotask.periods import ONE_DAY
from deploy.sandbox.autotask.records import (
    API_RESOURCE_ID,
    PERSON_RESOURCE_ID,
    RECURRING_SERVICE,
    Adjustment,
    Contract,
    Line,
    Note,
    Service,
    UnitRow,
)
from deploy.sandbox.autotask.switches import Switches
from deploy.sandbox.autotask.unit_rows import exact_total, priced, to_four_places

DUPLICATE = "Attempt to insert duplicate data into contract_service_period"
NO_RIGHTS = "The logged in Resource does not have the adequate permissions to create this entity type."


@dataclass(frozen=True, slots=True)
class Wish:
    """An adjustment as a client sends it: line_id, or contract_id and service_id. Amounts are per unit and period; None: as is."""

    effective_date: date
    unit_change: Decimal = Decimal(0)
    line_id: int | None = None
    contract_id: int | None = None
    service_id: int | None = None
    unit_cost: Decimal | None = None
    unit_price: Decimal | None = None
    allow_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks: the user and the number of the request; by_hand: a person in the user interface, whom no switch hinders."""

    caller: str
    request_id: int
    by_hand: bool = False


class Engine(Contracts):
    """The contracts of one database, and the adjustments that change their units."""

    def __init__(self, books: Books, switches: Switches, now: Callable[[], datetime]) -> None:
        super().__init__(books)
        self.switches = switches
        self.now = now
        self.rights_cut = False

    def adjust(self, wish: Wish, origin: Origin) -> Adjustment:
        """The adjustment, applied and in the ledger. Refused with Autotask's text when a rule forbids it; then nothing has changed.

        The rules in their order: rights, line (or contract and service), contract type, date, whole units, repeated service, below
        zero, same date, posted period.
        """
        with self.books.transaction():
            if self.rights_cut and not origin.by_hand:
                raise Refused(NO_RIGHTS)
            contract, service, lines = self._meant(wish)
            if contract.contract_type != RECURRING_SERVICE:
                raise Refused("Contract must be of type Recurring Service.")
            day = wish.effective_date
            if not contract.start <= day <= contract.end:
                raise Refused(OUTSIDE_CONTRACT)
            if wish.unit_change != wish.unit_change.to_integral_value():
                raise Refused("UnitChange must be an integer.")
            if wish.allow_repeat and wish.line_id is None:
                lines = []
            elif len(lines) > 1:
                raise Refused("The Contract holds this Service more than once: ContractServiceID is required.")
            line = lines[0] if lines else self._begin_line(contract, service, wish)
            if day < line.first_day:
                raise Refused(OUTSIDE_CONTRACT)
            change = self._checked_change(line, day, int(wish.unit_change), origin)
            day = self._checked_day(line, day, origin)
            return self._apply(line, replace(wish, effective_date=day, unit_change=Decimal(change)), origin)

    def set_units_by_hand(self, line_id: int, units: int, day: date) -> Adjustment | None:
        """As a person does it in the user interface: these units from the day on. None when they are there already."""
        line = self.line(line_id)
        contract = self.contract(line.contract_id)
        day = min(max(day, line.first_day), contract.end)
        change = Decimal(units - self.units(line_id, day))
        if not change:
            return None
        return self.adjust(Wish(day, change, line_id=line_id), Origin("a person", 0, by_hand=True))

    def _meant(self, wish: Wish) -> tuple[Contract, Service, list[Line]]:
        """The contract, the service and the lines that a wish names."""
        line = self.books.get(Line, wish.line_id) if wish.line_id is not None else None
        if wish.line_id is not None and line is None:
            raise Refused("Value does not exist for the required field ContractServiceID.")
        contract_id = line.contract_id if line else wish.contract_id
        service_id = line.service_id if line else wish.service_id
        if wish.contract_id not in {None, contract_id} or wish.service_id not in {None, service_id}:
            raise Refused("ContractServiceID does not belong to the given ContractID and ServiceID.")
        contract = self.books.get(Contract, contract_id) if contract_id is not None else None
        service = self.books.get(Service, service_id) if service_id is not None else None
        if contract is None or service is None:
            raise Refused(f"Value does not exist for the required field {'ServiceID' if contract else 'ContractID'}.")
        same = [each for each in self.books.children(Line, contract.id) if each.service_id == service.id]
        return contract, service, [line] if line else same

    def _begin_line(self, contract: Contract, service: Service, wish: Wish) -> Line:
        """A new line with no units before the wished-for day."""
        cost = service.unit_cost if wish.unit_cost is None else wish.unit_cost
        price = service.unit_price if wish.unit_price is None else wish.unit_price
        return self.add_line(
            Line(
                id=self.books.new_id(Line),
                contract_id=contract.id,
                service_id=service.id,
                first_day=wish.effective_date,
                first_units=0,
                first_cost=cost,
                first_price=price,
                unit_cost=cost,
                unit_price=service.unit_price,
                adjusted_price=price,
            )
        )

    def _checked_change(self, line: Line, day: date, change: int, origin: Origin) -> int:
        least = min(row.units for row in self.rows(line.id) if row.end >= day)
        if least + change >= 0:
            return change
        if self.switches.below_zero == "refused" or origin.by_hand:
            raise Refused("UnitChange would leave the Contract with a negative number of units.")
        return -least

    def _checked_day(self, line: Line, day: date, origin: Origin) -> date:
        if origin.by_hand:
            return day
        same_date, posted_period = self.switches.same_date, self.switches.posted_period
        taken = any(each.effective_date == day for each in self.books.children(Adjustment, line.id) if not each.undone)
        mid_period = self._period_of(line, day) < day
        if taken and (same_date == "duplicate" or (same_date == "duplicate_mid_period" and mid_period)):
            raise Refused(DUPLICATE)
        if posted_period == "accepted" or not self._is_posted(line, day):
            return day
        if posted_period == "refused":
            raise Refused("The billing period of the effectiveDate has already been approved and posted.")
        later = (row.period for row in self.rows(line.id) if row.period > day and not self._is_posted(line, row.period))
        moved = next(later, None)
        if moved is None:
            raise Refused(OUTSIDE_CONTRACT)
        return moved

    def _period_of(self, line: Line, day: date) -> date:
        """The first day of the billing period that holds the day."""
        return max(row.period for row in self.rows(line.id) if row.period <= day)

    def _is_posted(self, line: Line, day: date) -> bool:
        period = self._period_of(line, day)
        return any(row.approved_at for row in self.rows(line.id) if row.period == period)

    def _apply(self, line: Line, wish: Wish, origin: Origin) -> Adjustment:
        day, period = wish.effective_date, self._period_of(line, wish.effective_date)
        prorated = day > period or self._is_posted(line, day)
        self._split(line, day)
        before = [row for row in self.rows(line.id) if row.start >= day]
        after = [priced(_changed(row, wish)) for row in before]
        for row in after:
            self.books.put(replace(row, touched=row.touched or row.period == period))
        (cost, price), (old_cost, old_price) = _totals(after, period), _totals(before, period)
        adjustment = Adjustment(
            id=self.books.new_id(Adjustment),
            line_id=line.id,
            contract_id=line.contract_id,
            service_id=line.service_id,
            effective_date=day,
            unit_change=int(wish.unit_change),
            unit_cost=wish.unit_cost,
            unit_price=wish.unit_price,
            proration_cost=to_four_places(cost - old_cost),
            proration_price=to_four_places(price - old_price),
            prorated=prorated,
            applied_at=self.now(),
            caller=origin.caller,
            request_id=origin.request_id,
            by_hand=origin.by_hand,
        )
        self._record(line, adjustment)
        return adjustment

    def _record(self, line: Line, adjustment: Adjustment) -> None:
        """The adjustment in the ledger, its unit cost and price on the line, and its contract note."""
        self.books.put(adjustment)
        cost, price = adjustment.unit_cost, adjustment.unit_price
        self.books.put(
            replace(
                line,
                unit_cost=line.unit_cost if cost is None else cost,
                adjusted_price=line.adjusted_price if price is None else price,
            )
        )
        if not self.switches.contract_notes and not adjustment.by_hand:
            return
        service = self.books.get(Service, line.service_id)
        name = service.name if service else ""
        self.books.put(
            Note(
                id=self.books.new_id(Note),
                contract_id=line.contract_id,
                title="Service adjusted",
                description=f"{name}: unit change {adjustment.unit_change:+d} from {adjustment.effective_date}",
                created_at=adjustment.applied_at,
                changed_at=adjustment.applied_at,
                creator_id=PERSON_RESOURCE_ID if adjustment.by_hand else API_RESOURCE_ID,
            )
        )

    def _split(self, line: Line, day: date) -> None:
        """Let a row begin on the day: the row over it is cut the day before."""
        row = next(row for row in self.rows(line.id) if row.start <= day <= row.end)
        if row.start == day:
            return
        self.books.put(priced(replace(row, end=day - ONE_DAY)))
        self.books.put(priced(replace(row, id=self.books.new_id(UnitRow), start=day, approved_at=None)))


def _changed(row: UnitRow, wish: Wish) -> UnitRow:
    return replace(
        row,
        units=row.units + int(wish.unit_change),
        unit_cost=row.unit_cost if wish.unit_cost is None else wish.unit_cost,
        unit_price=row.unit_price if wish.unit_price is None else wish.unit_price,
    )


def _totals(rows: list[UnitRow], period: date) -> tuple[Decimal, Decimal]:
    """Cost and price, unrounded, of the rows that belong to this period."""
    mine = [row for row in rows if row.period == period]
    return (
        sum((exact_total(row, row.unit_cost) for row in mine), Decimal(0)),
        sum((exact_total(row, row.unit_price) for row in mine), Decimal(0)),
    )
