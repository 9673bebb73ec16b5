"""read_catalogue: what the PSA shows, kept and told where it changed; half a reading is no fact."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from domain.events import (
    CatalogueRead,
    CatalogueReadFailed,
    PsaAgreementObserved,
    PsaCustomerObserved,
    PsaProductObserved,
    PsaRecordGone,
    PsaUnitsObserved,
)
from domain.money import Money
from services.psa_writer.catalogue import read_catalogue
from services.psa_writer.schedule import put_due_work
from tests.psa_writer.writing import AUTOTASK, TODAY, Writing, save_connection

OBSERVED = (PsaCustomerObserved, PsaAgreementObserved, PsaProductObserved, PsaUnitsObserved, PsaRecordGone)


def read(writing: Writing) -> list[Any]:
    """The events that one reading appends."""
    before = len(writing.told(*OBSERVED))
    writing.work()
    read_catalogue(writing.writer(), writing.msp_id, AUTOTASK)
    return writing.told(*OBSERVED)[before:]


def test_the_first_reading_tells_everything_with_its_names(writing: Writing) -> None:
    line = writing.add_product(4)

    found = read(writing)

    itself, customer, agreement, product, units = found
    assert (itself.psa_customer_id, customer.psa_customer_name) == ("0", "Contoso Ltd")
    assert (agreement.psa_customer_name, agreement.recurring, agreement.active) == ("Contoso Ltd", True, True)
    assert (agreement.start_date, agreement.end_date) == (date(2026, 1, 1), date(2026, 12, 31))
    assert (product.psa_product_id, product.psa_product_name, product.period_type) == (
        str(line),
        "Hosted mail",
        "monthly",
    )
    assert product.unit_cost == Money(Decimal("3.40"), "USD")
    assert (units.psa_product_id, units.previous_units, units.units, units.on_date) == (str(line), None, 4, TODAY)


def test_reading_again_tells_nothing_and_writes_nothing(writing: Writing) -> None:
    writing.add_product(4)
    read(writing)
    before = table_changes(writing)

    assert read(writing) == []
    assert table_changes(writing) == before


def test_only_what_changed_is_told_with_what_it_was(writing: Writing) -> None:
    line, other = writing.add_product(4), writing.add_product(4)
    read(writing)
    writing.desk.edit_units(line, 7, TODAY)
    writing.desk.set_contract_end(writing.agreements[other], date(2027, 3, 31))

    agreement, units = read(writing)

    assert (agreement.psa_agreement_id, agreement.end_date) == (str(writing.agreements[other]), date(2027, 3, 31))
    assert (units.psa_product_id, units.previous_units, units.units) == (str(line), 4, 7)


def test_units_are_read_of_linked_products_only(writing: Writing) -> None:
    writing.add_product(4)
    writing.desk.add_line(writing.add_agreement(), "Not linked", 9, "1", "2")

    assert [event.units for event in read(writing) if isinstance(event, PsaUnitsObserved)] == [4]


def test_units_that_the_psa_has_made_no_row_for_yet_carry_on(writing: Writing) -> None:
    writing.desk.switches.set(future_rows="made_late")
    writing.add_product(4)
    writing.desk.clock.set(writing.clock.moment - timedelta(days=30))
    # Autotask is a month behind in making rows; for us it is today.
    assert [event.units for event in read(writing) if isinstance(event, PsaUnitsObserved)] == [4]


def test_what_is_missing_twice_is_gone_and_when_it_returns_it_is_told_again(writing: Writing) -> None:
    lines = [writing.add_product(4) for _ in range(5)]
    read(writing)
    kept = writing.desk.database.backup()
    writing.desk.remove_line(lines[0])

    assert read(writing) == []
    [gone] = read(writing)
    assert (gone.level, gone.record_id, gone.name) == ("product", str(lines[0]), "Hosted mail")
    assert read(writing) == []

    writing.desk.database.restore(kept)
    assert [event.psa_product_id for event in read(writing)] == [str(lines[0])]


def test_missing_once_and_back_again_is_not_gone(writing: Writing) -> None:
    lines = [writing.add_product(4) for _ in range(5)]
    read(writing)
    kept = writing.desk.database.backup()
    for _ in range(3):
        writing.desk.remove_line(lines[0])
        assert read(writing) == []
        writing.desk.database.restore(kept)
        assert read(writing) == []


def test_a_user_whose_rights_were_cut_sees_nothing_and_that_is_no_fact(writing: Writing) -> None:
    writing.add_product(4)
    read(writing)
    writing.desk.cut_rights()

    assert [read(writing) for _ in range(3)] == [[], [], []]
    [failed] = writing.told(CatalogueReadFailed)
    assert failed.kind == "rejected"
    assert "may see all" in failed.fix

    writing.desk.give_rights()
    writing.wait(900)
    assert read(writing) == []


def test_a_great_loss_is_believed_when_a_person_who_was_told_has_saved_the_connection(writing: Writing) -> None:
    lines = [writing.add_product(4) for _ in range(5)]
    read(writing)
    for line in lines[:4]:
        writing.desk.remove_line(line)
    assert [read(writing) for _ in range(3)] == [[], [], []]
    assert "1 of the 5 products" in writing.told(CatalogueReadFailed)[0].message

    save_connection(writing.engine, writing.msp_id, writing.desk)
    writing.wait(900)

    assert read(writing) == []
    assert len(read(writing)) == 4


@pytest.mark.parametrize("entity", ["Account", "Contract", "ContractService", "Service", "ContractServiceUnit"])
@pytest.mark.parametrize("fault", ["truncated", "reset", "empty"])
def test_a_reading_that_breaks_off_anywhere_tells_nothing_but_the_failure(writing: Writing, entity, fault) -> None:
    writing.add_product(4)
    read(writing)
    writing.add_product(9)
    writing.desk.faults.script(fault, "query", entity, times=5)

    assert read(writing) == []
    assert [event.kind in {"malformed", "unreachable"} for event in writing.told(CatalogueReadFailed)] == [True]

    writing.desk.faults.clear()
    assert len(read(writing)) == 4


def test_a_failure_that_lasts_is_told_once_and_read_again_in_minutes(writing: Writing) -> None:
    writing.add_product(4)
    writing.desk.faults.script("unavailable", times=1000)
    for _ in range(5):
        read(writing)
        writing.wait(300)

    assert len(writing.told(CatalogueReadFailed)) == 1
    assert put_due_work(writing.engine, writing.clock) >= 1


def test_the_end_of_a_failure_is_told_once_even_when_nothing_else_changed(writing: Writing) -> None:
    # given
    writing.add_product(4)
    read(writing)
    writing.desk.faults.script("unavailable", times=1)
    read(writing)

    # when
    for _ in range(3):
        writing.wait(300)
        read(writing)

    # then
    [again] = writing.told(CatalogueRead)
    assert (again.customers, again.agreements, again.products) == (2, 1, 1)


def test_a_wrong_password_is_tried_once_by_readings_and_posts_together(writing: Writing) -> None:
    line = writing.add_product(4)
    save_connection(writing.engine, writing.msp_id, writing.desk, password="wrong")

    for _ in range(3):
        read(writing)
    writing.request(line, 12)
    writing.settle(600)

    assert writing.desk.calls.count(outcome="unauthorised") == 1


def test_what_was_parked_for_its_agreement_is_tried_when_the_catalogue_shows_the_cure(writing: Writing) -> None:
    line = writing.add_product(4, writing.add_agreement(end=date(2026, 7, 10)))
    read(writing)
    writing.request(line, 12)
    writing.work()
    writing.desk.set_contract_end(writing.agreements[line], date(2026, 12, 31))

    read(writing)
    writing.work()

    assert writing.units(line) == 12


def test_an_agreement_that_is_no_longer_recurring_is_told_as_changed(writing: Writing) -> None:
    line = writing.add_product(4)
    read(writing)
    engine = writing.desk.database.engine
    contract = engine.contract(writing.agreements[line])
    with writing.desk.database.books.transaction():
        fields = {name: getattr(contract, name) for name in contract.__slots__}
        writing.desk.database.books.put(type(contract)(**{**fields, "contract_type": 1}))

    [agreement] = read(writing)

    assert (agreement.psa_agreement_id, agreement.recurring) == (str(contract.id), False)


def test_a_catalogue_is_put_into_the_queue_when_it_is_due_and_once_for_all_replicas(writing: Writing) -> None:
    assert put_due_work(writing.engine, writing.clock) == 1
    assert put_due_work(writing.engine, writing.clock) == 0

    writing.wait(3601)
    assert put_due_work(writing.engine, writing.clock) == 1
    assert queued(writing) == ["psa_writer.catalogue", "psa_writer.catalogue"]


def test_posts_are_put_into_the_queue_when_they_are_due(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    put_due_work(writing.engine, writing.clock)
    writing.desk.faults.script("unavailable", times=1000)
    writing.work()
    before = queued(writing).count("psa_writer.posts")

    put_due_work(writing.engine, writing.clock)
    assert queued(writing).count("psa_writer.posts") == before

    writing.wait(60)
    put_due_work(writing.engine, writing.clock)
    assert queued(writing).count("psa_writer.posts") == before + 1


def queued(writing: Writing) -> list[str]:
    with writing.engine.connect() as connection:
        return list(connection.scalars(text("SELECT queue FROM queue.outbox ORDER BY number")))


def table_changes(writing: Writing) -> list[tuple[str, int]]:
    """(table, xmin of its rows summed up) of the catalogue: it differs as soon as one row was written."""
    with writing.engine.connect() as connection:
        return [
            (table, connection.scalar(text(f"SELECT coalesce(sum(xmin::text::bigint), 0) FROM psa_writer.{table}")))
            for table in ("psa_customers", "psa_agreements", "psa_products")
        ]
