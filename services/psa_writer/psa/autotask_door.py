"""A request -> its reply, or a failure by kind: zone, sign-in, and what may be said about a create that went wrong."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from plumbing.calls import Counting
from plumbing.clock import Clock
from plumbing.http import Http, Limits, OutsideFailure
from plumbing.way_out import WayOut
from services.psa_writer.psa import autotask_errors as errors
from services.psa_writer.psa.autotask_replies import REFUSED as REFUSED_CODE
from services.psa_writer.psa.autotask_replies import SUCCESS, BadReply, Fault, read_fault, read_reply, read_zone
from services.psa_writer.psa.autotask_requests import Request, Requests
from services.psa_writer.psa.port import Applied, Outcome, PsaFailure, Unknown

T = TypeVar("T")

#: Stands around every call but the zone's, which Autotask does not count: waits for leave to make a call about this
#: entity, or raises; what it raises passes through, and nothing has been sent.
Limiter = Callable[[str], AbstractContextManager[object]]

FIRST_ADDRESS = "https://webservices.autotask.net/ATServices/1.6/atws.asmx"
_ZONE_LIFE = timedelta(hours=12)
#: Statuses by which Autotask turns a call away before it works on it.
_AT_THE_DOOR = {"unauthorised", "rate_limited"}

_OUTAGE_FIX = (
    "Nothing to do: Trueup tries again by itself. If it lasts, look at Autotask's status page and at your network."
)
_ADDRESS_FIX = (
    "Check the address of Autotask's web service in the connection, and whether a proxy or firewall stands between."
)
_FOREIGN_FIX = (
    "Trueup tries again by itself and believes nothing of this answer. If it lasts, something between Trueup and Autotask "
    "(a proxy, a firewall's login page) answers in its place, or Autotask has changed its API: report it."
)
_UNKNOWN_USER_FIX = (
    "Autotask does not know this user name. Enter the user name of the API user exactly as Autotask shows it "
    "(it looks like an e-mail address), then save the connection."
)


@dataclass(frozen=True)
class AutotaskAccount:
    """Whom we sign in as. currency: the code in which Autotask keeps this MSP's costs and prices (it sends none).
    address: where the zone is asked for."""

    user: str
    password: str = field(repr=False)
    tracking_identifier: str = field(repr=False)
    currency: str
    address: str = FIRST_ADDRESS


class Door:
    """The one way into one Autotask. Not for two threads at once."""

    def __init__(
        self,
        account: AutotaskAccount,
        requests: Requests,
        limiter: Limiter,
        clock: Clock,
        limits: Limits,
        counting: Counting,
        way: WayOut,
    ) -> None:
        self._account, self._requests, self._limiter, self._counting = account, requests, limiter, counting
        self._clock, self._limits, self._way = clock, limits, way
        self._credentials = b64encode(f"{account.user.strip()}:{account.password}".encode()).decode("ascii")
        self._http = self._session()
        self._zone: tuple[str, datetime] | None = None

    def close(self) -> None:
        """Closes the kept connections."""
        self._http.close()

    def zone(self, *, anew: bool = False) -> str:
        """The address of the user's zone, asked for at most every 12 hours. Raises PsaFailure."""
        now = self._clock.now()
        if self._zone is None or anew or not timedelta() <= now - self._zone[1] < _ZONE_LIFE:
            self._zone = (self._ask_zone(), now)
        return self._zone[0]

    def read(self, request: Request, parse: Callable[[bytes], T]) -> T:
        """What `parse` makes of the reply to a call that changes nothing. Raises PsaFailure, also for parse's BadReply."""
        with _failures(request, self._http.hide):
            return parse(self._signed_in(request, self._http))

    def create(self, request: Request, sent: int) -> Outcome:
        """What became of a create of `sent` entities, sent once.

        Raises PsaFailure only where Autotask certainly has not worked on it: never connected, not let in (401), too many
        calls (429 or its words), or a fault that blames the request. Each create goes over a connection of its own: a
        kept one that the server is just closing would leave the outcome unknown for nothing.
        """
        try:
            with closing(self._session()) as http:
                return _create_outcome(self._signed_in(request, http), sent, http.hide)
        except OutsideFailure as failure:
            fault = _told(failure)
            if fault is not None:
                return _faulted_create(fault, sent, failure.retry_after)
            if not failure.sent or failure.kind in _AT_THE_DOOR:
                raise _outside(failure) from failure
            return Unknown(f"no usable answer: {failure.message}")

    def _session(self) -> Http:
        secrets = (self._account.password, self._account.tracking_identifier, self._credentials)
        return Http("autotask", self._limits, self._clock, self._way, secrets)

    def _signed_in(self, request: Request, http: Http) -> bytes:
        """The body of the answer. Refused at sign-in, asks for the zone again, because it may have moved; the same zone
        is never tried twice with one password, because Autotask locks the user after a few failures."""
        zone = self.zone()
        try:
            return self._send(zone, request, http)
        except OutsideFailure as refused:
            if refused.kind != "unauthorised" or _locked(refused) or self._moved_from(zone) is None:
                raise
        return self._send(self.zone(), request, http)

    def _moved_from(self, zone: str) -> str | None:
        try:
            now = self.zone(anew=True)
        except PsaFailure:
            return None
        return now if now != zone else None

    def _send(self, zone: str, request: Request, http: Http) -> bytes:
        with self._limiter(request.entity):
            return self._post(zone, request, http, {"Authorization": f"Basic {self._credentials}"})

    def _post(self, url: str, request: Request, http: Http, headers: dict[str, str]) -> bytes:
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": request.action, **headers}
        endpoint = f"{request.operation} {request.entity}"
        with self._counting(endpoint):
            return http.call("POST", url, endpoint=endpoint, headers=headers, body=request.body).body

    def _ask_zone(self) -> str:
        request = self._requests.zone(self._account.user)
        with _failures(request, self._http.hide):
            zone = read_zone(self._post(self._account.address, request, self._http, {}))
        if zone.error_code or not zone.url:
            message = f"Autotask found no zone for the user (code {zone.error_code})."
            raise PsaFailure("unauthorised", message, _UNKNOWN_USER_FIX)
        return self._trusted(zone.url)

    def _trusted(self, url: str) -> str:
        """The zone's address, unless it leads elsewhere than to Autotask or the host that was configured: the password
        goes there."""
        configured, given = urlsplit(self._account.address), urlsplit(url)
        host = (given.hostname or "").lower()
        at_autotask = given.scheme == "https" and (host == "autotask.net" or host.endswith(".autotask.net"))
        at_configured = given.scheme == configured.scheme and host == (configured.hostname or "").lower()
        if (at_autotask or at_configured) and not given.username and not given.password:
            return url
        message = f"Autotask's zone answer points to {host or url!r}, which is not Autotask; nothing was sent there."
        raise PsaFailure("malformed", message, _ADDRESS_FIX)


@contextmanager
def _failures(request: Request, hide: Callable[[str], str]) -> Iterator[None]:
    """Everything that can go wrong with a call that changes nothing, as PsaFailure. What Autotask says may repeat what was
    sent: only the hidden form goes on, so the cause stands in no traceback."""
    try:
        yield
    except OutsideFailure as failure:
        fault = _told(failure)
        raise (_outside(failure) if fault is None else _fault(fault, failure.retry_after)) from failure
    except Fault as fault:
        raise _fault(_hidden(fault, hide)) from None
    except PsaFailure as told:
        raise PsaFailure(told.kind, hide(told.message), told.fix, told.retry_after) from None
    except BadReply as bad:
        raise _foreign(request, BadReply(hide(str(bad)))) from None


def _hidden(fault: Fault, hide: Callable[[str], str]) -> Fault:
    return Fault(hide(fault.message), fault.by_caller)


def _told(failure: OutsideFailure) -> Fault | None:
    """The fault in an answer with an error status, where its words say more than the status: a refused sign-in in words
    that we do not know is still one, and must not be tried again."""
    fault = read_fault(failure.body)
    if fault and failure.kind in _AT_THE_DOOR and not errors.known_error(fault.message).words:
        return None
    return fault


def _create_outcome(body: bytes, sent: int, hide: Callable[[str], str]) -> Outcome:
    try:
        reply = read_reply(body, "create", repair=False)
    except Fault as fault:
        return _faulted_create(_hidden(fault, hide), sent)
    except BadReply as bad:
        return Unknown(f"the reply cannot be believed: {hide(str(bad))}")
    if reply.return_code == REFUSED_CODE:
        return errors.create_outcome([hide(error) for error in reply.errors], sent)
    if reply.return_code != SUCCESS or reply.errors:
        return Unknown(f"the reply contradicts itself: code {reply.return_code} with {len(reply.errors)} errors")
    given = [each.text("id") for each in reply.entities or ()] or list(reply.returned_ids)
    ids = given if len(given) == sent else [""] * sent
    return Applied(tuple(each if each not in {"", "0"} else None for each in ids))


def _faulted_create(fault: Fault, sent: int, retry_after: float | None = None) -> Outcome:
    """A fault in known words means what they say; else only one that blames the request proves that nothing was done."""
    if errors.known_error(fault.message).words:
        try:
            return errors.create_outcome([fault.message], sent)
        except PsaFailure as refused:
            refused.retry_after = retry_after
            raise
    if fault.by_caller:
        raise _fault(fault)
    return Unknown(f"Autotask broke off: {fault.message}")


def _fault(fault: Fault, retry_after: float | None = None) -> PsaFailure:
    """The failure that a fault means; a fault of the server in unknown words may pass by itself."""
    if not fault.by_caller and not errors.known_error(fault.message).words:
        return PsaFailure("unreachable", f"Autotask broke off: {fault.message}", _OUTAGE_FIX)
    failure = errors.failure([fault.message])
    failure.retry_after = retry_after
    return failure


def _outside(failure: OutsideFailure) -> PsaFailure:
    """The failure in the port's kinds, with a fix."""
    message = f"Autotask: {failure.message}"
    if failure.kind == "unauthorised":
        fix = errors.LOCKED_FIX if _locked(failure) else errors.SIGN_IN_FIX
        words = (
            "Autotask has locked the API user." if _locked(failure) else "Autotask refused the user name or password."
        )
        return PsaFailure("unauthorised", words, fix)
    if failure.kind == "rate_limited":
        return PsaFailure("rate_limited", message, errors.USAGE_FIX, failure.retry_after)
    if failure.kind == "malformed":
        return PsaFailure("malformed", message, _FOREIGN_FIX)
    if failure.kind == "address":
        return PsaFailure("unreachable", message, _ADDRESS_FIX)
    if failure.kind == "unreachable" or (failure.status or 0) >= 500:
        return PsaFailure("unreachable", message, _OUTAGE_FIX, failure.retry_after)
    return PsaFailure("rejected", message, _ADDRESS_FIX)


def _foreign(request: Request, bad: BadReply) -> PsaFailure:
    message = f"Autotask's answer to {request.operation} {request.entity} cannot be believed: {bad}."
    return PsaFailure("malformed", message, _FOREIGN_FIX)


def _locked(failure: OutsideFailure) -> bool:
    return errors.known_error(failure.body.decode("utf-8", "replace")).fix == errors.LOCKED_FIX
