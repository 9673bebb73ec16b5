"""A database and a sandbox Autotask -> mapping, reconciler, writer and reports of one MSP at work in this process, step by step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine

from deploy.sandbox.autotask import Desk
from domain.events.names import OdinNames
from domain.keys import CompanyId, MspId, PsaAgreementId
from domain.policies import WHOLE_MSP, Scope
from domain.relation_settings import RelationSettings
from gateway.deciding import Deciding
from gateway.draft_policies import PolicyChange
from plumbing.catch_up import catch_up
from plumbing.clock import FrozenClock
from services.mapping import excluding, moving, operations, settling
from services.mapping.reactor import reactor as mapping
from services.mapping.wishes import Ask, Refused, parse_wishes
from services.psa_writer import by_hand, deciding
from services.psa_writer.catalogue import read_catalogue
from services.psa_writer.psa.port import AdjustmentOrder
from services.psa_writer.writer import Writer
from services.reconciler.reactor import reactor as reconciler
from services.reconciler.resolve_drift import resolve_drift
from services.reporting.queries import MOST_ROWS, REPORTS, Question, read_page
from tests.psa_writer.meddling import meddling, nothing
from tests.psa_writer.writing import AUTOTASK, NOON, Writing
from tests.reporting import history
from tests.world import World

ANNUAL = (date(2026, 1, 1), date(2027, 12, 31))


class Killed(BaseException):
    """The process of the writer dies here: no handler of ours hears of it."""


@dataclass
class Office:
    """One MSP, its Autotask, and all services between them. looks: at what a create is about to send."""

    engine: Engine
    msp_id: MspId
    desk: Desk
    looks: Callable[[Sequence[AdjustmentOrder]], None]
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(NOON))
    polls: int = 0

    def __post_init__(self) -> None:
        self.writing = Writing(self.engine, self.msp_id, self.desk, self.clock)
        self.world = World(self.engine, self.msp_id)

    @property
    def today(self) -> date:
        """The billing day."""
        return self.clock.today("UTC")

    # ODIN

    def poll(self, *found: tuple[str, Any]) -> None:
        """What a poll of ODIN tells."""
        self.polls += 1
        self.world.append(*found, correlation_id=f"poll-{self.polls}", at=self.clock.now())

    # The services, one after the other

    def hear(self) -> None:
        """mapping and reconciler read the log."""
        for consumer in (mapping(self.clock), reconciler(self.clock)):
            catch_up(self.engine, consumer, self.msp_id, self.clock)

    def post(self, **happenings: Callable[[], None]) -> bool:
        """The writer reads the log and posts what is due; False: it was killed on the way."""
        with_them = {"after_units": nothing} | happenings
        made = self.writing.writer()
        meddled = meddling(made.open_psa, on_orders=self.looks, **with_them)
        try:
            self.writing.work(Writer(**{**vars(made), "open_psa": meddled}))
        except Killed:
            return False
        finally:
            self.hear()
        return True

    def work(self) -> None:
        """Everybody does what there is to do, as the timers of the services have it."""
        moving.look_daily(self.engine, self.clock)
        excluding.end_passed(self.engine, self.clock)
        self.hear()
        self.post()

    def wait(self, **time: float) -> None:
        """Lets time go by."""
        self.writing.wait(timedelta(**time).total_seconds())

    def read_catalogue(self) -> None:
        """The writer reads the PSA's catalogue."""
        read_catalogue(self.writing.writer(), self.msp_id, AUTOTASK)
        self.hear()

    def settle(self) -> None:
        """Works until whatever was unclear or put off has come to its end, and reads what the PSA has then."""
        for seconds in (0, 120, 120, 400, 900, 900):
            self.wait(seconds=seconds)
            self.work()
        self.read_catalogue()
        self.work()
        self.project()

    # The reports

    def project(self) -> None:
        """All reports at the head of the log."""
        history.project(self.engine, self.msp_id)

    def report(self, name: str) -> list[dict[str, Any]]:
        """The rows of a report, as it was last projected."""
        with self.engine.connect() as connection:
            page = read_page(connection, REPORTS[name], self.msp_id, Question(first=MOST_ROWS, wanted=frozenset()))
        assert not page.has_next
        return list(page.rows)

    # People

    def ask(self, who: str) -> Ask:
        """Someone asks mapping."""
        return Ask(self.msp_id, uuid4().hex, who)

    def link(self, who: str, names: OdinNames, line: int, *, hold_first: bool) -> str:
        """The code of the refusal, or ""."""
        wish = {
            "id": "row",
            "resource_key": str(names.resource_key(self.msp_id)),
            "psa_connection_id": AUTOTASK,
            "psa_product_id": str(line),
        }
        answer = operations.set_relations(
            self.engine, self.clock, self.ask(who), parse_wishes([wish]), hold_first=hold_first
        )
        return self._code(answer)

    def clear(self, who: str, relation_id: str) -> None:
        """The relation is taken away."""
        operations.clear_relations(self.engine, self.clock, self.ask(who), [relation_id], "no longer billed")

    def save_settings(self, who: str, relation_id: str, settings: RelationSettings) -> None:
        """The relation has these settings, unless its price contradicts another."""
        settling.save_settings(self.engine, self.clock, self.ask(who), [relation_id], settings)

    def freeze(self, who: str, relation_id: str, *, on: bool) -> None:
        """The relation is frozen, or unfrozen."""
        act = settling.freeze if on else settling.unfreeze
        act(self.engine, self.clock, self.ask(who), [relation_id], "in dispute")

    def exclude(self, who: str, names: OdinNames, *, on: bool) -> None:
        """The resource is left out for five days, or taken in again."""
        keys = [str(names.resource_key(self.msp_id))]
        if on:
            excluding.exclude(self.engine, self.clock, self.ask(who), keys, "own use", self.today + timedelta(days=5))
        else:
            excluding.include(self.engine, self.clock, self.ask(who), keys, "sold after all")

    def decide_policy(self, who: str, name: str, value: str | None, company_id: str | None) -> None:
        """The policy has this value, for one company or for all."""
        self.project()
        scope = Scope(CompanyId(company_id)) if company_id else WHOLE_MSP
        Deciding(self.engine, self.clock, who).save(self.msp_id, [PolicyChange(name, value, scope)])

    def approve(self, who: str, held: dict[str, Any], effective: str, target: int, before: int) -> str:
        """The code of the refusal, or "": what is held, approved by who saw these units."""
        item = {"request_id": held["request_id"], "target_units": target, "units_before": before}
        made = self.writing.writer()
        return self._code(deciding.approve(made, self.msp_id, [item], effective, "", uuid4().hex, who))

    def decide(self, who: str, what: str, request_id: str) -> str:
        """The same for refuse, move, drop, retry and release."""
        made = self.writing.writer()
        if what in ("retry", "release"):
            return self._code(getattr(by_hand, what)(made, self.msp_id, [request_id], who))
        given = (uuid4().hex, who) if what == "move" else ("a test", uuid4().hex, who)
        return self._code(getattr(deciding, what)(made, self.msp_id, [request_id], *given))

    def answer(self, who: str, agreement: str, moved_to: str | None) -> str:
        """The code of the refusal, or "": where the relations of an ended agreement go; None: nowhere."""
        to = PsaAgreementId(moved_to) if moved_to else None
        try:
            moving.answer_move(self.engine, self.clock, self.ask(who), (AUTOTASK, agreement), to, "as agreed")
        except Refused as refused:
            return refused.refusal.code
        return ""

    def resolve(self, who: str, row: dict[str, Any], resolution: str) -> None:
        """The PSA's units of a row of the report drift adopted, or overwritten."""
        place = {
            "psa_connection_id": AUTOTASK,
            "psa_product_id": row["psa_product_id"],
            "units": row["psa_units"],
        }
        given = ([place], resolution, "Seen.", uuid4().hex, who)
        resolve_drift(self.engine, self.clock, self.msp_id, *given)

    def _code(self, answer: dict[str, Any]) -> str:
        [result] = answer["results"]
        return str((result["refusal"] or {"code": ""})["code"])
