"""What an MSP decides of its policies -> rows in setup.* and events in its log, in one transaction.

All that an MSP has decided is one set, and each save makes a version of it: who saves upon an older one is told, and one may go
back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, Engine, text

from domain.events import PolicyChanged
from domain.keys import MspId
from domain.policies import POLICIES, Policies, Scope
from gateway.acts import append_acts
from gateway.draft_policies import PolicyChange, PolicyStep, Values, drafted, fingerprint, lets_loose, steps
from gateway.errors import Refusal
from gateway.people.callers import Caller
from gateway.set_up import Upon, setup_msp
from plumbing import setup
from plumbing.clock import Clock
from plumbing.row_security import of_msp
from services.reporting.queries import company_names, resource_names

STREAM = "policies"

#: Refuses what would hold once it is saved, by what holds now.
Judge = Callable[[Policies, Values], None]


@dataclass(frozen=True)
class Deciding:
    """The door through which policies are decided. actor: on whose behalf."""

    engine: Engine
    clock: Clock
    actor: str

    def save(
        self, msp_id: MspId, changes: Sequence[PolicyChange], upon: Upon | None = None, judge: Judge | None = None
    ) -> int:
        """The version of the set with these changes; today's when they change nothing. upon None: whatever holds is changed.
        BadPolicy, BadSetup; Refusal POLICIES_CHANGED, NO_SUCH_COMPANY, NO_SUCH_RESOURCE, and those of the judge."""
        return self._save(msp_id, lambda connection, before: _changed(connection, msp_id, before, changes), upon, judge)

    def restore(self, msp_id: MspId, version: int, upon: Upon, judge: Judge | None = None) -> int:
        """The version that was made with all that an older one had decided. As save(); Refusal NO_SUCH_VERSION."""
        return self._save(msp_id, lambda connection, _: _of_version(connection, msp_id, version), upon, judge)

    def _save(
        self,
        msp_id: MspId,
        draft: Callable[[Connection, Policies], Values],
        upon: Upon | None,
        judge: Judge | None,
    ) -> int:
        with of_msp(self.engine, msp_id).begin() as connection:
            setup_msp(connection, msp_id)
            _one_at_a_time(connection, msp_id)
            before = setup.policies(connection, msp_id)
            if upon is not None:
                done = _done_by(connection, msp_id, upon.operation_id)
                if done:
                    return done
                _refuse_stale(connection, msp_id, before.version, upon.version)
            after = draft(connection, before)
            changed = steps(before.values, after)
            if not changed:
                return before.version
            if judge is not None:
                judge(before, after)
            now, version = self.clock.now(), before.version + 1
            self._keep(connection, msp_id, Policies(version, after), now, upon.operation_id if upon else None)
            events = [_event(step, version) for step in changed]
            append_acts(connection, msp_id, self.actor, now, STREAM, _next_in_stream(connection, msp_id), events)
        return version

    def _keep(
        self, connection: Connection, msp_id: MspId, after: Policies, now: datetime, operation_id: str | None
    ) -> None:
        values = {
            "msp_id": msp_id,
            "version": after.version,
            "decided": orjson.dumps(after.rows()).decode(),
            "now": now,
            "actor": self.actor,
            "operation_id": operation_id,
        }
        connection.execute(
            text(
                """INSERT INTO setup.policy_versions (msp_id, version, decided, saved_at, saved_by, operation_id)
                   VALUES (:msp_id, :version, :decided, :now, :actor, :operation_id)"""
            ),
            values,
        )
        connection.execute(text("DELETE FROM setup.policies WHERE msp_id = :msp_id"), values)
        connection.execute(
            text(
                """INSERT INTO setup.policies (msp_id, policy, value, company_id, resource_id, version, saved_at)
                   SELECT :msp_id, d.policy, d.value, d.company_id, d.resource_id, :version, :now
                   FROM jsonb_to_recordset(CAST(:decided AS jsonb))
                       AS d (policy text, value text, company_id text, resource_id text)"""
            ),
            values,
        )


def unseen_refused(msp_id: MspId, caller: Caller, now: datetime, token: str | None) -> Judge:
    """What would let adjustments go out by themselves that wait now needs the password of the last 15 minutes, and the token of
    a preview of just that: Refusal PASSWORD_NEEDED, PREVIEW_NEEDED."""

    def judge(before: Policies, after: Values) -> None:
        if not lets_loose(before.values, after):
            return
        caller.refuse_unproven(now)
        if token != fingerprint(msp_id, before.version, after):
            raise Refusal(
                "PREVIEW_NEEDED",
                "With these policies adjustments go out by themselves that do not now.",
                "Look at what they would do to the open adjustments (previewPolicies), then save them with its token.",
            )

    return judge


def draft_of(
    connection: Connection, msp_id: MspId, changes: Sequence[PolicyChange], to_version: int | None
) -> tuple[Policies, Values]:
    """What holds, and what would with the changes or, when it is given, as in an older version. BadPolicy; Refusal
    NO_SUCH_VERSION, NO_SUCH_COMPANY, NO_SUCH_RESOURCE."""
    before = setup.policies(connection, msp_id)
    if to_version is not None:
        return before, _of_version(connection, msp_id, to_version)
    return before, _changed(connection, msp_id, before, changes)


def _of_version(connection: Connection, msp_id: MspId, version: int) -> Values:
    """What a version had decided, of policies and values that there are today. Refusal NO_SUCH_VERSION; BadPolicy."""
    rows = connection.scalar(
        text("SELECT decided FROM setup.policy_versions WHERE msp_id = :msp_id AND version = :version"),
        {"msp_id": msp_id, "version": version},
    )
    if rows is None:
        raise Refusal("NO_SUCH_VERSION", "There is no such version of the policies.", "Choose one of policyVersions.")
    known = Policies.of_rows(version, (row for row in rows if row["policy"] in POLICIES)).values
    for decided_here in known.values():
        for name, value in decided_here.items():
            POLICIES[name].check(name, value)
    return known


def _changed(
    connection: Connection, msp_id: MspId, before: Policies, changes: Sequence[PolicyChange]
) -> dict[Scope, dict[str, str]]:
    """Nobody makes an exception for a company or resource that there is not: it would never hold."""
    after = drafted(before.values, changes)
    new = after.keys() - before.values.keys()
    companies = {scope.company_id for scope in new if scope.company_id}
    if missing := companies - company_names(connection, msp_id, companies).keys():
        said = f"There is no company {min(missing)!r} in ODIN as it was last read."
        raise Refusal("NO_SUCH_COMPANY", said, "Give the id of a company as the reports show it.")
    resources = {scope.resource_id for scope in new if scope.resource_id}
    if lacking := resources - resource_names(connection, msp_id, resources).keys():
        said = f"There is no resource {min(lacking)!r} in ODIN as it was last read."
        raise Refusal("NO_SUCH_RESOURCE", said, "Give the id of a resource as the reports show it.")
    return after


def _event(step: PolicyStep, version: int) -> PolicyChanged:
    return PolicyChanged(
        policy=step.name,
        previous_value=step.before,
        value=step.after,
        company_id=step.scope.company_id,
        resource_id=step.scope.resource_id,
        policies_version=version,
    )


def _next_in_stream(connection: Connection, msp_id: MspId) -> int:
    last = connection.scalar(
        text("SELECT max(stream_version) FROM log.events WHERE msp_id = :msp_id AND stream = :stream"),
        {"msp_id": msp_id, "stream": STREAM},
    )
    return int(last or 0) + 1


def _one_at_a_time(connection: Connection, msp_id: MspId) -> None:
    """Policies of an MSP are saved one by one: of two who change the same version, the second is told."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 7430))"), {"key": f"{msp_id}/policies"}
    )


def _done_by(connection: Connection, msp_id: MspId, operation_id: str) -> int | None:
    """The version that this very operation has made before."""
    version: int | None = connection.scalar(
        text("SELECT version FROM setup.policy_versions WHERE msp_id = :msp_id AND operation_id = :operation_id"),
        {"msp_id": msp_id, "operation_id": operation_id},
    )
    return version


def _refuse_stale(connection: Connection, msp_id: MspId, version: int, seen: int) -> None:
    if version == seen:
        return
    saved = connection.execute(
        text("SELECT saved_by, saved_at FROM setup.policy_versions WHERE msp_id = :msp_id AND version = :version"),
        {"msp_id": msp_id, "version": version},
    ).first()
    said = "No policies were saved yet."
    if saved is not None:
        said = f"{saved.saved_by} saved the policies as version {version} on {saved.saved_at:%Y-%m-%d at %H:%M:%S} UTC."
    raise Refusal("POLICIES_CHANGED", said, "Load them again; their history shows what was changed.")
