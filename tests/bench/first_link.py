"""The whole house, nothing linked -> S6: 2,000 resources linked in one click after one preview, and what others feel of it."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from statistics import median, quantiles
from typing import Any

from deploy.migrate import migrate
from domain.keys import ResourceKey
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.gateway.serving import Answering, gateway
from tests.house import House, MspHouse, running_house
from tests.servers import ROLE_PASSWORD, role_url

OTHERS = Goal("S6", "first link of 2,000 resources: p99 of others' pages", "the same alone", "ms", 5, 2, at_most=True)
CLICK = Goal("S6", "first link of 2,000 resources: from click to answer", "", "s", 20, 5, at_most=True)
A_SUBSCRIPTION, BAD, PAUSE, ALONE_SECONDS = 20, 3, 0.05, 10
_PAGES = tuple(
    f"query($msp: String!) {{ {report}(mspId: $msp, first: 50) {{ totalCount edges {{ cursor }} }} }}"
    for report in ("unlinked", "linked", "drift", "psaProducts")
)
_PREVIEW = """query($msp: String!, $pairs: [RelationPair!]!) {
  previewRelations(mspId: $msp, pairs: $pairs, operationId: "look") {
    token rows { id unitChange priceNow { amount } preflight { code } } totals { blocked unitChange } } }"""
_SET = """mutation($msp: String!, $token: String!) {
  setRelations(mspId: $msp, token: $token, operationId: "click") { results { ok refusal { code } } refusal { code } } }"""


def first_link(ground: Ground, _rounds: int, *, quick: bool) -> list[Measured]:
    """2,000 links (quick: 200), three of them bad; every resource has a product of its own with other units."""
    links = 200 if quick else 2_000
    with (
        Ground(ground.given, autovacuum=True) as own,
        own.database() as url,
        own.vhost() as vhost,
        _tests_house(url, vhost) as house,
        gateway(role_url(url, "trueup_gateway"), vhost, RPC_SECONDS="60") as people,
    ):
        msp = house.add_msp()
        pairs = _pairs(msp, links)
        with _others(people.url, msp.msp_id) as alone:
            time.sleep(ALONE_SECONDS)
        with _others(people.url, msp.msp_id) as took:
            began = time.perf_counter()
            shown = _answer(people, _PREVIEW, msp=msp.msp_id, pairs=pairs)["previewRelations"]
            seen = time.perf_counter()
            outcome = _answer(people, _SET, msp=msp.msp_id, token=shown["token"])["setRelations"]
            answered = time.perf_counter()
            msp.quiet(900)
            posted = time.perf_counter()
    done = sum(result["ok"] for result in outcome["results"])
    assert (done, shown["totals"]["blocked"]) == (links - BAD, BAD), outcome["refusal"]
    slowest = f"slowest page {1000 * max(took):.0f} ms, alone {1000 * max(alone):.0f} ms"
    notes = [
        f"{done:,} of {links:,} set, {BAD} refused row by row; {shown['totals']['unitChange']:,} units to be posted",
        f"preview {seen - began:.1f} s; answer {answered - seen:.1f} s after the click, with the preview made anew",
        f"all posted and read back {posted - answered:.1f} s later; {slowest}",
        f"p50 of pages {1000 * median(took):.0f} ms, alone {1000 * median(alone):.0f} ms",
    ]
    return [Measured(OTHERS, [_p99(took)], [_p99(alone)], notes), Measured(CLICK, [answered - seen])]


def _answer(people: Answering, query: str, **variables: object) -> dict[str, Any]:
    """The data, however long it takes on a busy machine."""
    answer: dict[str, Any] = people.post(query, variables, timeout=600).json()
    assert "errors" not in answer, answer["errors"]
    return answer["data"]  # type: ignore[no-any-return]


def _p99(took: list[float]) -> float:
    """Milliseconds within which 99 of 100 were answered."""
    return 1000 * quantiles(took, n=100)[98]


def _pairs(msp: MspHouse, links: int) -> list[dict[str, str]]:
    """Resources of one company and lines of one contract, known to all; the last three pairs are bad."""
    company = msp.odin.add_company("Hall Bros.")
    line = msp.add_line("Hall Bros.", "Service 0", 1)
    contract = msp.psa.database.engine.line(line).contract_id
    lines = [line, *(msp.psa.add_line(contract, f"Service {n}", 1, "3.40", "10.00") for n in range(1, links))]
    resources: list[ResourceKey] = []
    for start in range(0, links, A_SUBSCRIPTION):
        subscription = msp.odin.add_subscription(company, f"Subscription {start}", monthly=True)
        resources += [
            msp.add_to(company, subscription, f"r{n}", f"Licence {n}", 2 + n % 9, cost="3.40", price="4.00")
            for n in range(start, min(start + A_SUBSCRIPTION, links))
        ]
    msp.poll()
    msp.read_catalogue(lines[-1])
    msp.quiet(300)
    pairs = [
        {"resourceKey": str(key), "psaConnectionId": "autotask", "psaProductId": str(line)}
        for key, line in zip(resources, lines, strict=True)
    ]
    return pairs[:-BAD] + [pair | {"psaProductId": "unheard of"} for pair in pairs[-BAD:]]


@contextmanager
def _tests_house(url: str, vhost: str) -> Iterator[House]:
    """The house of the flow tests, which signs in with passwords of its own."""
    migrate(url, ROLE_PASSWORD)
    with running_house(url, vhost) as house:
        yield house


@contextmanager
def _others(url: str, msp_id: str) -> Iterator[list[float]]:
    """Somebody else turns pages over a connection of their own: the seconds of each, infinite when it
    was not answered, until the block ends."""
    took: list[float] = []
    over = threading.Event()

    def turn() -> None:
        reader = Answering(url, None, None)  # type: ignore[arg-type]
        for page in cycle(_PAGES):
            if over.wait(PAUSE):
                return
            began = time.perf_counter()
            answer = reader.post(page, {"msp": msp_id}).json()
            took.append(math.inf if "errors" in answer else time.perf_counter() - began)

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join(60)
