"""The client against the stand-in Autotask: adjustments read back under every unknown, every fault told rightly, few calls."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest

from deploy.sandbox.autotask import Desk, autotask_sandbox
from domain.keys import PsaAgreementId, PsaCustomerId, PsaProductId
from domain.money import Money
from domain.periods import PeriodType
from plumbing.clock import Clock
from services.psa_writer.psa.autotask_door import AutotaskAccount
from services.psa_writer.psa.autotask_soap import AutotaskSoap
from services.psa_writer.psa.port import AdjustmentOrder, Applied, PsaFailure, Refused, Unknown
from services.psa_writer.psa.units_on import MidPeriodRows, units_on
from tests.psa_writer.psa.wire import INSIDE, QUICK, no_limit

TODAY = date(2026, 7, 11)
YEAR = date(2026, 1, 1), date(2026, 12, 31)
WRONG_PASSWORD = "not-the-password"


@pytest.fixture(scope="module")
def served() -> Iterator[Desk]:
    with autotask_sandbox() as desk:
        desk.clock.set(datetime(2026, 7, 11, 9, tzinfo=UTC))
        yield desk


@pytest.fixture
def psa(served: Desk, request: pytest.FixtureRequest) -> Desk:
    """An empty database of its own, on the one server of this module."""
    return served.add_tenant(request.node.name)


@pytest.fixture
def client(psa: Desk) -> AutotaskSoap:
    return client_of(psa)


@pytest.fixture
def line(psa: Desk) -> int:
    return psa.add_line(contract(psa), "Exchange Online (Plan 1)", 5, "3.40", "10.00")


def contract(psa: Desk, period: str = "monthly") -> int:
    return psa.add_contract(psa.add_account("Repair and Wear"), *YEAR, period)


def client_of(psa: Desk, password: str = "") -> AutotaskSoap:
    account = AutotaskAccount(psa.user, password or psa.password, psa.tracking_identifier, "EUR", psa.url)
    return AutotaskSoap(account, no_limit, Clock(), replace(QUICK, read=1, total=2), way=INSIDE)


def order(line: int, change: int, on: date = TODAY, cost: str | None = None) -> AdjustmentOrder:
    return AdjustmentOrder(
        PsaAgreementId("0"), PsaProductId(str(line)), on, change, None if cost is None else Decimal(cost)
    )


def flat(pages: Iterable[list]) -> list:
    return [each for page in pages for each in page]


def read_units(client: AutotaskSoap, line: int, day: date, form: MidPeriodRows) -> int:
    return units_on(flat(client.units([PsaProductId(str(line))], day - timedelta(days=40))), day, form)


def test_the_catalogue_is_read_as_it_stands(psa: Desk, client: AutotaskSoap, line: int) -> None:
    psa.add_line(contract(psa, "semi-annual"), "Backup", 2, "60", "99.5", "semi-annual")

    customers, agreements, products = (
        flat(pages()) for pages in (client.customers, client.agreements, client.products)
    )

    assert customers[0].psa_customer_id == PsaCustomerId("0")
    assert [each.name for each in customers[1:]] == ["Repair and Wear"] * 2
    assert [(each.start_date, each.end_date, each.active, each.recurring) for each in agreements] == [
        (*YEAR, True, True)
    ] * 2
    exchange, backup = products
    assert (exchange.psa_product_id, exchange.name) == (PsaProductId(str(line)), "Exchange Online (Plan 1)")
    assert (exchange.unit_cost, exchange.unit_price) == (Money(Decimal("3.40"), "EUR"), Money(Decimal(10), "EUR"))
    assert [exchange.period_type, backup.period_type] == [PeriodType.MONTHLY, PeriodType.HALF_YEARLY]


@pytest.mark.parametrize(
    ("form", "row_end", "future_rows"),
    list(product(["total", "change"], ["day_before", "effective_date"], ["made_ahead", "made_late"])),
)
def test_adjustments_read_back_the_same_under_every_unknown(served: Desk, form, row_end, future_rows) -> None:
    psa = served.add_tenant(f"{form} {row_end} {future_rows}")
    psa.switches.set(mid_period_row=form, row_end=row_end, future_rows=future_rows)
    line = psa.add_line(contract(psa), "Exchange Online (Plan 1)", 5, "3.40", "10.00")
    client = client_of(psa)

    for change, on in [(7, TODAY), (-3, date(2026, 7, 20)), (-2, date(2026, 8, 1)), (1, date(2026, 9, 30))]:
        assert isinstance(client.create_adjustments([order(line, change, on)]), Applied)

    days = [date(2026, 7, 1) + timedelta(days=n) for n in range(120)]
    rows = flat(client.units([PsaProductId(str(line))], days[0]))
    assert [units_on(rows, day, form) for day in days] == [psa.units(line, day) for day in days]
    assert psa.units(line, days[-1]) == 8


@pytest.mark.parametrize("reply_id", ["real", "null"])
@pytest.mark.parametrize("newer_fields", [True, False])
def test_a12_newer_fields_and_missing_ids_neither_lose_nor_hide_anything(
    psa, client, line, reply_id, newer_fields
) -> None:
    psa.switches.set(reply_id=reply_id, newer_fields=newer_fields)

    outcome = client.create_adjustments([order(line, 7)])

    [applied] = psa.ledger(line)
    assert outcome == Applied((str(applied.id) if reply_id == "real" else None,))
    assert flat(client.customers())[1].name == "Repair and Wear"


@pytest.mark.parametrize("fault", ["unknown_field_middle", "unknown_field_end"])
def test_a12_a_new_unknown_field_in_the_reply_loses_nothing(psa: Desk, client: AutotaskSoap, line: int, fault) -> None:
    psa.faults.script(fault, times=10)

    assert isinstance(client.create_adjustments([order(line, 7)]), Applied)
    assert read_units(client, line, TODAY, "total") == 12
    assert flat(client.products())[0].name == "Exchange Online (Plan 1)"


def test_a_cost_alone_is_changed_to_the_last_place(psa: Desk, client: AutotaskSoap, line: int) -> None:
    client.create_adjustments([order(line, 0, cost="3.4567")])

    assert psa.unit_cost(line) == Decimal("3.4567")
    assert flat(client.products_by_id([PsaProductId(str(line))]))[0].unit_cost == Money(Decimal("3.4567"), "EUR")
    assert psa.units(line, TODAY) == 5


def test_a11_of_200_adjustments_one_refused_refuses_all_and_is_named(psa: Desk, client: AutotaskSoap) -> None:
    agreement = contract(psa)
    lines = [psa.add_line(agreement, f"Service {n}", 5, "1", "2") for n in range(200)]
    orders = [order(line, 1) for line in lines]
    orders[136] = replace(orders[136], effective_date=date(2027, 1, 1))

    outcome = client.create_adjustments(orders)

    assert isinstance(outcome, Refused)
    assert list(outcome.refusals) == [136]
    assert "Prolong or renew" in outcome.refusals[136].fix
    assert psa.ledger() == []
    del orders[136]
    assert isinstance(client.create_adjustments(orders), Applied)
    assert len(psa.ledger()) == 199


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit_change": -6}, "fewer units"),
        ({"effective_date": date(2025, 12, 31)}, "Prolong or renew"),
        ({"psa_product_id": PsaProductId("77")}, "no longer on the contract"),
    ],
)
def test_l5_what_autotask_refuses_comes_with_what_to_do(psa, client, line, change, words: str) -> None:
    outcome = client.create_adjustments([replace(order(line, 1), **change)])

    assert isinstance(outcome, Refused)
    assert words in outcome.refusals[0].fix
    assert psa.ledger() == []


def test_a6_a_second_adjustment_on_one_date_is_a_duplicate(psa: Desk, client: AutotaskSoap, line: int) -> None:
    psa.switches.set(same_date="duplicate")
    client.create_adjustments([order(line, 1)])

    outcome = client.create_adjustments([order(line, 1)])

    assert isinstance(outcome, Refused)
    assert outcome.refusals[0].duplicate


def test_missing_rights_refuse_a_create_and_hide_what_is_read(psa: Desk, client: AutotaskSoap, line: int) -> None:
    psa.cut_rights()

    outcome = client.create_adjustments([order(line, 1)])

    assert isinstance(outcome, Refused)
    assert "security level" in outcome.refusals[0].fix
    assert flat(client.products()) == []


LOST_ANSWERS = ["time_out", "reset", "cut_off", "bad_gateway", "unavailable", "gateway_timeout", "empty", "truncated"]


@pytest.mark.parametrize(("fault", "when"), list(product([*LOST_ANSWERS, "control_character"], ["before", "after"])))
def test_a1_a2_a3_a_create_whose_answer_is_lost_is_unknown_and_sent_once(psa, client, line, fault, when) -> None:
    psa.faults.script(fault, "create", when=when, seconds=5)

    outcome = client.create_adjustments([order(line, 7)])

    assert isinstance(outcome, Unknown)
    assert psa.calls.count("create") == 1
    assert len(psa.ledger()) == (1 if when == "after" else 0)


@pytest.mark.parametrize("fault", LOST_ANSWERS)
def test_a_read_whose_answer_is_lost_is_a_failure_and_never_fewer_units(psa, client, line, fault) -> None:
    psa.faults.script(fault, "query", "ContractServiceUnit", seconds=5)

    with pytest.raises(PsaFailure) as failed:
        read_units(client, line, TODAY, "total")

    assert failed.value.kind in {"unreachable", "malformed"}
    assert read_units(client, line, TODAY, "total") == 5


def test_a_control_character_does_not_stop_a_read(psa: Desk, client: AutotaskSoap, line: int) -> None:
    psa.faults.script("control_character", "query", times=5)

    assert read_units(client, line, TODAY, "total") == 5


def test_a_zone_change_is_followed_by_reads_and_creates(psa: Desk, client: AutotaskSoap, line: int) -> None:
    assert read_units(client, line, TODAY, "total") == 5

    psa.change_zone()
    assert isinstance(client.create_adjustments([order(line, 7)]), Applied)
    psa.change_zone()
    assert read_units(client, line, TODAY, "total") == 12

    assert len(psa.ledger()) == 1
    assert client.zone() == psa.zone_url


def test_a9_a_wrong_password_takes_one_of_the_tries_before_the_lock(psa: Desk, line: int) -> None:
    client = client_of(psa, WRONG_PASSWORD)

    for act in (lambda: flat(client.customers()), lambda: client.create_adjustments([order(line, 1)])):
        with pytest.raises(PsaFailure) as failed:
            act()
        assert failed.value.kind == "unauthorised"
        assert WRONG_PASSWORD not in failed.value.message + failed.value.fix

    assert psa.limits.bad_logins_so_far == 2
    assert [each.ok for each in client.test()] == [True, False]
    assert psa.limits.bad_logins_so_far == 3


def test_a_locked_user_is_told_so_with_the_right_password_too(psa: Desk, client: AutotaskSoap) -> None:
    psa.limits.bad_logins_so_far = psa.limits.bad_logins

    with pytest.raises(PsaFailure, match="locked") as failed:
        flat(client.customers())

    assert failed.value.kind == "unauthorised"
    assert "Unlock it" in failed.value.fix


@pytest.mark.parametrize("status", [500, 429])
def test_a7_an_hour_used_up_by_a_neighbour_is_rate_limited_and_nothing_is_applied(psa, client, line, status) -> None:
    psa.switches.set(refusal_status=status)
    psa.limits.latency_scale, psa.limits.neighbour = 0, psa.limits.threshold

    for act in (lambda: flat(client.customers()), lambda: client.create_adjustments([order(line, 1)])):
        with pytest.raises(PsaFailure) as failed:
            act()
        assert failed.value.kind == "rate_limited"

    assert psa.ledger() == []


@pytest.mark.parametrize("status", [500, 429])
def test_a8_a_refused_thread_is_rate_limited_and_nothing_is_applied(psa, client, line, status) -> None:
    psa.switches.set(refusal_status=status)
    psa.limits.threads = 0

    with pytest.raises(PsaFailure) as failed:
        client.create_adjustments([order(line, 1)])

    assert failed.value.kind == "rate_limited"
    assert psa.ledger() == []


def test_the_connection_test_passes_every_step_on_a_good_connection(psa: Desk, client: AutotaskSoap, line: int) -> None:
    steps = list(client.test())

    assert [each.ok for each in steps] == [True] * 8, steps
    assert "3.4" in " ".join(each.message for each in steps)


def test_the_connection_test_names_a_wrong_tracking_identifier(psa: Desk) -> None:
    account = AutotaskAccount(psa.user, psa.password, "WRONG", "EUR", psa.url)

    steps = list(AutotaskSoap(account, no_limit, Clock(), QUICK, way=INSIDE).test())

    assert [(each.step, each.ok) for each in steps] == [
        ("zone", True),
        ("sign-in", True),
        ("tracking identifier", False),
    ]


def test_a_user_that_autotask_does_not_know_has_no_zone(psa: Desk) -> None:
    account = AutotaskAccount("nobody@msp.example", psa.password, psa.tracking_identifier, "EUR", psa.url)

    [step] = AutotaskSoap(account, no_limit, Clock(), QUICK, way=INSIDE).test()

    assert not step.ok
    assert "user name" in step.fix


def test_adjustments_can_be_created_and_units_read_and_the_usage_grows(psa: Desk, client: AutotaskSoap) -> None:
    flags = client.entity_flags()

    assert flags["ContractServiceAdjustment"].create
    assert flags["ContractServiceUnit"].query
    before, after = client.threshold(), client.threshold()
    assert (after.used, after.limit) == (before.used + 1, 10_000)


def test_a_thousand_adjustments_take_at_most_three_calls_a_hundred(psa: Desk) -> None:
    # given a thousand products on forty agreements
    ids = [psa.add_line(contract(psa), f"Service {n}", 5, "1", "2") for _ in range(40) for n in range(25)]
    products = [PsaProductId(str(each)) for each in ids]
    client = client_of(psa)
    psa.calls.clear()

    # when all of them change: read the lines and their units up to the next period, create, read back
    assert len(flat(client.products_by_id(products))) == 1000
    flat(client.units(products, TODAY, until=date(2026, 8, 1)))
    for start in range(0, 1000, client.batch_size):
        outcome = client.create_adjustments([order(line, 7) for line in ids[start : start + client.batch_size]])
        assert isinstance(outcome, Applied)
    rows = flat(client.units(products, TODAY, until=date(2026, 8, 1)))

    # then every one was applied once and read back, in few calls
    assert len(psa.ledger()) == 1000
    by_product = {each: [row for row in rows if row.psa_product_id == each] for each in products}
    assert {units_on(each, TODAY, "total") for each in by_product.values()} == {12}
    assert len(psa.calls) <= 30
