"""Names as people type them -> SUG: how right suggestions are in each band of their score, how many there are, how long 5,000
companies against 5,000 customers take, and a page of candidates ordered by score.

The names (messy_names.py) were written before the scorer. The peer is rapidfuzz's own cdist of token_sort_ratio over all pairs,
with the best of each row taken: what one would write without knowing more of names.
"""

import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from statistics import quantiles

import numpy as np
from rapidfuzz import fuzz, process, utils
from sqlalchemy import text

from deploy.up.house import as_role
from domain.keys import MspId
from plumbing.catch_up import catch_up
from plumbing.clock import Clock
from plumbing.database import make_engine
from services.mapping import suggesting
from services.mapping.reactor import reactor
from services.mapping.suggest_customers import suggest_customers
from tests.bench.goals import Goal, Measured
from tests.bench.ground import ROLE_PASSWORD, Ground
from tests.bench.messy_names import Names, messy_names
from tests.bench.turns import in_turns
from tests.gateway.serving import gateway
from tests.msps import add_msp
from tests.reporting import history
from tests.world import MORNING, World, discovered, odin, psa, psa_agreement, psa_customer, psa_product

PRECISION = Goal("SUG", "precision of strong suggestions (0.9 and more)", "", "of 1", 0.98, 0.995)
RECALL = Goal("SUG", "companies of the PSA found by fair suggestions (0.7 and more)", "", "of 1", 0.85, 0.95)
SECONDS = Goal(
    "SUG",
    "all companies against all customers",
    "rapidfuzz cdist token_sort_ratio, all pairs",
    "s",
    10,
    3,
    at_most=True,
)
PAGE = Goal("SUG", "a page of 100 candidates by score, of 2,000 open, p95", "", "ms", 500, 100, at_most=True)
SEED, OTHER_SEEDS = 1, (2, 3)
_BANDS = (0.9, 0.8, 0.7, 0.4)
_PAGE = """query($filter: RelationCandidateFilter) { relationCandidates(mspId: "acme", filter: $filter, first: 100,
  orderBy: [{field: SCORE, direction: DESC}, {field: COMPANY_NAME}]) { totalCount totals { rows unitChange }
  edges { node { companyName subscriptionName resourceName count psaCustomerName psaAgreementName psaProductName units unitChange
  score why state } } pageInfo { endCursor } } }"""
_COMPANIES = """{ all: companies(mspId: "acme") { totalCount }
  shown: companies(mspId: "acme", first: 100, filter: {unlinked: {gte: 1}, bestScore: {gte: "0.7"}}) { totalCount
    edges { node { companyName linked unlinked psaCustomerName score why bestScore } } pageInfo { endCursor } } }"""
_OFFERS = (
    "Exchange Online (Plan 1)",
    "Microsoft 365 Business Premium",
    "Acronis Cyber Protect – Größe 100 GB",
    "Office 365 E3",
)
_SOLD_AS = ("Exchange Online P1", "M365 Business Premium", "Acronis Cyber Protect - 100GB", "O365 E5")


@dataclass(frozen=True)
class Judged:
    """What came of a band. found: share of the companies that the PSA has, in this band or above."""

    least: float
    suggested: int
    precision: float
    found: float

    def __str__(self) -> str:
        return (
            f"{self.least:.1f}+: {self.suggested:,} suggested, precision {self.precision:.4f}, found {self.found:.4f}"
        )


def suggestions(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """5,000 (quick: 1,000) companies against as many customers; pages over 2,000 open resources."""
    names = messy_names(SEED, 1_000 if quick else 5_000)
    bands = judged(_ours(names), names.truth)
    notes = [f"band {band}" for band in bands]
    notes += [f"peer, band {band}" for band in judged(_peers(names), names.truth)]
    others = [
        judged(_ours(other), other.truth) for other in (messy_names(seed, len(names.odin)) for seed in OTHER_SEEDS)
    ]
    ours, limits = in_turns(rounds, lambda: _seconds(lambda: _ours(names)), lambda: _seconds(lambda: _peers(names)))
    return [
        Measured(PRECISION, [each[0].precision for each in (bands, *others)], [], notes),
        Measured(RECALL, [_above(each, 0.7) for each in (bands, *others)]),
        Measured(SECONDS, ours, limits, [f"{len(names.odin):,} x {len(names.psa):,}; the peer on one core, as ours"]),
        *_pages(ground, rounds),
    ]


def judged(chosen: Mapping[str, tuple[str, float]], truth: Mapping[str, Set[str]]) -> list[Judged]:
    """Each band from its least score up to the next."""
    bands, upto = [], 2.0
    for least in _BANDS:
        here = [
            customer in truth.get(company, ()) for company, (customer, score) in chosen.items() if least <= score < upto
        ]
        above = [customer in truth.get(company, ()) for company, (customer, score) in chosen.items() if score >= least]
        bands.append(Judged(least, len(here), sum(here) / max(1, len(here)), sum(above) / len(truth)))
        upto = least
    return bands


def _above(bands: list[Judged], least: float) -> float:
    return next(band.found for band in bands if band.least == least)


def _ours(names: Names) -> dict[str, tuple[str, float]]:
    found = suggest_customers(names.odin, names.psa)
    return {company: (choice.id, float(choice.score)) for company, choice in found.items()}


def _peers(names: Names) -> dict[str, tuple[str, float]]:
    companies = [utils.default_process(name) for name in names.odin.values()]
    customers = [utils.default_process(name) for name in names.psa.values()]
    scores = process.cdist(companies, customers, scorer=fuzz.token_sort_ratio, dtype=np.uint8, workers=1)
    best, ids = scores.argmax(axis=1), list(names.psa)
    return {
        company: (ids[at], float(scores[row, at]) / 100)
        for row, (company, at) in enumerate(zip(names.odin, best, strict=True))
    }


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _pages(ground: Ground, rounds: int) -> list[Measured]:
    with ground.database() as url:
        took = _two_thousand(url)
        with gateway(as_role(url, "trueup_gateway", ROLE_PASSWORD), LOG_LEVEL="ERROR") as answering:
            figures, notes = [], [f"weighing them anew: {took:.1f} s"]
            for filter_ in ({}, {"score": {"gte": "0.9"}}, {"path": {"contains": "premium"}}):
                taken = [1000 * _seconds(lambda f=filter_: answering.data(_PAGE, filter=f)) for _ in range(20 * rounds)]
                figures.append(quantiles(taken, n=20)[-1])
                notes.append(f"filter {filter_ or 'none'}: {figures[-1]:.0f} ms")
            tree = [1000 * _seconds(lambda: answering.data(_COMPANIES)) for _ in range(20 * rounds)]
            notes.append(f"a page of 100 companies and both totals: {quantiles(tree, n=20)[-1]:.0f} ms")
    return [Measured(PAGE, [max(figures)], [], notes)]


def _two_thousand(url: str) -> float:
    """500 companies with four open resources each, and their customers. Seconds that weighing took."""
    engine, clock = make_engine(url, "bench"), Clock()
    world = World(engine, add_msp(engine))
    with engine.begin() as connection:
        for kind in ("odin", "autotask"):
            connection.execute(
                text("INSERT INTO setup.connections VALUES ('acme', :kind, :kind, '{}', '{}', 1, :now)"),
                {"kind": kind, "now": MORNING},
            )
    names = messy_names(SEED, 500)
    for number, name in enumerate(names.odin.values()):
        company = {"company_id": str(1_200_000_000 + number), "company_name": name, "subscription_id": str(number)}
        world.append(
            *(
                discovered(odin(**company, resource_id=str(at), resource_name=offer), str(at + 1))
                for at, offer in enumerate(_OFFERS)
            )
        )
    for number, name in enumerate(names.psa.values()):
        theirs = {"psa_customer_id": str(number), "psa_customer_name": name, "psa_agreement_id": f"a{number}"}
        lines = [
            psa(**theirs, psa_product_id=f"{number}-{at}", psa_product_name=sold) for at, sold in enumerate(_SOLD_AS)
        ]
        world.append(psa_customer(lines[0]), psa_agreement(lines[0]), *map(psa_product, lines))
    catch_up(engine, reactor(clock), MspId("acme"), clock)
    took = _seconds(lambda: suggesting.refresh_due(engine, clock))
    history.project(engine, MspId("acme"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()
    return took
