"""(an MSP, a position of its log) -> what may be asked of its lineage: the published face of this package."""

from sqlalchemy import Connection

from domain.keys import MspId, PsaProductKey, ResourceKey
from plumbing import setup
from services.reporting.lineage.explain import Explanation, explain_product, explain_resource
from services.reporting.lineage.history import HistoryPage, resource_history
from services.reporting.lineage.line import PsaLine, psa_line
from services.reporting.lineage.payloads import Payload, payload
from services.reporting.lineage.streams import LAST, Log
from services.reporting.question import MOST_ROWS, BadQuestion


class Lineage:
    """One MSP's log as it stood at a position (None: as it stands). KeyError when there is no such MSP. Each answer is None
    when what was asked for was never seen, or is another MSP's."""

    def __init__(self, connection: Connection, msp_id: MspId, position: int | None = None) -> None:
        self._log = Log(connection, msp_id, LAST if position is None else position)
        self._time_zone = setup.msp(connection, msp_id).time_zone

    def explain_product(self, product: PsaProductKey) -> Explanation | None:
        """Why the product has its units. BadQuestion when it was linked too often to be told at once."""
        return explain_product(self._log, product, self._time_zone) if self._is_ours(product) else None

    def explain_resource(self, key: ResourceKey) -> Explanation | None:
        """Why the product that the resource feeds has its units. BadQuestion as above."""
        return explain_resource(self._log, key, self._time_zone) if self._is_ours(key) else None

    def resource_history(self, key: ResourceKey, first: int, before: int | None = None) -> HistoryPage | None:
        """A page of what happened to the resource, at positions below `before`, newest first. BadQuestion."""
        _check_first(first)
        return resource_history(self._log, key, self._time_zone, first, before) if self._is_ours(key) else None

    def psa_line(self, product: PsaProductKey, first: int) -> PsaLine | None:
        """The product as the PSA shows it, with the newest `first` transactions of ours. BadQuestion."""
        _check_first(first)
        return psa_line(self._log, product, first) if self._is_ours(product) else None

    def payload(self, payload_id: str) -> Payload | None:
        """The masked answer of ODIN behind an event; None also when it was kept long enough."""
        return payload(self._log, payload_id)

    def _is_ours(self, key: ResourceKey | PsaProductKey) -> bool:
        return key.msp_id == self._log.msp_id


def _check_first(first: int) -> None:
    if not 1 <= first <= MOST_ROWS:
        raise BadQuestion(f"a page has 1 to {MOST_ROWS} rows, not {first}")
