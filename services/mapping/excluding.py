"""What a person leaves out of billing -> exclusions, and their ends: by a person, or by themselves after their last day."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine

from domain.events import ResourceExcluded
from domain.keys import BadKey, ResourceKey
from plumbing import setup
from plumbing.clock import Clock
from services.mapping import known, record
from services.mapping.decide_relation import RESOURCE_UNKNOWN, Refusal, Resource
from services.mapping.operations import Decision, once, result_of
from services.mapping.wishes import Ask


def exclude(
    engine: Engine, clock: Clock, ask: Ask, resource_keys: Sequence[str], reason: str, until: date | None
) -> dict[str, Any]:
    """The answer, row by row: the resources are left out up to and with the day `until` (in the MSP's time zone; None:
    without end). One that is excluded already has the new reason and day from now on."""

    def decide(connection: Connection) -> Decision:
        resources = known.resources_by_key(connection, ask.msp_id, resource_keys)
        rows = known.exclusion_rows(connection, ask.msp_id, resource_keys)
        relations = known.relation_rows(connection, ask.msp_id, resource_keys)
        linked = {key for key, row in relations.items() if row["live"]}
        today = clock.today(setup.msp(connection, ask.msp_id).time_zone)
        events: dict[str, ResourceExcluded] = {}
        results = []
        for key in resource_keys:
            resource, row = _of_key(key, resources), rows.get(key)
            if resource is None:
                results.append(result_of(key, RESOURCE_UNKNOWN))
            elif refusal := _refusal(resource, is_linked=key in linked, is_over=until is not None and until < today):
                results.append(result_of(key, refusal))
            elif key in events or (row and row["excluded"] and (row["reason"], row["until"]) == (reason, until)):
                results.append(result_of(key, None, "already_excluded"))
            else:
                events[key] = record.excluded(resource.names, reason, until)
                results.append(result_of(key, events[key]))
        return results, list(events.values())

    asked = ["exclude", list(resource_keys), reason, until.isoformat() if until else None]
    return once(engine, clock, ask, asked, decide)


def include(engine: Engine, clock: Clock, ask: Ask, resource_keys: Sequence[str], reason: str) -> dict[str, Any]:
    """The answer, row by row: the resources are to be linked again."""

    def decide(connection: Connection) -> Decision:
        excluded = known.excluded(connection, ask.msp_id, resource_keys)
        resources = known.resources_by_key(connection, ask.msp_id, resource_keys)
        events = {key: record.included(known.odin(row), reason) for key, row in excluded.items()}
        results = [
            result_of(key, events.get(key), None if key in events else "not_excluded")
            if _of_key(key, resources)
            else result_of(key, RESOURCE_UNKNOWN)
            for key in resource_keys
        ]
        return results, list(events.values())

    return once(engine, clock, ask, ["include", list(resource_keys), reason], decide)


def end_passed(engine: Engine, clock: Clock) -> None:
    """Takes in again what was excluded up to a day that has passed where the MSP is: the log tells it, so that reports as of
    any day know it too."""
    with engine.connect() as connection:
        passed = known.passed(connection, clock.now())
    for msp_id in passed:
        with engine.begin() as connection:
            known.lock(connection, msp_id)
            # Asked again: meanwhile a person may have included it, or given it another day.
            resource_keys = known.passed(connection, clock.now()).get(msp_id, [])
            rows = known.excluded(connection, msp_id, resource_keys).values()
            events = [record.included(known.odin(row), "its last day has passed") for row in rows]
            record.record(connection, msp_id, events, record.Cause(uuid4().hex), clock.now())


def _of_key(key: str, resources: dict[ResourceKey, Resource]) -> Resource | None:
    try:
        return resources.get(ResourceKey.parse(key))
    except BadKey:
        return None


def _refusal(resource: Resource, *, is_linked: bool, is_over: bool) -> Refusal | None:
    name = f"“{resource.names.resource_name}”"
    if is_linked:
        return Refusal(
            "resource_linked",
            f"{name} is linked, so it is billed.",
            "Clear its relation first, or freeze it to stop posting for a while.",
        )
    if resource.gone:
        return Refusal("resource_gone", f"{name} is no longer in the marketplace.", "Nothing to do: it is not billed.")
    if is_over:
        return Refusal("until_passed", "The last day has passed already.", "Give today or a later day, or none.")
    return None
