"""A marketplace connection -> companies, subscriptions and orders, read through the Simple API (REST) and its gateway.

Facts: vendor spec 1.15 and public field notes. Every call takes leave from the budget that all replicas share; a GET that
fails in passing is tried again inside the deadline; a list that shifts while it is walked is walked again. The only POST
is the one for a token. Answers and credentials are never logged.
"""

import base64
import logging
import random
import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import orjson
from msgspec import UNSET, UnsetType

from domain.keys import SubscriptionId
from plumbing.budget import Budget
from plumbing.calls import Counting
from plumbing.clock import Clock
from plumbing.http import Answer, Http, OutsideFailure
from services.poller.sources import shapes
from services.poller.sources.port import Company, Order, OrderRow, Snapshot, SubscriptionRow
from services.poller.sources.shapes import decoded

log = logging.getLogger(__name__)
PAGE = 500
# Of orders the first few are enough as a rule: they stand there newest first.
NEWEST_ORDERS = 100
MOST_PAGES = 2000
WALKS = 3
TRIES = 4
EARLY_SECONDS = 60
# A 429 sometimes does not say how long to wait; its window is a minute.
UNTOLD_PAUSE = 10.0
_REPLENISHED = re.compile(r"replenished in (\d+):(\d\d):(\d\d)")

M = TypeVar("M")


@dataclass(frozen=True)
class Access:
    """What opens one marketplace account. address: the gateway URL with the region, with or without trailing slash."""

    address: str
    user: str
    password: str
    key: str
    marketplace: str


class QuotaSpent(OutsideFailure):
    """The gateway's calls of the day are used up; it lets nobody in for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__("quota", "the calls of this day are used up at the marketplace's gateway", status=403)
        self.seconds = seconds


class _Refusal(msgspec.Struct, rename="camel"):
    """Both families of error bodies: the platform's has a correlationId, the gateway's has not."""

    message: str = ""
    correlation_id: str | UnsetType = UNSET


class SimpleApi:
    """One marketplace account, for one poll. deadline: the moment of time.monotonic() after which nothing is tried again.
    pause: seconds before the second try of a call; they double with each."""

    def __init__(
        self,
        access: Access,
        http: Http,
        budget: Budget,
        clock: Clock,
        deadline: float,
        counting: Counting,
        pause: float = 1.0,
    ) -> None:
        self._access, self._http, self._budget, self._clock = access, http, budget, clock
        self._counting = counting
        self._address = access.address.rstrip("/")
        self._deadline, self._pause = deadline, pause
        self._token = ""
        self._token_until = clock.now()
        self.calls = 0

    def companies(self) -> list[Company]:
        """All companies; their contacts are not even decoded."""
        return self._whole("/customers", {}, shapes.CompanyPage, lambda row: row.model(), lambda row: row.company_id)

    def subscriptions(self) -> list[SubscriptionRow]:
        """All subscriptions, ended ones too. Lists show neither counts nor costs."""
        page = shapes.SubscriptionPage
        return self._whole("/subscriptions", {}, page, lambda row: row.model(), lambda row: row.subscription_id)

    def subscription(self, subscription_id: SubscriptionId) -> Snapshot | None:
        """One subscription, whole; None when there is none of this id."""
        answer = self._found(f"/subscriptions/{subscription_id}", "/subscriptions/{id}")
        if answer is None:
            return None
        read = replace(shapes.snapshot(answer.body), answer=answer.body)
        if read.row.subscription_id != subscription_id:
            raise OutsideFailure("malformed", f"asked for subscription {subscription_id}, another one came")
        return read

    def newest_orders(self, known: Collection[str]) -> list[OrderRow]:
        """Orders, newest first (since API 1.5), back to the page on which a known one stands."""
        rows: dict[str, OrderRow] = {}
        for page in self._pages("/orders", {}, shapes.OrderPage, NEWEST_ORDERS):
            if not page.data and page.pagination.total > len(rows):
                raise OutsideFailure("malformed", f"/orders tells {page.pagination.total} rows and shows none")
            found = [row.model() for row in page.data]
            rows |= {row.order_id: row for row in found}
            if not known or any(row.order_id in known for row in found):
                break
        return list(rows.values())

    def orders_in(self, status: str) -> list[OrderRow]:
        """All orders that have this status (the API takes one status at a time)."""
        rows = self._whole(
            "/orders", {"status": status}, shapes.OrderPage, lambda row: row.model(), lambda row: row.order_id
        )
        return [row for row in rows if row.status == status]

    def order(self, order_id: str) -> Order | None:
        """One order with the subscriptions it names; None when there is none of this id."""
        answer = self._found(f"/orders/{order_id}", "/orders/{id}")
        return None if answer is None else decoded(answer.body, shapes.OrderDetailedShape).order()

    def token(self) -> None:
        """Asks for a token, once; OutsideFailure "unauthorised" for a wrong user, password or key."""
        basic = base64.b64encode(f"{self._access.user}:{self._access.password}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
        body = orjson.dumps({"marketplace": self._access.marketplace})
        given = decoded(self._call("POST", "/token", "/token", headers, body=body).body, shapes.TokenShape)
        self._token = given.token
        self._token_until = self._clock.now() + timedelta(seconds=given.expires_in_seconds - EARLY_SECONDS)

    def first_subscription_page(self) -> int:
        """How many subscriptions the marketplace says there are: one small call, to try a connection."""
        answer = self._get("/subscriptions", "/subscriptions", {"offset": 0, "limit": 1})
        return decoded(answer.body, shapes.SubscriptionPage).pagination.total

    def _whole(
        self,
        path: str,
        query: dict[str, Any],
        shape: type[Any],
        model: Callable[[Any], M],
        key: Callable[[M], str],
    ) -> list[M]:
        """The whole list. Rows shift when one is added or taken away during the walk, so the number of different ids must
        be what the first and the last page told; otherwise it is walked again, three times at most."""
        for _ in range(WALKS):
            rows: dict[str, M] = {}
            totals: list[int] = []
            for page in self._pages(path, query, shape, PAGE):
                totals.append(page.pagination.total)
                rows |= {key(row): row for row in map(model, page.data)}
                if len(rows) >= page.pagination.total:
                    break
            if totals[0] == totals[-1] == len(rows):
                return list(rows.values())
            log.warning("list shifted while it was walked", extra={"list": path, "totals": totals, "rows": len(rows)})
        raise OutsideFailure("malformed", f"{path} tells {totals[-1]} rows and shows {len(rows)}")

    def _pages(self, path: str, query: dict[str, Any], shape: type[Any], first: int) -> Iterator[Any]:
        """The pages of a list; first: rows on the first one."""
        offset, limit = 0, first
        for _ in range(MOST_PAGES):
            answer = self._get(path, path, {**query, "offset": offset, "limit": limit})
            limit = PAGE
            page = decoded(answer.body, shape)
            yield page
            offset += len(page.data)
            if not page.data or offset >= page.pagination.total:
                return

    def _found(self, path: str, endpoint: str) -> Answer | None:
        """The answer; None for "not found", which the platform says with 404 or with 400 and these words."""
        try:
            return self._get(path, endpoint)
        except OutsideFailure as failure:
            refusal = _refusal(failure.body)
            said = "no entity has been found" in refusal.message.lower()
            if failure.status in (400, 404) and said and refusal.correlation_id is not UNSET:
                return None
            raise

    def _get(self, path: str, endpoint: str, query: dict[str, Any] | None = None) -> Answer:
        """The answer to a GET as JSON, tried again inside the deadline while the failure may pass by itself."""
        for attempt in range(1, TRIES + 1):
            try:
                return self._with_token(path, endpoint, query)
            except OutsideFailure as failure:
                if attempt == TRIES or not self._may_pass(failure, attempt):
                    raise
        raise AssertionError("the last try raises")

    def _may_pass(self, failure: OutsideFailure, attempt: int) -> bool:
        """Whether to try again, after waiting with full jitter."""
        if failure.kind == "rate_limited":
            return True  # the budget's pause holds every replica; the next call waits for its end
        if failure.kind != "unreachable" and (failure.status or 0) < 500:
            return False
        pause = random.uniform(0, self._pause * 2**attempt)  # noqa: S311 spreads tries, keeps no secret
        if time.monotonic() + pause > self._deadline:
            return False
        time.sleep(pause)
        return True

    def _with_token(self, path: str, endpoint: str, query: dict[str, Any] | None) -> Answer:
        """The answer with a living token. A session can die before its time: a 401 is answered by one new token, once."""
        fresh = not self._token or self._clock.now() >= self._token_until
        if fresh:
            self.token()
        try:
            return self._call("GET", path, endpoint, self._bearer(), query=query)
        except OutsideFailure as failure:
            if failure.kind != "unauthorised" or fresh:
                raise
        self.token()
        return self._call("GET", path, endpoint, self._bearer(), query=query)

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _call(
        self,
        method: str,
        path: str,
        endpoint: str,
        headers: dict[str, str],
        *,
        query: dict[str, Any] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One call, counted, and its answer when it is JSON. The path is put behind the address as text: joining them as
        URLs would drop the region."""
        self._budget.wait_and_take(max(0.0, self._deadline - time.monotonic()))
        self.calls += 1
        wanted = {"Accept": "application/json", "X-Subscription-Key": self._access.key}
        url = self._address + path
        try:
            with self._counting(endpoint):
                answer = self._json_only(
                    self._http.call(method, url, endpoint=endpoint, headers=wanted | headers, params=query, body=body),
                    headers["Authorization"],
                )
        except OutsideFailure as failure:
            _log_call(endpoint, failure.status, failure.headers.get("X-Correlation-ID"), failure)
            raise self._told_apart(failure) from None
        _log_call(
            endpoint,
            answer.status,
            self._http.hide(answer.headers.get("X-Correlation-ID", ""), headers["Authorization"]),
        )
        return answer

    def _json_only(self, answer: Answer, authorization: str) -> Answer:
        kind = answer.headers.get("Content-Type", "").split(";")[0].strip()
        if kind.lower() != "application/json" and not kind.lower().endswith("+json"):
            told = self._http.hide(kind, authorization) or "of no type"
            raise OutsideFailure("malformed", f"the answer is {told} instead of JSON", status=answer.status)
        return answer

    def _told_apart(self, failure: OutsideFailure) -> OutsideFailure:
        """The failure, after pausing all replicas when the gateway wants that. A 403 of the gateway is a spent quota, which
        lasts until its day is over; one of the platform is a refusal."""
        if failure.kind == "rate_limited":
            pause = UNTOLD_PAUSE if failure.retry_after is None else failure.retry_after
            self._budget.pause(pause, "the marketplace asked for a pause")
            return failure
        refusal = _refusal(failure.body)
        if failure.status != 403 or refusal.correlation_id is not UNSET or "quota" not in refusal.message.lower():
            return failure
        spent = QuotaSpent(_seconds_to_reset(failure, refusal.message, self._clock.now()))
        self._budget.pause(spent.seconds, spent.message)
        return spent


def _refusal(body: bytes) -> _Refusal:
    try:
        return msgspec.json.decode(body, type=_Refusal)
    except msgspec.DecodeError:
        return _Refusal()


def _seconds_to_reset(failure: OutsideFailure, message: str, now: datetime) -> float:
    """As the gateway tells, in its header or its text; else to the end of the day in UTC."""
    if failure.retry_after is not None:
        return failure.retry_after
    told = _REPLENISHED.search(message)
    if told:
        return float(int(told[1]) * 3600 + int(told[2]) * 60 + int(told[3]))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - now).total_seconds()


def _log_call(
    endpoint: str, status: int | None, marketplace_id: str | None, failure: OutsideFailure | None = None
) -> None:
    extra = {"endpoint": endpoint, "status": status, "marketplace_correlation_id": marketplace_id}
    if failure is None:
        log.debug("marketplace answered", extra=extra)
    else:
        log.warning("marketplace did not answer", extra=extra | {"kind": failure.kind, "reason": failure.message})
