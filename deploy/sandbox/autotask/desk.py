"""What a person or a test does to one Autotask database behind its API's back, and what it may ask of it.

Units are whole numbers; amounts are Decimal, per unit and billing period unless said otherwise; days are dates.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from deploy.sandbox.autotask.billing import approve_and_post
from deploy.sandbox.autotask.calls import Calls
from deploy.sandbox.autotask.database import Database
from deploy.sandbox.autotask.faults import Faults
from deploy.sandbox.autotask.installation import Installation
from deploy.sandbox.autotask.limits import Limits
from deploy.sandbox.autotask.oracle import Violation, violations
from deploy.sandbox.autotask.periods import PeriodType
from deploy.sandbox.autotask.records import (
    ACTIVE,
    RECURRING_SERVICE,
    Account,
    Adjustment,
    BillingItem,
    Contract,
    Line,
    Note,
    Service,
    UnitRow,
)
from deploy.sandbox.autotask.switches import Switches
from deploy.sandbox.autotask.unit_rows import seen
from deploy.sandbox.clock import SandboxClock

Amount = Decimal | str | int


@dataclass(frozen=True)
class Desk:
    """One database, and the server it stands on."""

    installation: Installation
    database: Database
    base_url: str

    @property
    def url(self) -> str:
        """The root's service, where a client asks for its zone."""
        return f"{self.base_url}/atservices/1.6/atws.asmx"

    @property
    def zone_url(self) -> str:
        """The service of the zone in which the database lives now."""
        return f"{self.base_url}/zone{self.database.zone}/ATServices/1.6/atws.asmx"

    @property
    def wsdl_url(self) -> str:
        """Our own description of the service."""
        return f"{self.base_url}/atservices/1.6/atws.wsdl"

    @property
    def user(self) -> str:
        """The API user."""
        return self.database.user

    @property
    def password(self) -> str:
        """The API user's password."""
        return self.database.password

    @property
    def tracking_identifier(self) -> str:
        """The integration code that every call must carry."""
        return self.database.tracking_identifier

    @property
    def calls(self) -> Calls:
        """The calls of this database's user: iterate them, or count(operation, entity, outcome)."""
        return self.database.calls

    @property
    def faults(self) -> Faults:
        """What goes wrong: script(...), at_random(...), clear()."""
        return self.database.faults

    @property
    def switches(self) -> Switches:
        """How it answers where the real one is not known."""
        return self.database.switches

    @property
    def limits(self) -> Limits:
        """The hour, the threads, the lock."""
        return self.database.limits

    @property
    def clock(self) -> SandboxClock:
        """The time of the whole sandbox."""
        return self.installation.clock

    def add_tenant(self, name: str, user: str = "", password: str = "", tracking_identifier: str = "") -> "Desk":
        """The desk of a new, empty database of another MSP on this server. A name or user that is taken raises ValueError."""
        place = len(self.installation.databases) + 1
        database = self.installation.add(
            name,
            user or f"api{place}@msp.example",
            password or f"sandbox-password-{place}",
            tracking_identifier or f"TRUEUPSANDBOX{place:014d}",
        )
        return Desk(self.installation, database, self.base_url)

    def add_account(self, name: str, *, account_id: int | None = None, active: bool = True) -> int:
        """The id of a new customer."""
        with self.installation.lock:
            new_id = self._id(Account, account_id)
            self.database.engine.add_account(Account(new_id, name, active=active, created_at=self.clock.now()))
            return new_id

    def add_contract(
        self,
        account_id: int,
        start: date,
        end: date,
        period: str = PeriodType.MONTHLY,
        *,
        name: str = "Cloud Services",
        contract_type: int = RECURRING_SERVICE,
        status: int = ACTIVE,
        contract_id: int | None = None,
    ) -> int:
        """The id of a new contract. period: monthly, quarterly, semi-annual (half_yearly) or yearly."""
        with self.installation.lock:
            new_id = self._id(Contract, contract_id)
            self.database.engine.add_contract(
                Contract(new_id, account_id, name, start, end, PeriodType(period), contract_type, status)
            )
            return new_id

    def add_service(
        self, name: str, period: str, unit_cost: Amount, unit_price: Amount, *, service_id: int | None = None
    ) -> int:
        """The id of the catalogue's service of this name, new if need be. Refused when it is there with another period type."""
        engine = self.database.engine
        with self.installation.lock:
            for each in self.database.books.all(Service):
                if each.name == name and each.period_type == PeriodType(period):
                    return each.id
            new_id = self._id(Service, service_id)
            engine.add_service(Service(new_id, name, PeriodType(period), _exact(unit_cost), _exact(unit_price)))
            return new_id

    def add_line(
        self,
        contract_id: int,
        service_name: str,
        units: int,
        unit_cost: Amount,
        unit_price: Amount,
        period_type: str | None = None,
        *,
        line_id: int | None = None,
    ) -> int:
        """The id of a new contract service with these units from the contract's start; its period is the contract's if not told."""
        engine = self.database.engine
        with self.installation.lock:
            contract = engine.contract(contract_id)
            cost, price = _exact(unit_cost), _exact(unit_price)
            service_id = self.add_service(service_name, period_type or contract.period_type, cost, price)
            new_id = self._id(Line, line_id)
            engine.add_line(Line.beginning(new_id, (contract_id, service_id, contract.start), units, cost, price))
            return new_id

    def units(self, line_id: int, on: date) -> int:
        """The units that are billed on this day, whatever the switches show of them."""
        with self.installation.lock:
            return self.database.engine.units(line_id, on)

    def unit_cost(self, line_id: int) -> Decimal:
        """What ContractService.UnitCost says."""
        with self.installation.lock:
            return self.database.engine.line(line_id).unit_cost

    def unit_price(self, line_id: int) -> Decimal | None:
        """What ContractService.AdjustedPrice says: what a unit is billed at."""
        with self.installation.lock:
            return self.database.engine.line(line_id).adjusted_price

    def lines(self, contract_id: int) -> list[Line]:
        """The contract services of a contract."""
        with self.installation.lock:
            return self.database.books.children(Line, contract_id)

    def rows(self, line_id: int) -> list[UnitRow]:
        """The unit rows of a line as a client sees them now."""
        with self.installation.lock:
            return seen(self.database.engine.rows(line_id), self.switches, self.clock.today())

    def ledger(self, line_id: int | None = None, *, by_hand: bool = False) -> list[Adjustment]:
        """Every adjustment that clients have had applied, in that order, undone ones included; with by_hand the hand edits too."""
        with self.installation.lock:
            return [
                each
                for each in self.database.books.all(Adjustment)
                if line_id in {None, each.line_id} and (by_hand or not each.by_hand)
            ]

    def notes(self, contract_id: int) -> list[Note]:
        """The notes of a contract."""
        with self.installation.lock:
            return self.database.books.children(Note, contract_id)

    def billing_items(self) -> list[BillingItem]:
        """All that Approve & Post has made."""
        with self.installation.lock:
            return self.database.books.all(BillingItem)

    def oracle(self) -> list[Violation]:
        """What is wrong in the books; [] when nothing is."""
        with self.installation.lock:
            return violations(self.database.engine)

    def edit_units(self, line_id: int, units: int, on: date | None = None) -> None:
        """As a person does it in the user interface: these units from the day on (today, when left out)."""
        with self.installation.lock:
            self.database.engine.set_units_by_hand(line_id, units, on or self.clock.today())

    def approve_and_post(self, through: date | None = None, contract_id: int | None = None) -> list[BillingItem]:
        """The new billing items of all that is due by the day (today, when left out)."""
        with self.installation.lock:
            return approve_and_post(self.database.engine, through or self.clock.today(), contract_id)

    def set_contract_end(self, contract_id: int, end: date) -> None:
        """Cut or lengthen a contract; a cut deletes all that lies behind it."""
        with self.installation.lock:
            self.database.engine.set_contract_end(contract_id, end)

    def remove_line(self, line_id: int) -> None:
        """Take a service off its contract."""
        with self.installation.lock:
            self.database.engine.remove_line(line_id)

    def change_zone(self) -> None:
        """Move the database to the other zone: 401 until a client asks for its zone again."""
        with self.installation.lock:
            self.database.change_zone()
            self.installation.save()

    def set_password(self, password: str) -> None:
        """Change the password; it has not expired then."""
        with self.installation.lock:
            self.database.password, self.database.password_expired = password, False
            self.installation.save()

    def expire_password(self) -> None:
        """Let every sign-in fail until the password is set."""
        with self.installation.lock:
            self.database.password_expired = True
            self.installation.save()

    def unlock(self) -> None:
        """Let the user sign in again after too many bad logins."""
        with self.installation.lock:
            self.limits.bad_logins_so_far = 0
            self.installation.save()

    def cut_rights(self) -> None:
        """Take the user's rights: rows vanish, writes are refused."""
        with self.installation.lock:
            self.database.engine.rights_cut = True
            self.installation.save()

    def give_rights(self) -> None:
        """Give the rights back."""
        with self.installation.lock:
            self.database.engine.rights_cut = False
            self.installation.save()

    def backup(self) -> dict[type, list[Any]]:
        """All records as they are now, for restore."""
        with self.installation.lock:
            return self.database.backup()

    def restore(self, backup: dict[type, list[Any]]) -> None:
        """Put an older backup back; the ledger keeps what was applied since, as undone."""
        with self.installation.lock:
            self.database.restore(backup)

    def _id(self, kind: type, wanted: int | None) -> int:
        return self.database.books.new_id(kind) if wanted is None else wanted


def _exact(amount: Amount) -> Decimal:
    if isinstance(amount, float):
        raise TypeError(f"an amount is a Decimal, a text or a whole number, never a float such as {amount}")
    return Decimal(amount)
