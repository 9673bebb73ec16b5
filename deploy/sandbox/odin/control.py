"""(a JSON call to /control/…) -> the sandbox looked at or changed from outside, by a test or by hand.

Each call concerns one account: `?account=msp-1`; without it, the first. Answers are JSON, refusals {"error": "…"}.

    GET    /control/accounts       [{name, url, user, password, secret, marketplace, active}]
    POST   /control/accounts       {"name": "msp-2", "seed": 7, "companies": 3} -> the new account
    GET    /control/books          {companies, subscriptions (with resources), orders}, the truth
    POST   /control/acts           {"do": "set_count", "subscription_id": "1000823", "product_id": "100234",
                                    "count": "12"} -> {"result": …}; every act and its arguments are those of the
                                   Python handle, see ACTS; counts and amounts as text or whole numbers
    POST   /control/sequels        {"path": "/orders", "calls": 1, "act": {"do": …}}: the act follows the first
                                   so many calls to the path, so that rows shift between two pages
    GET    /control/ledger         every true change: [{at, field, company_id, subscription_id, product_id, old, new}]
    GET    /control/calls          every recorded call: [{at, method, path, query, status, fault, correlation_id}]
    DELETE /control/calls          begin the record anew
    GET    /control/switches       how the marketplace behaves (deploy/sandbox/odin/state.py: Switches)
    PATCH  /control/switches       {"quantity_as": "text", "calls_per_minute": 60}
    GET    /control/faults         the faults that wait
    POST   /control/faults         {"kind": "error_504", "path": "/subscriptions/", "calls": 3}; with
                                   {"share": 0.1, "calls": null} a rate (deploy/sandbox/odin/faults.py: Fault)
    DELETE /control/faults         no more faults
    GET    /control/clock          {"now": "…"}
    POST   /control/clock          {"set": "2026-08-01T00:00:00Z"} or {"advance_seconds": 86400}
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.sandbox.odin.account import OdinAccount
from deploy.sandbox.odin.accounts import Accounts
from deploy.sandbox.odin.faults import Fault
from deploy.sandbox.odin.register import UnknownRecord

ACTS = frozenset(
    {
        "activate", "add_company", "add_resource", "add_subscription", "cancel", "kill_tokens", "move", "order_change",
        "remove", "rename", "rename_company", "renew", "restore", "revoke", "set_auto_renew", "set_cost", "set_count",
        "set_password", "set_price", "set_status", "show", "show_truth", "vanish",
    }
)  # fmt: skip

Body = dict[str, Any]
Verb = Callable[["Control", OdinAccount, Body], Any]


def act(account: OdinAccount, wanted: Mapping[str, Any]) -> Any:
    """What the named act returns; ValueError for an unknown act or arguments that it does not take."""
    arguments = dict(wanted)
    name = arguments.pop("do", None)
    if name not in ACTS:
        raise ValueError(f"there is no act {name!r}; there are {', '.join(sorted(ACTS))}")
    return getattr(account, name)(**arguments)


def move_clock(accounts: Accounts, wanted: Mapping[str, Any]) -> datetime:
    """The sandbox's time after it was set or moved on; ValueError when neither is asked for."""
    if "set" in wanted:
        accounts.clock.set(datetime.fromisoformat(wanted["set"]))
    elif "advance_seconds" in wanted:
        accounts.clock.advance(timedelta(seconds=float(wanted["advance_seconds"])))
    else:
        raise ValueError('give {"set": "2026-08-01T00:00:00Z"} or {"advance_seconds": 86400}')
    accounts.save()
    return accounts.clock.now()


@dataclass(frozen=True, slots=True)
class Control:
    """The control API of one sandbox."""

    accounts: Accounts

    def routes(self) -> list[Route]:
        """One route for each path under /control, whatever verbs it has."""
        return [Route(f"/{path}", self._endpoint(verbs), methods=list(verbs)) for path, verbs in _VERBS.items()]

    def _endpoint(self, verbs: Mapping[str, Verb]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                account = self.accounts.named(request.query_params.get("account", ""))
                wanted = msgspec.json.decode(await request.body() or b"{}", type=dict)
                answer = verbs["GET" if request.method == "HEAD" else request.method](self, account, wanted)
            except UnknownRecord as problem:
                return _json({"error": str(problem)}, 404)
            except (ValueError, TypeError, ArithmeticError, msgspec.DecodeError) as problem:
                return _json({"error": str(problem)}, 400)
            return _json(answer)

        return endpoint


def shown_account(account: OdinAccount) -> dict[str, Any]:
    """What a poller needs to be told of an account."""
    fields = ("name", "url", "user", "password", "secret", "marketplace", "active")
    return {field: getattr(account, field) for field in fields}


def _add_account(control: Control, _: OdinAccount, body: Body) -> Any:
    return shown_account(control.accounts.add_account(**body))


def _follow(_: Control, account: OdinAccount, body: Body) -> Any:
    wanted = body.get("act", {})
    if wanted.get("do") not in ACTS:
        raise ValueError('give {"path": "/orders", "calls": 1, "act": {"do": …}}')
    account.after(body.get("path", ""), lambda: act(account, wanted), calls=body.get("calls", 1))
    return {}


def _add_fault(_: Control, account: OdinAccount, body: Body) -> Any:
    account.faults.script(Fault(**body))
    return account.faults.waiting


def _books(_: Control, account: OdinAccount, __: Body) -> Any:
    return {"companies": account.companies, "subscriptions": account.subscriptions, "orders": account.orders}


def _json(document: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")


_VERBS: Mapping[str, Mapping[str, Verb]] = {
    "accounts": {
        "GET": lambda control, _, __: [shown_account(each) for each in control.accounts.all],
        "POST": _add_account,
    },
    "books": {"GET": _books},
    "acts": {"POST": lambda _, account, body: {"result": act(account, body)}},
    "sequels": {"POST": _follow},
    "ledger": {"GET": lambda _, account, __: account.ledger},
    "calls": {
        "GET": lambda _, account, __: account.calls,
        "DELETE": lambda _, account, __: account.forget_calls(),
    },
    "switches": {
        "GET": lambda _, account, __: account.switches,
        "PATCH": lambda _, account, body: account.switch(**body),
    },
    "faults": {
        "GET": lambda _, account, __: account.faults.waiting,
        "POST": _add_fault,
        "DELETE": lambda _, account, __: account.faults.clear(),
    },
    "clock": {
        "GET": lambda control, _, __: {"now": control.accounts.clock.now()},
        "POST": lambda control, _, body: {"now": move_clock(control.accounts, body)},
    },
}
