"""(an account of the sandbox) -> a plain HTML page that shows it and changes it by hand, without any script."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from deploy.sandbox.books import Resource, Subscription
from deploy.sandbox.odin.account import OdinAccount
from deploy.sandbox.odin.accounts import Accounts
from deploy.sandbox.odin.control import act, move_clock
from deploy.sandbox.odin.faults import KINDS
from deploy.sandbox.odin.register import UnknownRecord

_ROWS = 40
_SAFE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"}
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2733; background: #f6f7f9; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; background: #fff; border: 1px solid #d9dee5; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #e6e9ee; vertical-align: top; }
th { font-weight: 600; color: #4b5866; white-space: nowrap; } td { overflow-wrap: break-word; max-width: 18rem; }
form { display: inline-flex; gap: .4rem; margin: 0; } input, button, select { font: inherit; padding: .15rem .4rem; }
input[name=count] { width: 5rem; text-align: right; } td.number { text-align: right; } .error { color: #a4161a; font-weight: 600; }
"""


@dataclass(frozen=True, slots=True)
class Page:
    """The page at / and the forms on it."""

    accounts: Accounts

    def routes(self) -> list[Route]:
        """The page itself, and one address for all its forms."""
        return [Route("/", self.show), Route("/forms/{form}", self.submit, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """The account asked for, or the first."""
        return self._shown(request.query_params.get("account", ""))

    async def submit(self, request: Request) -> Response:
        """Do what a form asks and show the page again; what cannot be done is said at its head."""
        fields = dict(parse_qsl((await request.body()).decode()))
        name = request.query_params.get("account", "")
        try:
            self._do(request.path_params["form"], self.accounts.named(name), fields)
        except (LookupError, ValueError, TypeError, ArithmeticError, msgspec.DecodeError) as problem:
            return self._shown(name, f"Not done: {problem}")
        return RedirectResponse(f"/?account={quote(name)}", 303)

    def _do(self, form: str, account: OdinAccount, fields: Mapping[str, str]) -> None:
        if form == "act":
            act(account, fields)
        elif form == "clock":
            move_clock(self.accounts, fields)
        elif form == "fault":
            account.faults.script(fields["kind"], fields.get("path", ""), calls=int(fields["calls"]))
        elif form == "no-faults":
            account.faults.clear()
        elif form == "switch":
            account.switch(**{fields["switch"]: msgspec.json.decode(fields["value"])})

    def _shown(self, name: str, error: str = "") -> Response:
        try:
            account = self.accounts.named(name)
        except UnknownRecord as problem:
            return HTMLResponse(_whole(f"<p class=error>{escape(str(problem))}</p>"), 404, _SAFE)
        said = f"<p class=error>{escape(error)}</p>" if error else ""
        parts = (said, self._head(account), _resources(account), _clock_and_faults(account), _switches(account))
        return HTMLResponse(_whole("".join((*parts, _ledger(account), _calls(account)))), 400 if error else 200, _SAFE)

    def _head(self, account: OdinAccount) -> str:
        others = " ".join(
            f'<a href="/?account={quote(each.name)}">{escape(each.name)}</a>' for each in self.accounts.all
        )
        told = (account.url, account.user, account.password, account.secret, account.marketplace)
        names = ("Gateway URL", "User", "Password", "Secret", "Marketplace")
        return f"<h1>Sandbox ODIN: {escape(account.name)}</h1><p>Accounts: {others}</p>" + _table(
            names, [[escape(each) for each in told]]
        )


def _whole(body: str) -> str:
    head = f'<meta charset="utf-8"><title>Sandbox ODIN</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def _resources(account: OdinAccount) -> str:
    names = {company.company_id: company.name for company in account.companies}
    rows = [
        _resource_cells(account, names.get(subscription.company_id, ""), subscription, resource)
        for subscription in sorted(account.subscriptions, key=lambda each: (each.company_id, each.subscription_id))
        for resource in subscription.resources or (None,)
    ]
    columns = ("Company", "Name", "Subscription", "Name", "Status", "Product", "Name", "Price", "Cost", "Count")
    return f"<h2>Subscriptions</h2>{_table(columns, rows)}"


def _resource_cells(
    account: OdinAccount, company: str, subscription: Subscription, resource: Resource | None
) -> list[str]:
    told = [subscription.company_id, company, subscription.subscription_id, subscription.name, subscription.status]
    if resource is None:
        return [*map(escape, told), "", "", "", "", ""]
    cost = str(resource.cost.amount) if resource.cost else "not told"
    told += [resource.product_id, resource.name, str(resource.price.amount), cost]
    hidden = {
        "do": "set_count",
        "subscription_id": subscription.subscription_id,
        "product_id": resource.product_id,
    }
    count = f'<input name="count" value="{resource.count}" aria-label="count" inputmode="numeric">'
    return [*map(escape, told), _form(account, "act", hidden, count, "Set")]


def _clock_and_faults(account: OdinAccount) -> str:
    day = '<input name="advance_seconds" value="86400" aria-label="seconds">'
    kinds = "".join(f"<option>{kind}</option>" for kind in KINDS)
    fault = (
        f'<select name="kind" aria-label="kind">{kinds}</select> path <input name="path" value="/subscriptions">'
        ' calls <input name="calls" value="1" size="3">'
    )
    waiting = [[escape(fault.kind), escape(fault.path), str(fault.calls)] for fault in account.faults.waiting]
    return (
        f"<h2>Clock</h2><p>{account.clock.now():%Y-%m-%d %H:%M:%S} UTC {_form(account, 'clock', {}, day, 'Move on')}</p>"
        f"<h2>Faults</h2><p>{_form(account, 'fault', {}, fault, 'Let it happen')} "
        f"{_form(account, 'no-faults', {}, '', 'Clear all')}</p>{_table(('Kind', 'Path', 'Calls'), waiting)}"
    )


def _switches(account: OdinAccount) -> str:
    rows = []
    for name, value in asdict(account.switches).items():
        shown = escape(msgspec.json.encode(value).decode(), quote=True)
        field = f'<input name="value" value="{shown}" aria-label="{name}">'
        rows.append([name, _form(account, "switch", {"switch": name}, field, "Set")])
    return f"<h2>Switches</h2>{_table(('Switch', 'Value (JSON)'), rows)}"


def _ledger(account: OdinAccount) -> str:
    rows = [
        [f"{each.at:%Y-%m-%d %H:%M:%S}", each.field, *each.key, each.old, each.new] for each in account.ledger[-_ROWS:]
    ]
    columns = ("At (UTC)", "What", "Company", "Subscription", "Product", "Old", "New")
    return f"<h2>True changes</h2>{_table(columns, [[escape(cell) for cell in row] for row in reversed(rows)])}"


def _calls(account: OdinAccount) -> str:
    rows = [
        [f"{each.at:%Y-%m-%d %H:%M:%S}", each.method, f"{each.path}?{each.query}", str(each.status), each.fault]
        for each in account.calls[-_ROWS:]
    ]
    columns = ("At (UTC)", "Method", "Path", "Status", "Fault")
    return f"<h2>Calls</h2>{_table(columns, [[escape(cell) for cell in row] for row in reversed(rows)])}"


def _form(account: OdinAccount, form: str, hidden: Mapping[str, Any], fields: str, label: str) -> str:
    kept = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in hidden.items())
    action = f"/forms/{form}?account={quote(account.name)}"
    return f'<form method="post" action="{action}">{kept}{fields} <button>{label}</button></form>'


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table whose cells are HTML already."""
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
