"""Accounts, contracts, catalogue and lines of one database -> the unit rows of each line, one or more a billing period.

Stored rows are always whole: each holds the full units of its days and ends the day before the next one begins. How a client
sees them (`unit_rows.py`) depends on the switches.
"""

from dataclasses import replace
from datetime import date

from deploy.sandbox.autotask.books import Books
from deploy.sandbox.autotask.periods import Period, billing_periods
from deploy.sandbox.autotask.records import Account, Adjustment, Contract, Line, Service, UnitRow
from deploy.sandbox.autotask.unit_rows import priced

OUTSIDE_CONTRACT = "effectiveDate must be between the start date and end date of the Contract referenced by contractID"


class Refused(Exception):
    """Autotask takes nothing of this; the message is its text."""


class Contracts:
    """What stands in one database, and what a person can do with it in the user interface."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def add_account(self, account: Account) -> Account:
        """The account, kept."""
        with self.books.transaction():
            self.books.put(account)
        return account

    def add_contract(self, contract: Contract) -> Contract:
        """The contract, kept; an account that is not there or an end before the start raises Refused."""
        if self.books.get(Account, contract.account_id) is None:
            raise Refused("Value does not exist for the required field AccountID.")
        if contract.end < contract.start:
            raise Refused("EndDate must not be before StartDate.")
        with self.books.transaction():
            self.books.put(contract)
        return contract

    def add_service(self, service: Service) -> Service:
        """The catalogue row, kept; a name that is taken raises Refused."""
        if any(each.name == service.name and each.id != service.id for each in self.books.all(Service)):
            raise Refused("Violation of UNIQUE KEY constraint 'IX_service'.")
        with self.books.transaction():
            self.books.put(service)
        return service

    def add_line(self, line: Line) -> Line:
        """The line, kept with its unit rows to the contract's end; an unknown contract or service raises Refused."""
        contract, service = self.books.get(Contract, line.contract_id), self.books.get(Service, line.service_id)
        if contract is None or service is None:
            raise Refused(f"Value does not exist for the required field {'ServiceID' if contract else 'ContractID'}.")
        if not contract.start <= line.first_day <= contract.end:
            raise Refused(OUTSIDE_CONTRACT)
        with self.books.transaction():
            self.books.put(line)
            self._fit_rows(line, contract)
        return line

    def set_contract_end(self, contract_id: int, end: date) -> Contract:
        """The contract with its new end: later rows are deleted and later adjustments undone, or the last units carried on."""
        contract = replace(self.contract(contract_id), end=end)
        if end < contract.start:
            raise Refused("EndDate must not be before StartDate.")
        with self.books.transaction():
            self.books.put(contract)
            for line in self.books.children(Line, contract_id):
                self._fit_rows(line, contract)
                for adjustment in self.books.children(Adjustment, line.id):
                    if adjustment.effective_date > end and not adjustment.undone:
                        self.books.put(replace(adjustment, undone="the contract's end was cut"))
        return contract

    def remove_line(self, line_id: int) -> None:
        """As a person does it in the user interface: the line and its rows are gone; the ledger keeps its adjustments."""
        with self.books.transaction():
            for row in self.rows(line_id):
                self.books.drop(row)
            for adjustment in self.books.children(Adjustment, line_id):
                if not adjustment.undone:
                    self.books.put(replace(adjustment, undone="the line was removed"))
            self.books.drop(self.line(line_id))

    def units(self, line_id: int, day: date) -> int:
        """The whole units billed on that day; 0 on a day without a row."""
        return sum(row.units for row in self.rows(line_id) if row.start <= day <= row.end)

    def rows(self, line_id: int) -> list[UnitRow]:
        """The stored rows of a line by date."""
        return sorted(self.books.children(UnitRow, line_id), key=lambda row: row.start)

    def line(self, line_id: int) -> Line:
        """The line; KeyError when there is none."""
        line = self.books.get(Line, line_id)
        if line is None:
            raise KeyError(f"there is no contract service {line_id}")
        return line

    def contract(self, contract_id: int) -> Contract:
        """The contract; KeyError when there is none."""
        contract = self.books.get(Contract, contract_id)
        if contract is None:
            raise KeyError(f"there is no contract {contract_id}")
        return contract

    def periods(self, line: Line) -> list[Period]:
        """The billing periods of a line's contract, counted by the period type of its service."""
        service = self.books.get(Service, line.service_id)
        contract = self.contract(line.contract_id)
        return billing_periods(contract.start, contract.end, service.period_type if service else contract.period_type)

    def _fit_rows(self, line: Line, contract: Contract) -> None:
        """Rows after the contract's end are deleted, the last one is fitted to it, and missing ones carry the last units on."""
        rows = self.rows(line.id)
        for row in rows:
            if row.start > contract.end:
                self.books.drop(row)
        for period in self.periods(line):
            mine = [row for row in rows if row.period == period.start and row.start <= contract.end]
            for row in mine:
                end = period.end if row is mine[-1] else row.end
                self.books.put(priced(replace(row, end=end, period_days=period.days)))
            if not mine and period.end >= line.first_day and (not rows or period.start > rows[-1].end):
                self._add_row(line, period, rows[-1] if rows else None)

    def _add_row(self, line: Line, period: Period, last: UnitRow | None) -> None:
        self.books.put(
            priced(
                UnitRow(
                    id=self.books.new_id(UnitRow),
                    line_id=line.id,
                    period=period.start,
                    period_days=period.days,
                    start=max(period.start, line.first_day),
                    end=period.end,
                    units=last.units if last else line.first_units,
                    unit_cost=last.unit_cost if last else line.first_cost,
                    unit_price=last.unit_price if last else line.first_price,
                )
            )
        )
