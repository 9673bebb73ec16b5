"""Scripted answers -> an Autotask over real HTTP that remembers what it was asked."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lxml import etree
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.sandbox.serving import serving
from plumbing.clock import FrozenClock
from plumbing.http import Limits
from plumbing.way_out import WayOut
from services.psa_writer.psa.autotask_door import AutotaskAccount, Limiter
from services.psa_writer.psa.autotask_soap import AutotaskSoap

NAMESPACE = "http://autotask.net/ATWS/v1_6/"
INSIDE = WayOut(private_addresses=True)
QUICK = Limits(connect=2, read=0.5, total=1)
PASSWORD = "canary-pässword"
TRACKING = "CANARYTRACKINGIDENTIFIER012"


@dataclass(frozen=True)
class Asked:
    """One call as it came in."""

    path: str
    operation: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def query(self) -> str:
        """The QueryXML, "" when it is no query."""
        return etree.fromstring(self.body).findtext(f".//{{{NAMESPACE}}}sXML") or ""

    @property
    def entity(self) -> str:
        """The entity that a query is about."""
        found = re.search("<entity>(.*?)</entity>", self.query)
        return found[1] if found else ""


@dataclass
class Wire:
    """answer: what to say to a signed-in call; zone_path: where the zone answer points to."""

    answer: Callable[[Asked], ASGIApp]
    zone_path: str = "/zone1"
    zone: Callable[["Wire"], ASGIApp] | None = None
    base: str = ""
    asked: list[Asked] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        operation = request.headers["soapaction"].strip('"').rpartition("/")[2]
        asked = Asked(request.url.path, operation, dict(request.headers), await request.body(), scope["client"][1])
        self.asked.append(asked)
        await self._answer(asked)(scope, receive, send)

    def _answer(self, asked: Asked) -> ASGIApp:
        if asked.operation != "getZoneInfo":
            return self.answer(asked)
        return self.zone(self) if self.zone else zone_reply(self.base + self.zone_path)

    def signed_in(self) -> list[Asked]:
        """The calls but for those about the zone."""
        return [each for each in self.asked if each.operation != "getZoneInfo"]


def no_limit(_entity: str) -> nullcontext[None]:
    return nullcontext()


@contextmanager
def autotask(
    wire: Wire,
    limiter: Limiter = no_limit,
    limits: Limits = QUICK,
    clock: FrozenClock | None = None,
    way: WayOut = INSIDE,
) -> Iterator[AutotaskSoap]:
    """Our client, connected to the wire."""
    with serving(wire) as base:
        wire.base = base
        clock = clock or FrozenClock(datetime(2026, 8, 14, 12, tzinfo=UTC))
        with closing(AutotaskSoap(account(f"{base}/first"), limiter, clock, limits, way=way)) as client:
            yield client


def account(address: str) -> AutotaskAccount:
    return AutotaskAccount("api@msp.example", PASSWORD, TRACKING, "EUR", address)


def always(answer: ASGIApp) -> Wire:
    """A wire that says the same to every signed-in call."""
    return Wire(lambda _asked: answer)


def in_turn(*answers: ASGIApp) -> Wire:
    """A wire that gives its answers one after the other."""
    left = iter(answers)
    return Wire(lambda _asked: next(left))


def xml(content: str | bytes, status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(content, status, media_type="text/xml; charset=utf-8", headers=named)


def html(status: int = 200) -> Response:
    return Response("<html><body>Bad gateway<br></body></html>", status, media_type="text/html")


def envelope(inside: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">'
        f"<soap:Body>{inside}</soap:Body></soap:Envelope>"
    )


def response(operation: str, inside: str) -> str:
    return envelope(
        f'<{operation}Response xmlns="{NAMESPACE}"><{operation}Result>{inside}</{operation}Result></{operation}Response>'
    )


def result(
    operation: str, entities: str = "", kind: str = "", code: int = 1, errors: tuple[str, ...] = (), infos: str = ""
) -> str:
    """An ATWSResponse with these entities and errors."""
    told = "".join(f"<ATWSError><Message>{each}</Message></ATWSError>" for each in errors)
    return response(
        operation,
        f"<ReturnCode>{code}</ReturnCode><EntityResults>{entities}</EntityResults>"
        f"<EntityResultType>{kind}</EntityResultType><Errors>{told}</Errors>"
        f"<EntityReturnInfoResults>{infos}</EntityReturnInfoResults>",
    )


def entity(kind: str, entity_id: object, **fields: object) -> str:
    inside = "".join(f'<{name} xsi:type="xsd:string">{value}</{name}>' for name, value in fields.items())
    return f'<Entity xsi:type="{kind}"><id>{entity_id}</id><UserDefinedFields/>{inside}</Entity>'


def listed(kind: str, *entities: str) -> Response:
    """The reply to a query."""
    return xml(result("query", "".join(entities), kind))


def refused(*errors: str, operation: str = "create") -> Response:
    return xml(result(operation, code=-1, errors=errors))


def fault(message: str, code: str = "Server", status: int = 500) -> Response:
    inside = f"<soap:Fault><faultcode>soap:{code}</faultcode><faultstring>{message}</faultstring></soap:Fault>"
    return xml(envelope(inside), status)


def zone_reply(url: str, code: int = 0) -> Response:
    inside = f"<URL>{url}</URL><ErrorCode>{code}</ErrorCode><DataBaseType/><CI>1</CI><WebUrl/>"
    return xml(response("getZoneInfo", inside))
