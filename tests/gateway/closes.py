"""A gateway on a database of its own, and MSPs whose month has nothing against it."""

import dataclasses
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

import requests
from sqlalchemy import Engine, text

from domain.events import Event
from domain.keys import MspId
from plumbing.database import make_engine
from tests.gateway.serving import TOKEN, Answering, gateway
from tests.msps import add_msp
from tests.reporting import history as h
from tests.reporting.closing import ALL_GREEN, A, B, P, connect
from tests.servers import Postgres, role_url

CHECKLIST = """query($msp: String!, $period: String!, $psa: String = "autotask") {
  closeChecklist(mspId: $msp, psaConnectionId: $psa, period: $period) {
    period psaConnectionId state dueOn freezeFrom frozen timeZone position checkedAt green amber red accepted
    checks { key title step state rows money { amount currency } oldestAt nextTryAt names readAt
             link { report query } acceptedBy acceptedAt reason }
    signedOff { by at position exceptions reason } invoiced { by at } reopened { by at reason } } }"""
_OUTCOME = "{ operationId results { id ok refusal { code message fix } } }"
_GIVEN = "mspId: $msp, psaConnectionId: $psa, period: $period, operationId: $operation"
_HEAD = 'mutation($msp: String!, $period: String!, $operation: String!, $psa: String = "autotask"'
ACTS = {
    "acceptCheck": f"{_HEAD}, $check: String!, $reason: String!) {{ acceptCheck({_GIVEN}, check: $check, reason: $reason)",
    "signOffClose": f'{_HEAD}, $reason: String = "") {{ signOffClose({_GIVEN}, reason: $reason)',
    "reopenClose": f"{_HEAD}, $reason: String!) {{ reopenClose({_GIVEN}, reason: $reason)",
    "markInvoiced": f"{_HEAD}) {{ markInvoiced({_GIVEN})",
}
UNLINKED, EDITED = h.discovered(B, "2"), h.units(P, 15)
_numbers = count(1)


@dataclass
class House:
    """A gateway, its database, and the month that it is."""

    answering: Answering
    engine: Engine
    period: str

    def msp(self, name: str = "", time_zone: str = "UTC") -> "Msp":
        """An MSP whose checks are all green."""
        msp_id = add_msp(self.engine, name or f"msp{next(_numbers)}", time_zone)
        connect(self.engine, msp_id)
        msp = Msp(self, msp_id)
        lasting = dataclasses.replace(h.agreement(P), end_date=date(2999, 12, 31))
        msp.tell(*ALL_GREEN, lasting)
        return msp


@dataclass
class Msp:
    house: House
    msp_id: MspId

    def tell(self, *happened: Event) -> None:
        """As if it happened just now."""
        h.append(self.house.engine, self.msp_id, happened, occurred_at=datetime.now(UTC))
        h.project(self.house.engine, self.msp_id)

    def checklist(self, period: str = "") -> dict[str, Any]:
        given = {"msp": self.msp_id, "period": period or self.house.period}
        return self.house.answering.data(CHECKLIST, **given)["closeChecklist"]

    def check(self, key: str) -> dict[str, Any]:
        (found,) = (one for one in self.checklist()["checks"] if one["key"] == key)
        return found

    def act(self, name: str, **given: Any) -> dict[str, Any]:
        """The row of the answer; an operation of its own unless one is given."""
        asked = {"msp": self.msp_id, "period": self.house.period, "operation": uuid.uuid4().hex} | given
        (row,) = self.house.answering.data(f"{ACTS[name]} {_OUTCOME} }}", **asked)[name]["results"]
        return row

    def refused(self, name: str, **given: Any) -> str:
        """The code of the refusal."""
        row = self.act(name, **given)
        assert (row["ok"], bool(row["refusal"]["message"]), bool(row["refusal"]["fix"])) == (False, True, True)
        return row["refusal"]["code"]

    def does(self, name: str, **given: Any) -> None:
        assert self.act(name, **given)["ok"]

    def events(self, kind: str) -> list[dict[str, Any]]:
        with self.house.engine.connect() as connection:
            query = text("SELECT payload FROM log.events WHERE msp_id = :msp AND type = :kind ORDER BY position")
            return list(connection.scalars(query, {"msp": self.msp_id, "kind": kind}))

    def export(self, file: str, **given: str) -> requests.Response:
        asked = {"mspId": self.msp_id, "context": "autotask", "period": self.house.period} | given
        bearer = {"authorization": f"Bearer {TOKEN}"}
        return requests.get(f"{self.house.answering.url}/export/{file}", asked, headers=bearer, timeout=60)


@contextmanager
def a_house(postgres: Postgres, template: str) -> Iterator[House]:
    """A gateway under its own role and without a broker."""
    name = f"close_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, template)
    engine = make_engine(postgres.database_url(name), "test")
    try:
        with gateway(role_url(postgres.database_url(name), "trueup_gateway")) as answering:
            yield House(answering, engine, f"{datetime.now(UTC):%Y-%m}")
    finally:
        engine.dispose()
        postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


__all__ = ["EDITED", "UNLINKED", "A", "House", "Msp", "a_house"]
