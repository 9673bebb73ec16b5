"""(a PSA, products to post to) -> their agreements, lines and units as they are now, in few calls."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import chain

from domain.keys import PsaAgreementId, PsaProductId
from domain.periods import PeriodType, next_period, period_at
from services.psa_writer.as_read import AsRead, Calibration
from services.psa_writer.psa.port import Psa, PsaAgreement, PsaProduct, UnitsRow
from services.psa_writer.rows_kept import by_product

#: Days of the next period that are read too, for a change that must give way to a day that is taken. Reading them costs
#: no call more: the rows of the period after it begin later, even with the margin of days that a client of a PSA adds.
_INTO_NEXT_PERIOD = timedelta(days=7)


@dataclass(frozen=True)
class Window:
    """The days whose rows were read."""

    since: date
    until: date


@dataclass(frozen=True)
class Fresh:
    """What the PSA showed a moment ago; what is gone is missing."""

    agreements: Mapping[PsaAgreementId, PsaAgreement]
    products: Mapping[PsaProductId, PsaProduct]
    rows: Mapping[PsaProductId, tuple[UnitsRow, ...]]
    windows: Mapping[PsaProductId, Window]

    def as_read(
        self, product_id: PsaProductId, calibration: Calibration, taken_dates: frozenset[date]
    ) -> AsRead | None:
        """The product with its units; None when it or its agreement is gone or does not run today."""
        product, window = self.products.get(product_id), self.windows.get(product_id)
        agreement = self.agreements.get(product.psa_agreement_id) if product else None
        if product is None or agreement is None or window is None:
            return None
        return AsRead(
            start_date=agreement.start_date,
            end_date=agreement.end_date,
            period_type=product.period_type,
            rows=self.rows.get(product_id, ()),
            read_since=window.since,
            read_until=window.until,
            calibration=calibration,
            unit_cost=product.unit_cost,
            unit_price=product.unit_price,
            taken_dates=taken_dates,
        )


def read_fresh(
    psa: Psa, agreement_ids: Sequence[PsaAgreementId], product_ids: Sequence[PsaProductId], today: date
) -> Fresh:
    """The agreements, the products and, of those whose agreement runs today, the units of the running period and of the
    first days of the next. PsaFailure."""
    agreements = {a.psa_agreement_id: a for a in chain.from_iterable(psa.agreements(sorted(set(agreement_ids))))}
    products = {p.psa_product_id: p for p in chain.from_iterable(psa.products_by_id(sorted(set(product_ids))))}
    windows = _windows(agreements, products.values(), today)
    rows: dict[PsaProductId, tuple[UnitsRow, ...]] = {}
    for window, ids in _grouped(windows).items():
        rows |= read_rows(psa, ids, window)
    return Fresh(agreements, products, rows, windows)


def widen(psa: Psa, fresh: Fresh, wanted: Mapping[PsaProductId, Window]) -> Fresh:
    """The same with the rows of more days for some products, read in as few calls as can be. PsaFailure."""
    if not wanted:
        return fresh
    window = Window(min(w.since for w in wanted.values()), max(w.until for w in wanted.values()))
    rows = read_rows(psa, sorted(wanted), window)
    return replace(fresh, rows={**fresh.rows, **rows}, windows={**fresh.windows, **dict.fromkeys(wanted, window)})


def read_rows(
    psa: Psa, product_ids: Sequence[PsaProductId], window: Window
) -> dict[PsaProductId, tuple[UnitsRow, ...]]:
    """The units rows of the products in the window; () for one without any. PsaFailure."""
    pages = psa.units(sorted(set(product_ids)), window.since, window.until)
    return dict.fromkeys(product_ids, ()) | dict(by_product(chain.from_iterable(pages)))


def _windows(
    agreements: Mapping[PsaAgreementId, PsaAgreement], products: Iterable[PsaProduct], today: date
) -> dict[PsaProductId, Window]:
    """One window for all products of a period type: a few rows more, but far fewer calls."""
    own: dict[PsaProductId, tuple[PeriodType, Window]] = {}
    for product in products:
        agreement = agreements.get(product.psa_agreement_id)
        if agreement is not None and agreement.start_date <= today <= agreement.end_date:
            own[product.psa_product_id] = (product.period_type, _own_window(agreement, product.period_type, today))
    shared: dict[PeriodType, Window] = {}
    for period_type, window in own.values():
        known = shared.get(period_type, window)
        shared[period_type] = Window(min(known.since, window.since), max(known.until, window.until))
    return {product_id: shared[period_type] for product_id, (period_type, _) in own.items()}


def _own_window(agreement: PsaAgreement, period_type: PeriodType, today: date) -> Window:
    start, end = agreement.start_date, agreement.end_date
    following = next_period(start, period_type, today, end)
    until = end if following is None else min(following.first_day + _INTO_NEXT_PERIOD, end)
    return Window(period_at(start, period_type, today, end).first_day, until)


def _grouped(windows: Mapping[PsaProductId, Window]) -> dict[Window, list[PsaProductId]]:
    groups: dict[Window, list[PsaProductId]] = {}
    for product_id, window in windows.items():
        groups.setdefault(window, []).append(product_id)
    return groups
