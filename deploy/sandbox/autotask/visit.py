"""A call -> its answer: sign-in, limits, the operation, and the fault that strikes it before or after its effect is kept."""

import asyncio
import base64
import binascii
from contextlib import ExitStack, suppress

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp

from deploy.sandbox.autotask.calls import CallMade
from deploy.sandbox.autotask.database import Database
from deploy.sandbox.autotask.envelope import OPERATIONS, Call, Malformed, Reply, write_fault, write_reply
from deploy.sandbox.autotask.faults import Fault
from deploy.sandbox.autotask.installation import Installation
from deploy.sandbox.autotask.limits import LOCKED
from deploy.sandbox.autotask.operations import answer
from deploy.sandbox.autotask.query_xml import entity_name
from deploy.sandbox.serving import CutOff, Hang, Trickle

NO_CODE = "Integration code required with this version of the API."
WRONG_CODE = "The integration code is not valid."
_PAGES = {
    "bad_gateway": (502, "Bad Gateway"),
    "unavailable": (503, "Service Unavailable"),
    "gateway_timeout": (504, "Gateway Timeout"),
}
_HANG_SECONDS = 300.0
_LATE_SECONDS = 90.0
_TRICKLE_SECONDS = 0.1
_PIECES = 20


class Unauthorised(Exception):
    """Wrong user, password or zone: status 401 with a page that is no XML."""


class _NotKept(Exception):
    """Ends a transaction whose effect is to be lost; carries the reply that would have come."""

    def __init__(self, reply: bytes) -> None:
        super().__init__()
        self.reply = reply


class Visit:
    """One call on its way to its database."""

    database: Database

    def __init__(self, installation: Installation, call: Call) -> None:
        self.installation = installation
        self.call = call
        self.request_id = installation.new_request_id()
        self.entity = _entity(call)

    def note(self, outcome: str) -> None:
        """Take the call down with this outcome."""
        call = CallMade(
            self.request_id, self.call.operation, self.entity, len(self.call.entities), outcome, self.database.now()
        )
        self.database.calls.add(call)

    def sign_in(self, authorization: str, zone: int | None) -> None:
        """Find the database; Unauthorised when user, password or zone is wrong. Wrong passwords count towards the lock."""
        user, password = _credentials(authorization)
        database = self.installation.of_user(user)
        if database is None:
            raise Unauthorised
        self.database, limits = database, database.limits
        if database.zone != zone:
            self._refuse_sign_in()
        if limits.locked:
            self.note("locked")
            raise Malformed(LOCKED)
        if password != database.password or database.password_expired:
            limits.bad_logins_so_far += 1
            self.installation.save()
            self._refuse_sign_in()
        limits.bad_logins_so_far = 0

    def let_in(self, held: ExitStack) -> float:
        """The seconds to wait; Refusal by a limit. A thread is taken until the answer is out."""
        code = self.call.integration_code or ""
        limits = self.database.limits
        held.enter_context(limits.thread(code, self.entity or self.call.operation))
        return limits.count_request()

    def perform(self) -> ASGIApp:
        """The answer, or what a fault makes of it."""
        if self.call.integration_code != self.database.tracking_identifier:
            self.note("refused")
            return _refusal(self.call, WRONG_CODE if self.call.integration_code else NO_CODE, self.database)
        fault = self.database.faults.take(self.call.operation, self.entity)
        self.note(f"{fault.kind} {fault.when}" if fault else "answered")
        if fault is None:
            return xml_response(self._answer())
        return self._struck(fault)

    def _struck(self, fault: Fault) -> ASGIApp:
        if fault.kind in {"zone_change", "password_expired", "rights_cut"}:
            return self._changed_for_good(fault)
        if fault.kind == "late_commit":
            late = _LATE_SECONDS if fault.seconds is None else fault.seconds
            asyncio.get_running_loop().call_later(late, self._answer_late)
            return CutOff(reset=True)
        if fault.kind == "forget":
            backup = self.database.backup()
            body = self._answer()
            self.database.restore(backup)
            return xml_response(body)
        unknown_field = fault.kind.removeprefix("unknown_field_") if fault.kind.startswith("unknown_field_") else ""
        body = self._answer(unknown_field) if fault.when == "after" else self._answer_not_kept(unknown_field)
        if fault.kind == "duplicated":
            self._answer()
        return _spoiled(body, fault)

    def _changed_for_good(self, fault: Fault) -> ASGIApp:
        if fault.kind == "zone_change":
            self.database.change_zone()
        elif fault.kind == "password_expired":
            self.database.password_expired = True
        else:
            self.database.engine.rights_cut = True
        self.installation.save()
        if fault.kind == "rights_cut":
            return xml_response(self._answer())
        raise Unauthorised

    def _answer(self, unknown_field: str = "") -> bytes:
        return answer(self.database, self.call, self.request_id, unknown_field=unknown_field)

    def _answer_not_kept(self, unknown_field: str) -> bytes:
        """The reply to a call whose effect is lost."""
        try:
            with self.database.books.transaction():
                raise _NotKept(self._answer(unknown_field))
        except _NotKept as lost:
            return lost.reply

    def _answer_late(self) -> None:
        with self.installation.lock, suppress(Malformed):
            self._answer()

    def _refuse_sign_in(self) -> None:
        self.note("unauthorised")
        raise Unauthorised


def _credentials(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _entity(call: Call) -> str:
    if call.operation == "query":
        return entity_name(call.arguments.get("sXML", ""))
    return call.entities[0].type_name if call.entities else ""


def _refusal(call: Call, text: str, database: Database) -> Response:
    """A refusal in the form of the operation's answer: errors where it has some, else a fault."""
    if OPERATIONS[call.operation] == "response":
        return xml_response(write_reply(call.operation, Reply(errors=(text,)), database.engine))
    return xml_response(write_fault(text), 500)


def _spoiled(body: bytes, fault: Fault) -> ASGIApp:
    """The reply as the fault lets it through."""
    if fault.kind in _PAGES:
        status, title = _PAGES[fault.kind]
        return HTMLResponse(
            f"<html><head><title>{title}</title></head><body><center><h1>{status} {title}<hr></body></html>", status
        )
    whole: dict[str, ASGIApp] = {
        "time_out": Hang(_HANG_SECONDS if fault.seconds is None else fault.seconds),
        "reset": CutOff(reset=True),
        "cut_off": CutOff(xml_response(body), after_bytes=len(body) // 2),
        "empty": xml_response(b""),
        "truncated": xml_response(_truncated(body)),
        "control_character": xml_response(_with_control_character(body)),
        "trickle": Trickle(
            xml_response(body), len(body) // _PIECES + 1, _TRICKLE_SECONDS if fault.seconds is None else fault.seconds
        ),
    }
    return whole.get(fault.kind, xml_response(body))


def _truncated(body: bytes) -> bytes:
    """Cut inside </ReturnCode>, where a forgiving parser still finds a 1: no entities, no errors, apparent success."""
    place = body.find(b"</ReturnCode>")
    return body[: place + 6] if place >= 0 else body[: len(body) // 2]


def _with_control_character(body: bytes) -> bytes:
    for mark in (b'xsi:type="xsd:string">', b"<EntityResultType>", b"Result>"):
        if mark in body:
            return body.replace(mark, mark + b"\x0b", 1)
    return body + b"\x0b"


def xml_response(body: bytes, status: int = 200) -> Response:
    """An answer of the service."""
    return Response(body, status, media_type="text/xml")
