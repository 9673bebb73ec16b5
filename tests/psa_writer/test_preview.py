"""preview: what would be posted and for how much money, without posting it."""

from dataclasses import replace
from datetime import date

from services.psa_writer.preview import preview
from tests.psa_writer.writing import AUTOTASK, TODAY, Writing


def ask(writing: Writing, *wishes: tuple[int, int]) -> list[dict]:
    rows = [
        {
            "psa_connection_id": AUTOTASK,
            "psa_agreement_id": str(writing.agreements.get(line, 1)),
            "psa_product_id": str(line),
            "target_units": units,
        }
        for line, units in wishes
    ]
    return preview(writing.writer(), writing.msp_id, rows)["rows"]


def test_a_preview_shows_dates_units_and_cents_and_posts_nothing(writing: Writing) -> None:
    up, down, level = (writing.add_product(5, name=name) for name in ("up", "down", "level"))

    rising, falling, equal = ask(writing, (up, 12), (down, 3), (level, 5))

    assert rising["changes"] == [
        {
            "effective_date": "2026-07-11",
            "unit_change": 7,
            "units_before": 5,
            "units_after": 12,
            "prorated_cost": {"amount": "16.12", "currency": "USD"},
            "prorated_price": {"amount": "47.42", "currency": "USD"},
        }
    ]
    assert [change["effective_date"] for change in falling["changes"]] == ["2026-08-01"]
    assert (equal["changes"], equal["units"], equal["hindrance"]) == ([], 5, None)
    assert writing.desk.ledger() == []


def test_a_preview_tells_what_stands_against_the_post(braked: Writing) -> None:
    ended = braked.add_product(5, braked.add_agreement(end=date(2026, 7, 10)))
    large = braked.add_product(5)

    found = ask(braked, (ended, 12), (large, 900), (999_999, 1))

    assert [row["hindrance"] and row["hindrance"]["code"] for row in found] == ["agreement_ended", None, "product_gone"]
    assert [row["held"] and row["held"]["code"] for row in found] == [None, "rise", None]


def test_a_preview_of_a_psa_that_cannot_be_read_says_so(writing: Writing) -> None:
    line = writing.add_product(5)
    writing.desk.faults.script("unavailable", times=10)

    [row] = ask(writing, (line, 12))

    assert row["hindrance"]["code"] == "unreachable"


def test_a_psa_inside_the_own_network_is_not_asked_where_that_is_not_allowed(writing: Writing) -> None:
    line = writing.add_product(5)
    writing.settings = replace(writing.settings, private_addresses=False)

    [row] = ask(writing, (line, 12))

    assert (row["hindrance"]["code"], "only https" in row["hindrance"]["message"]) == ("unreachable", True)


def test_a_preview_and_the_post_agree(writing: Writing) -> None:
    line = writing.add_product(5)
    [row] = ask(writing, (line, 12))
    writing.request(line, 12)

    writing.work()

    [posted] = writing.told()
    [change] = row["changes"]
    assert change["effective_date"] == TODAY.isoformat()
    assert change["prorated_price"]["amount"] == str(posted.prorated_price.rounded().amount)


def test_a_preview_tells_what_a_change_comes_to_now_and_in_every_full_month(writing: Writing) -> None:
    up, down = (writing.add_product(8, name=name) for name in ("up", "down"))

    rising, falling = ask(writing, (up, 15), (down, 3))

    # then: 21 of 31 days of July, at 10.00 and 3.40 a month
    assert rising["period"] == {"first_day": "2026-07-01", "last_day": "2026-07-31", "posted": False}
    assert (rising["days"], rising["unit_change"]) == ({"charged": 21, "of": 31}, 7)
    money = ("price_now", "price_month", "cost_month", "margin_month")
    assert [rising[name]["amount"] for name in money] == ["47.42", "70.00", "23.80", "46.20"]
    # and what counts from August costs nothing in July
    assert (falling["effective_date"], falling["days"]) == ("2026-08-01", {"charged": 31, "of": 31})
    assert [falling[name]["amount"] for name in money] == ["0.00", "-50.00", "-17.00", "-33.00"]


def test_a_preview_of_a_new_cost_tells_its_money_and_of_a_change_by_units_its_target(writing: Writing) -> None:
    line = writing.add_product(5)
    place = {
        "psa_connection_id": AUTOTASK,
        "psa_agreement_id": str(writing.agreements[line]),
        "psa_product_id": str(line),
    }
    dearer = place | {"target_units": 5, "target_unit_cost": {"amount": "4.40", "currency": "USD"}}

    costlier, fewer = preview(writing.writer(), writing.msp_id, [dearer, place | {"unit_change": -2}])["rows"]

    assert (costlier["unit_change"], costlier["cost_month"]["amount"]) == (0, "5.00")
    assert (fewer["target_units"], fewer["unit_change"], fewer["effective_date"]) == (3, -2, "2026-08-01")
