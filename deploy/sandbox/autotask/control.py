"""JSON over HTTP under /control -> what the desk does, for the page and for programs in other processes.

Every path takes ?database=<name>; left out, it is the first one.

    GET  /control/health      GET /control/databases
    POST /control/databases {name, user?, password?, tracking_identifier?, seed?}
    GET  /control/contracts   accounts, contracts, lines and their unit rows as a client sees them
    POST /control/accounts {name}       POST /control/contracts {account_id, start, end, period?, name?}
    POST /control/lines {contract_id, service_name, units, unit_cost, unit_price, period_type?}
    GET  /control/ledger[?line_id=]     GET /control/oracle     GET /control/calls     GET /control/billing-items
    POST /control/units {line_id, units, on?}                   POST /control/approve {through?, contract_id?}
    POST /control/contract-end {contract_id, end}               POST /control/remove-line {line_id}
    GET, POST /control/clock {set} or {advance_days}            GET, POST /control/switches {name: value}
    GET, POST /control/limits {threshold?, neighbour?, latency_scale?, threads?, bad_logins?, server_seconds?}
    GET, POST, DELETE /control/faults {kind, operation?, entity?, times?, when?, seconds?} or {rate, seed, kinds?}
    POST /control/access {do: change_zone, expire_password, unlock, cut_rights or give_rights} or {password}
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.sandbox.autotask.contracts import Refused
from deploy.sandbox.autotask.desk import Desk
from deploy.sandbox.autotask.installation import Installation
from deploy.sandbox.autotask.records import Account, Contract, Service
from deploy.sandbox.autotask.seeding import seed_database
from deploy.sandbox.autotask.switches import choices

Given = dict[str, Any]
Do = Callable[[Desk, Given], Any]
_LIMITS = ("threshold", "neighbour", "latency_scale", "threads", "bad_logins", "server_seconds")
_ACCESS = ("change_zone", "expire_password", "unlock", "cut_rights", "give_rights")


def control_routes(installation: Installation) -> list[Route]:
    """The routes of the control API."""
    return [
        Route(f"/control/{path}", _endpoint(installation, do), methods=[method]) for (method, path), do in _DOES.items()
    ]


def _endpoint(installation: Installation, do: Do) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = await request.body()
            given = {**request.query_params, **(json.loads(body) if body else {})}
            with installation.lock:
                answer = do(_desk(installation, request, given), given)
                if request.method != "GET":
                    installation.save()
        except (Refused, ValueError, TypeError, KeyError) as wrong:
            said = f"{wrong.args[0]!r} is missing or unknown" if isinstance(wrong, KeyError) else str(wrong)
            return _json({"error": said}, 400)
        return _json({"ok": True} if answer is None else answer)

    return endpoint


def _desk(installation: Installation, request: Request, given: Given) -> Desk:
    name = given.pop("database", None) or next(iter(installation.databases))
    if name not in installation.databases:
        raise ValueError(f"there is no database {name!r}; there are {', '.join(installation.databases)}")
    return Desk(installation, installation.databases[name], str(request.base_url).rstrip("/"))


def _json(answer: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


def _day(given: Given, name: str) -> date | None:
    return date.fromisoformat(given[name]) if given.get(name) else None


def _must_day(given: Given, name: str) -> date:
    return date.fromisoformat(given[name])


def _databases(desk: Desk, _given: Given) -> Any:
    return [
        {"name": each.name, "user": each.user, "zone": each.zone, "tracking_identifier": each.tracking_identifier}
        for each in desk.installation.databases.values()
    ]


def _add_database(desk: Desk, given: Given) -> Any:
    seed = given.pop("seed", None)
    added = desk.add_tenant(**given)
    if seed is not None:
        seed_database(added, int(seed))
    return {
        "url": added.url,
        "user": added.user,
        "password": added.password,
        "tracking_identifier": added.tracking_identifier,
    }


def _contracts(desk: Desk, _given: Given) -> Any:
    books, today = desk.database.books, desk.clock.today()
    accounts = {each.id: each.name for each in books.all(Account)}
    services = {each.id: each for each in books.all(Service)}
    return [
        {
            **asdict(contract),
            "account": accounts[contract.account_id],
            "lines": [
                {
                    **asdict(line),
                    "service": services[line.service_id].name,
                    "period_type": services[line.service_id].period_type,
                    "units": desk.units(line.id, today),
                    "rows": desk.rows(line.id),
                }
                for line in desk.lines(contract.id)
            ],
        }
        for contract in books.all(Contract)
    ]


def _ledger(desk: Desk, given: Given) -> Any:
    books = desk.database.books
    services = {each.id: each.name for each in books.all(Service)}
    accounts = {each.id: each.name for each in books.all(Account)}
    line_id = int(given["line_id"]) if given.get("line_id") else None
    entries = []
    for each in desk.ledger(line_id, by_hand=True):
        contract = books.get(Contract, each.contract_id)
        account = accounts[contract.account_id] if contract else ""
        entries.append({**asdict(each), "service": services[each.service_id], "account": account})
    return entries


def _calls(desk: Desk, _given: Given) -> Any:
    totals = sorted(desk.calls.totals().items())
    counts = [{"operation": key[0], "entity": key[1], "outcome": key[2], "calls": calls} for key, calls in totals]
    return {"total": len(desk.calls), "used_in_the_last_hour": desk.limits.used, "counts": counts}


def _clock(desk: Desk, _given: Given) -> Any:
    return {"now": desk.clock.now(), "offset_seconds": desk.clock.offset.total_seconds()}


def _set_clock(desk: Desk, given: Given) -> Any:
    if "set" in given:
        moment = datetime.fromisoformat(given["set"])
        desk.clock.set(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    else:
        desk.clock.advance(timedelta(days=float(given["advance_days"])))
    return _clock(desk, {})


def _switches(desk: Desk, _given: Given) -> Any:
    return {"now": asdict(desk.switches), "choices": choices()}


def _set_switches(desk: Desk, given: Given) -> Any:
    desk.switches.set(**given)
    return _switches(desk, {})


def _limits(desk: Desk, _given: Given) -> Any:
    limits = desk.limits
    return {**{name: getattr(limits, name) for name in _LIMITS}, "used": limits.used, "locked": limits.locked}


def _set_limits(desk: Desk, given: Given) -> Any:
    for name, value in given.items():
        if name not in _LIMITS:
            raise ValueError(f"there is no limit {name!r}; there are {', '.join(_LIMITS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f"the limit {name} is a number from 0 up, not {value!r}")
    for name, value in given.items():
        setattr(desk.limits, name, value)
    return _limits(desk, {})


def _faults(desk: Desk, _given: Given) -> Any:
    return {"scripted": desk.faults.scripted, "rate": desk.faults.rate}


def _set_faults(desk: Desk, given: Given) -> Any:
    if "rate" in given:
        desk.faults.at_random(**given)
    else:
        desk.faults.script(**given)
    return _faults(desk, {})


def _access(desk: Desk, given: Given) -> Any:
    if "password" in given:
        desk.set_password(given["password"])
    elif given["do"] in _ACCESS:
        getattr(desk, given["do"])()
    else:
        raise ValueError(f"access can {', '.join(_ACCESS)}, not {given['do']!r}")


def _add_contract(desk: Desk, given: Given) -> Any:
    days = {"start": _must_day(given, "start"), "end": _must_day(given, "end")}
    return {"contract_id": desk.add_contract(**{**given, **days})}


_DOES: dict[tuple[str, str], Do] = {
    ("GET", "health"): lambda _desk, _given: {"healthy": True},
    ("GET", "databases"): _databases,
    ("POST", "databases"): _add_database,
    ("GET", "contracts"): _contracts,
    ("POST", "accounts"): lambda desk, given: {"account_id": desk.add_account(**given)},
    ("POST", "contracts"): _add_contract,
    ("POST", "lines"): lambda desk, given: {"line_id": desk.add_line(**given)},
    ("GET", "ledger"): _ledger,
    ("GET", "oracle"): lambda desk, _given: desk.oracle(),
    ("GET", "calls"): _calls,
    ("GET", "billing-items"): lambda desk, _given: desk.billing_items(),
    ("POST", "units"): lambda desk, given: desk.edit_units(
        int(given["line_id"]), int(given["units"]), _day(given, "on")
    ),
    ("POST", "approve"): lambda desk, given: desk.approve_and_post(_day(given, "through"), given.get("contract_id")),
    ("POST", "contract-end"): lambda desk, given: desk.set_contract_end(
        int(given["contract_id"]), _must_day(given, "end")
    ),
    ("POST", "remove-line"): lambda desk, given: desk.remove_line(int(given["line_id"])),
    ("GET", "clock"): _clock,
    ("POST", "clock"): _set_clock,
    ("GET", "switches"): _switches,
    ("POST", "switches"): _set_switches,
    ("GET", "limits"): _limits,
    ("POST", "limits"): _set_limits,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _set_faults,
    ("DELETE", "faults"): lambda desk, _given: desk.faults.clear(),
    ("POST", "access"): _access,
}
