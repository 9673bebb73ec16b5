"""HTTP requests at the root or in a zone -> answers of the web services, SOAP 1.1 only."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.sandbox.autotask.description import write_description
from deploy.sandbox.autotask.envelope import ATWS, Call, Malformed, read_call, write_fault, write_result
from deploy.sandbox.autotask.installation import Installation
from deploy.sandbox.autotask.limits import Refusal
from deploy.sandbox.autotask.visit import Unauthorised, Visit, xml_response

REALM = 'Basic realm="webservices2.autotask.net"'


@dataclass(frozen=True)
class Description:
    """Answers the WSDL."""

    zone: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        base = str(Request(scope).base_url).rstrip("/")
        await xml_response(write_description(base + address(self.zone)))(scope, receive, send)


@dataclass(frozen=True)
class Front:
    """Answers calls at the root (zone None) or in a zone."""

    installation: Installation
    zone: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method != "POST":
            await Description(self.zone)(scope, receive, send)
            return
        body = await request.body()
        with ExitStack() as held:
            try:
                response = await self._respond(request, body, held)
            except Unauthorised:
                page = (
                    "<html><head><title>401 Unauthorized</title><body><h1>401<p>You do not have permission.<br></html>"
                )
                response = HTMLResponse(page, 401, {"WWW-Authenticate": REALM})
            except Malformed as malformed:
                response = xml_response(write_fault(str(malformed)), 500)
            await response(scope, receive, send)

    async def _respond(self, request: Request, body: bytes, held: ExitStack) -> ASGIApp:
        call = read_call(body)
        _check_headers(request, call)
        if call.operation == "getZoneInfo":
            return self._zone_info(request, call)
        visit = Visit(self.installation, call)
        with self.installation.lock:
            visit.sign_in(request.headers.get("authorization", ""), self.zone)
            try:
                delay = visit.let_in(held)
            except Refusal as refusal:
                visit.note("refused")
                return xml_response(write_fault(str(refusal)), visit.database.switches.refusal_status)
        if delay:
            await asyncio.sleep(delay)
        with self.installation.lock:
            return visit.perform()

    def _zone_info(self, request: Request, call: Call) -> Response:
        database = self.installation.of_user(call.arguments.get("UserName", ""))
        base = str(request.base_url).rstrip("/")
        url = escape(base + address(database.zone)) if database else ""
        result = f"<URL>{url}</URL><ErrorCode>{0 if database else -1}</ErrorCode><DataBaseType /><CI>30049</CI>"
        return xml_response(write_result("getZoneInfo", f"{result}<WebUrl>{base}/</WebUrl>"))


def address(zone: int | None) -> str:
    """The path of the root's or a zone's service."""
    return "/atservices/1.6/atws.asmx" if zone is None else f"/zone{zone}/ATServices/1.6/atws.asmx"


def _check_headers(request: Request, call: Call) -> None:
    """SOAP 1.1 only: text/xml and a SOAPAction that names the operation."""
    action = request.headers.get("soapaction", "").strip('"')
    if not request.headers.get("content-type", "").startswith("text/xml"):
        raise Malformed("SOAP header Action was not understood.")
    if action != f"{ATWS}{call.operation}":
        raise Malformed(f"Server did not recognize the value of HTTP Header SOAPAction: {action}.")
