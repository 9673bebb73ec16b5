"""Tokens of previews: for whom, for how long, for which operation, and for just what was seen."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.previews import LASTS, Previews, print_of
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from tests.msps import add_msp
from tests.world import MORNING

pytestmark = pytest.mark.postgres
ROW = {"id": "r", "count": "8", "units": 1, "count_read_at": "2026-08-03T08:00:00+00:00", "units_read_at": None}
ASKED = {"pairs": [{"resource_key": "r"}]}


@pytest.fixture
def previews(database: str) -> Iterator[Previews]:
    """Mara's previews, of the MSP acme."""
    engine = make_engine(database, "test")
    add_msp(engine)
    yield Previews(engine, FrozenClock(MORNING), "mara")
    engine.dispose()


ACME = MspId("acme")


def shows(*rows: dict[str, Any]) -> Any:
    return lambda _asked: list(rows)


def code(previews: Previews, token: str, operation: str = "o", *rows: dict[str, Any]) -> str:
    """The refusal's code."""
    with pytest.raises(Refusal) as refused:
        previews.confirmed(ACME, "relations", token, operation, shows(*(rows or (ROW,))))
    return refused.value.code


def test_what_is_shown_again_the_same_is_confirmed_whenever_it_was_read(previews: Previews) -> None:
    kept = previews.keep(ACME, "relations", ASKED, [ROW])
    later = ROW | {"count_read_at": "2026-08-03T08:09:00+00:00", "units_read_at": "2026-08-03T08:10:00+00:00"}

    found, stale = previews.confirmed(ACME, "relations", kept.token, "o", shows(later))

    assert (found.rows, found.asked, stale) == ([ROW], ASKED, None)


def test_what_shows_something_else_is_stale_and_comes_with_the_fresh_one(previews: Previews) -> None:
    kept = previews.keep(ACME, "relations", ASKED, [ROW])

    fresh, stale = previews.confirmed(ACME, "relations", kept.token, "o", shows(ROW | {"units": 2}))

    assert stale is not None
    assert (stale.code, fresh.rows[0]["units"], fresh.token == kept.token) == ("PREVIEW_STALE", 2, False)
    assert previews.confirmed(ACME, "relations", fresh.token, "o", shows(ROW | {"units": 2}))[1] is None


def test_after_15_minutes_a_token_is_stale_whatever_it_shows(previews: Previews) -> None:
    kept = previews.keep(ACME, "relations", ASKED, [ROW])
    late = replace(previews, clock=FrozenClock(MORNING + LASTS))
    in_time = replace(previews, clock=FrozenClock(MORNING + LASTS - timedelta(seconds=1)))

    _, stale = late.confirmed(ACME, "relations", kept.token, "o", shows(ROW))
    _, good = in_time.confirmed(ACME, "relations", kept.token, "o", shows(ROW))

    assert stale is not None
    assert (stale.code, good) == ("PREVIEW_STALE", None)


def test_a_token_is_for_whom_what_and_which_msp_it_was_made(previews: Previews) -> None:
    kept = previews.keep(ACME, "relations", ASKED, [ROW])
    add_msp(previews.engine, "other")

    assert code(replace(previews, caller="eve"), kept.token) == "NO_SUCH_PREVIEW"
    for msp_id, kind in ((MspId("other"), "relations"), (ACME, "drift")):
        with pytest.raises(Refusal):
            previews.take(msp_id, kind, kept.token)


def test_one_operation_may_use_a_token_again_and_no_other_may(previews: Previews) -> None:
    kept = previews.keep(ACME, "relations", ASKED, [ROW])
    for _ in range(2):
        # the second time everything is done already, so it would show something else
        found, stale = previews.confirmed(ACME, "relations", kept.token, "o", shows(ROW))
        assert (found.rows, stale) == ([ROW], None)

    again = previews.confirmed(ACME, "relations", kept.token, "o", shows(ROW | {"units": 8}))

    assert again[1] is None
    assert code(previews, kept.token, "another") == "PREVIEW_USED"


def test_a_click_whose_twin_was_quicker_gets_the_twins_answer(previews: Previews) -> None:
    kept = previews.keep(ACME, "relations", ASKED, [ROW])

    def slowly(_asked: dict[str, Any]) -> list[dict[str, Any]]:
        previews.confirmed(ACME, "relations", kept.token, "o", shows(ROW))
        return [ROW | {"units": 8}]

    found, stale = previews.confirmed(ACME, "relations", kept.token, "o", slowly)

    assert (found.token, stale) == (kept.token, None)


@given(
    name=st.sampled_from(["count", "units", "effective_date", "price_now", "preflight", "brake"]),
    value=st.integers(0, 99) | st.text() | st.none(),
)
def test_a_print_tells_any_difference_that_a_person_could_see(name: str, value: object) -> None:
    assert (print_of([ROW]) == print_of([ROW | {name: value}])) == (name in ROW and ROW[name] == value)
