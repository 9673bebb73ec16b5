"""Contract services and the catalogue that they point to -> products with names, vendors and period types, in few calls."""

import logging
from collections.abc import Iterable, Iterator, Sequence

from domain.periods import PeriodType
from services.psa_writer.psa import autotask_rows as rows
from services.psa_writer.psa.autotask_errors import RIGHTS_FIX
from services.psa_writer.psa.autotask_pages import Pages
from services.psa_writer.psa.autotask_replies import read_choices
from services.psa_writer.psa.port import PsaFailure, PsaProduct

log = logging.getLogger(__name__)


class Catalogue:
    """Services, vendors and period types, read once and kept until forget()."""

    def __init__(self, pages: Pages, currency: str) -> None:
        self._pages, self._currency = pages, currency
        self._services: dict[str, rows.Service] = {}
        self._vendors: dict[str, str] = {}
        self._period_types: dict[str, PeriodType] | None = None

    def forget(self) -> None:
        """Reads everything anew from here on."""
        self._services, self._vendors, self._period_types = {}, {}, None

    def products(self, pages: Iterable[list[rows.Line]]) -> Iterator[list[PsaProduct]]:
        """The products that pages of lines are; one whose period type bills no period is left out.
        Raises PsaFailure, also when a line's service is kept from our user: a name cannot be guessed."""
        for lines in pages:
            self._learn([line.service_id for line in lines])
            found = [self._product(line) for line in lines]
            yield [product for product in found if product is not None]

    def _product(self, line: rows.Line) -> PsaProduct | None:
        service = self._services[line.service_id]
        period_type = self._types().get(service.period_code)
        if period_type is None:
            log.warning("%s bills no known period (%r), left out", line.psa_product_id, service.period_code)
            return None
        vendor = self._vendors.get(service.vendor_account_id)
        return rows.product(line, service, period_type, vendor, self._currency)

    def _learn(self, service_ids: Sequence[str]) -> None:
        """Reads the services, and the accounts of their vendors, that are not known yet."""
        wanted = {each for each in service_ids if each not in self._services}
        for page in self._pages.having("Service", lambda each: (each.text("id"), rows.service(each)), "id", [*wanted]):
            self._services.update(page)
        missing = wanted - self._services.keys()
        if missing:
            message = f"Autotask shows contract lines of {len(missing)} services, but not the services themselves."
            raise PsaFailure("rejected", message, RIGHTS_FIX)
        self._learn_vendors({self._services[each].vendor_account_id for each in wanted})

    def _learn_vendors(self, account_ids: set[str]) -> None:
        wanted = [each for each in account_ids if each and each not in self._vendors]
        names = self._pages.having("Account", lambda each: (each.text("id"), each.text("AccountName")), "id", wanted)
        for page in names:
            self._vendors.update(page)

    def _types(self) -> dict[str, PeriodType]:
        if self._period_types is None:
            request = self._pages.requests.fields("Service")
            choices = self._pages.door.read(request, lambda body: read_choices(body, "PeriodType"))
            self._period_types = rows.period_types(choices)
        return self._period_types
