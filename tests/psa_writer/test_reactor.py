"""The writer's reactor: requests and relations of the log, kept; one open request a product; work put for whoever posts."""

from sqlalchemy import text

from domain.events import ConnectionSaved
from plumbing.catch_up import catch_up
from services.psa_writer.reactor import reactor
from tests.psa_writer.writing import Writing


def react(writing: Writing) -> None:
    catch_up(writing.engine, reactor(writing.clock), writing.msp_id, writing.clock)


def rows(writing: Writing, query: str) -> list:
    with writing.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_a_request_is_kept_and_its_work_put(writing: Writing) -> None:
    line = writing.add_product(4)
    request = writing.request(line, 12)

    react(writing)

    assert writing.states() == {request: "planned"}
    assert rows(writing, "SELECT queue, body ->> 'connection_id' FROM queue.outbox") == [
        ("psa_writer.posts", "autotask")
    ]


def test_the_newest_request_of_a_product_is_the_open_one_in_one_slice_and_over_two(writing: Writing) -> None:
    line, other = writing.add_product(4), writing.add_product(4)
    first = writing.request(line, 12)
    react(writing)
    second, third, apart = writing.request(line, 6), writing.request(line, 7), writing.request(other, 5)

    react(writing)

    assert writing.states() == {first: "superseded", second: "superseded", third: "planned", apart: "planned"}


def test_a_request_that_was_superseded_by_none_is_closed(writing: Writing) -> None:
    line = writing.add_product(4)
    before = writing.request(line, 12)
    react(writing)
    writing.supersede(before, line)
    within = writing.request(line, 13)
    writing.supersede(within, line)

    react(writing)

    assert writing.states() == {before: "superseded", within: "superseded"}


def test_a_request_that_is_done_stays_done_when_it_is_superseded_late(writing: Writing) -> None:
    line = writing.add_product(4)
    request = writing.request(line, 12)
    writing.work()
    writing.supersede(request, line)

    react(writing)

    assert writing.states() == {request: "done"}


def test_a_relation_is_what_its_last_event_says(writing: Writing) -> None:
    line, other = writing.add_product(4), writing.add_product(4)
    writing.clear(line)
    writing.clear(other)
    writing.link(other)
    query = "SELECT psa_product_id FROM psa_writer.relations"

    react(writing)
    assert rows(writing, query) == [(str(other),)]

    writing.clear(other)
    react(writing)
    assert rows(writing, query) == []


def test_a_saved_connection_is_read_and_posted_to_at_once_whatever_its_pause(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.desk.faults.script("unavailable", times=3)
    writing.work()
    assert len(writing.desk.ledger()) == 0
    writing.desk.faults.clear()
    event = ConnectionSaved(
        connection_id="autotask", kind="autotask", connection_version=2, changed_settings=(), replaced_secrets=()
    )
    writing.world.append(("connection/autotask", event))

    writing.wait(9)
    react(writing)

    assert rows(writing, "SELECT paused_until FROM psa_writer.connections") == [(None,)]
    assert [queue for (queue,) in rows(writing, "SELECT queue FROM queue.outbox ORDER BY number")][1:] == [
        "psa_writer.posts",
        "psa_writer.catalogue",
    ]
