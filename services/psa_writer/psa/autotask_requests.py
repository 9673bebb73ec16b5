"""What we ask of Autotask -> SOAP envelopes, built by zeep over our own small description of the API."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import zeep
from lxml import etree

from services.psa_writer.psa.port import AdjustmentOrder

NAMESPACE = "http://autotask.net/ATWS/v1_6/"
_DESCRIPTION = Path(__file__).with_name("autotask.wsdl")


@dataclass(frozen=True)
class Request:
    """One call to send. operation: the name of its element, which also ends its SOAPAction and begins its reply's.
    entity: what it is about, for limits that Autotask counts by entity."""

    operation: str
    entity: str
    body: bytes

    @property
    def action(self) -> str:
        """The value of the SOAPAction header."""
        return f'"{NAMESPACE}{self.operation}"'


def load(description: Path) -> Any:
    """zeep over a description on disk, DTDs, entities and references to other places refused."""
    settings = zeep.Settings(forbid_dtd=True, forbid_entities=True, forbid_external=True)
    return zeep.Client(str(description), settings=settings)  # type: ignore[no-untyped-call]


@cache
def _ours() -> Any:
    return load(_DESCRIPTION)


class Requests:
    """Envelopes that carry one tracking identifier ("integration code" in Autotask's words)."""

    def __init__(self, tracking_identifier: str, client: Any = None) -> None:
        self._client = client or _ours()
        self._headers = {"AutotaskIntegrations": {"IntegrationCode": printable(tracking_identifier)}}

    def zone(self, user: str) -> Request:
        """Asks which zone the user lives in; the only call without a sign-in."""
        return self._request("getZoneInfo", "getZoneInfo", "Zone", {"UserName": printable(user)})

    def query(self, entity: str, query_xml: str) -> Request:
        """Asks for one page of an entity's records."""
        return self._signed("query", "query", entity, sXML=query_xml)

    def entity_flags(self) -> Request:
        """Asks what may be done with each entity."""
        return self._signed("getEntityInfo", "GetEntityInfo", "EntityInformation")

    def fields(self, entity: str) -> Request:
        """Asks for an entity's fields and their choices."""
        return self._signed("GetFieldInfo", "GetFieldInfo", "FieldInformation", psObjectType=entity)

    def usage(self) -> Request:
        """Asks how many calls of the hour are used, by all integrations together."""
        return self._signed("getThresholdAndUsageInfo", "getThresholdAndUsageInfo", "Threshold")

    def create(self, orders: Sequence[AdjustmentOrder]) -> Request:
        """Asks for the adjustments, as one transaction."""
        entities = {"Entity": [self._adjustment(order) for order in orders]}
        return self._signed("create", "create", "ContractServiceAdjustment", Entities=entities)

    def _adjustment(self, order: AdjustmentOrder) -> Any:
        """The contract is left out: a contract and service that do not fit would silently create a new line.
        The day carries no zone, so that none can shift it."""
        adjustment = self._client.get_type(f"{{{NAMESPACE}}}ContractServiceAdjustment")
        return adjustment(
            id=0,
            ContractServiceID=int(order.psa_product_id),
            EffectiveDate=f"{order.effective_date.isoformat()}T00:00:00",
            UnitChange=order.unit_change,
            AdjustedUnitPrice=None if order.unit_price is None else plain(order.unit_price),
            AdjustedUnitCost=None if order.unit_cost is None else plain(order.unit_cost),
        )

    def _signed(self, zeep_name: str, operation: str, entity: str, **arguments: object) -> Request:
        return self._request(zeep_name, operation, entity, {**arguments, "_soapheaders": self._headers})

    def _request(self, zeep_name: str, operation: str, entity: str, arguments: dict[str, object]) -> Request:
        envelope = self._client.create_message(self._client.service, zeep_name, **arguments)
        return Request(operation, entity, etree.tostring(envelope, xml_declaration=True, encoding="utf-8"))


def printable(text: str) -> str:
    """The text without what XML cannot carry, and without the blanks that pasting leaves at its ends."""
    return "".join(sign for sign in text if sign.isprintable()).strip()


def plain(amount: Decimal) -> str:
    """The amount in digits, never with an exponent."""
    return format(amount, "f")
