"""(an HTTP call to /marketplace/{region}/…) -> its answer, past key, limits, faults and token, with every call recorded."""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.sandbox.odin.access import Answer, Refused, gateway_refusal
from deploy.sandbox.odin.account import OdinAccount, RecordedCall
from deploy.sandbox.odin.accounts import Accounts
from deploy.sandbox.odin.faults import Broken, Meeting
from deploy.sandbox.odin.reports import download
from deploy.sandbox.odin.simple_api import Call, answer_read, give_token
from deploy.sandbox.odin.wire import moment

_MISSING_KEY = (
    "Access denied due to missing subscription key. Make sure to include subscription key when making requests."
)
_INVALID_KEY = "Access denied due to invalid subscription key. Make sure to provide a valid key for an active one."
_READ_ONLY = "This sandbox takes no orders and no changes: an MSP's poller reads only"


@dataclass(frozen=True, slots=True)
class Gateway:
    """The endpoints of the marketplace, for all accounts; the subscription key says whose books a call reads."""

    accounts: Accounts

    async def marketplace(self, request: Request) -> "Recorded":
        """Any call to the Simple API."""
        call = await _call_of(request)
        correlation_id = f"a8n-{uuid4()}"
        account = self.accounts.by_key(call.headers.get("x-subscription-key", ""))
        if account is None:
            known = "x-subscription-key" in call.headers
            refusal = gateway_refusal(401, _INVALID_KEY if known else _MISSING_KEY)
            return Recorded(refusal.response(), correlation_id)
        await asyncio.sleep(_latency(account.door.chance, call.path, account.switches.latency))
        result, fault_kind = _passed(account, request.path_params["region"], call, request.url.query, correlation_id)
        account.door.calls.append(
            RecordedCall(
                at=account.clock.now(),
                method=call.method,
                path=call.path,
                query=request.url.query,
                status=result.status,
                fault=fault_kind,
                correlation_id=correlation_id,
            )
        )
        account.answered(call.path, request.url.query)
        return Recorded(result.response, correlation_id)

    async def report_file(self, request: Request) -> Response:
        """A report behind its signed link, which asks for no token."""
        account = self.accounts.named(request.path_params["account"])
        report_id, _, kind = request.path_params["file"].rpartition(".")
        try:
            media_type, body = download(account, report_id, kind, dict(request.query_params))
        except Refused as refused:
            return Response(refused.message, refused.status, media_type="text/plain")
        return Response(body, media_type=media_type)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An answer, whole or broken, that carries the correlation id under which its call is recorded."""

    response: ASGIApp
    correlation_id: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-correlation-id", self.correlation_id.encode())]
            await send(message)

        await self.response(scope, receive, send_with_id)


def _passed(account: OdinAccount, region: str, call: Call, query: str, correlation_id: str) -> tuple[Broken, str]:
    """(what the caller gets, the fault's kind) for a call with a known key: limits first, then faults, then the API."""
    switches, fault = account.switches, None

    limited = account.door.throttle.refusal(
        account.clock.now(), switches.calls_per_minute, switches.calls_per_day, told=switches.tell_retry_after
    )
    if limited is not None:
        return Broken(limited.status, limited.response()), ""
    try:
        fault = account.faults.befalling(call.path, query)
        if fault is None:
            answer = _answer(account, region, call, query)
            return Broken(answer.status, answer.response()), ""
        last = account.door.last_answers.get(f"{call.path}?{query}")
        result = Meeting(fault, lambda: _answer(account, region, call, query), last).broken()
    except Refused as refused:
        result = Broken(refused.status, _platform_refusal(account, refused, call, correlation_id).response())
    return result, fault.kind if fault else ""


def _answer(account: OdinAccount, region: str, call: Call, query: str) -> Answer:
    if region != account.region:
        raise Refused(404, f"No such marketplace region: {region}")
    if call.path == "/token" and call.method == "POST":
        return give_token(account, call)
    if call.method != "GET":
        raise Refused(403, _READ_ONLY)
    answer = answer_read(account, call)
    account.door.remember(f"{call.path}?{query}", answer)
    return answer


def _platform_refusal(account: OdinAccount, refused: Refused, call: Call, correlation_id: str) -> Answer:
    document: dict[str, Any] = {
        "timeStamp": moment(account.clock.now(), account.switches),
        "status": refused.status,
        "message": refused.message,
        "path": call.path,
        "correlationId": correlation_id,
    }
    return Answer(refused.status, document)


async def _call_of(request: Request) -> Call:
    return Call(
        method=request.method,
        path="/" + request.path_params["path"].removesuffix("/"),
        query=dict(parse_qsl(request.url.query)),
        headers=request.headers,
        body=await request.body(),
        address=f"{request.url.scheme}://{request.url.netloc}",
    )


def _latency(chance: Random, path: str, scale: float) -> float:
    """Seconds that the real marketplace might take: lists 0.3 to 3, details 0.2 to 2, one call in a hundred 30."""
    if not scale:
        return 0
    if chance.random() < 0.01:
        return 30 * scale
    return scale * (chance.uniform(0.2, 2) if path.count("/") > 1 else chance.uniform(0.3, 3))
