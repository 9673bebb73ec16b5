"""mapping on a real database: a company with two subscriptions, a PSA customer with two agreements, read by the reactor."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from domain.keys import MspId
from plumbing.catch_up import catch_up
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from services.mapping import operations
from services.mapping.reactor import reactor
from services.mapping.wishes import Ask, parse_wishes
from tests.msps import add_msp
from tests.world import MORNING, ODIN, PSA, World, discovered, odin, psa, psa_agreement, psa_customer, psa_product

TEAMS = odin(resource_id="100300", resource_name="Teams Phone")
OTHER_SUBSCRIPTION = odin(subscription_id="1000900", subscription_name="Azure plan")
OTHER_COMPANY = odin(company_id="1200000777", company_name="Fabrikam", subscription_id="1000950")
OTHER_PRODUCT = psa(psa_product_id="1402", psa_product_name="Telephony")
OTHER_AGREEMENT = psa(psa_agreement_id="29684200", psa_agreement_name="Projects", psa_product_id="1500")
OTHER_CUSTOMER = psa(
    psa_customer_id="29683999", psa_customer_name="Fabrikam GmbH", psa_agreement_id="29684300", psa_product_id="1600"
)


@dataclass
class Mapping(World):
    """mapping with a frozen clock; set() and clear() as its calls do."""

    clock: FrozenClock

    def catch_up(self) -> None:
        """Reads the log up to its head."""
        catch_up(self.engine, reactor(self.clock), self.msp_id, self.clock)

    def wish(self, names: Any = ODIN, product: Any = PSA, row_id: str = "row") -> dict[str, str]:
        """A wish as a call gives it."""
        return {
            "id": row_id,
            "resource_key": str(names.resource_key(self.msp_id)),
            "psa_connection_id": product.psa_connection_id,
            "psa_product_id": product.psa_product_id,
        }

    def set(self, *wishes: Any, operation_id: str = "") -> list[dict[str, Any]]:
        """The results of one call."""
        ask = Ask(self.msp_id, operation_id or uuid4().hex, "anna@msp.example")
        return operations.set_relations(self.engine, self.clock, ask, parse_wishes(list(wishes)))["results"]

    def clear(self, *relation_ids: str, operation_id: str = "") -> list[dict[str, Any]]:
        """The results of one call."""
        ask = Ask(self.msp_id, operation_id or uuid4().hex, "anna@msp.example")
        return operations.clear_relations(self.engine, self.clock, ask, list(relation_ids), "no longer billed")[
            "results"
        ]


@pytest.fixture
def mapping(database: str) -> Iterator[Mapping]:
    """An MSP whose companies, subscriptions, agreements and products are known."""
    engine = make_engine(database, "test")
    world = Mapping(engine, add_msp(engine), FrozenClock(MORNING))
    world.append(
        *(discovered(names) for names in (ODIN, TEAMS, OTHER_SUBSCRIPTION, OTHER_COMPANY)),
        *(psa_customer(names) for names in (PSA, OTHER_CUSTOMER)),
        *(psa_agreement(names) for names in (PSA, OTHER_AGREEMENT, OTHER_CUSTOMER)),
        *(psa_product(names) for names in (PSA, OTHER_PRODUCT, OTHER_AGREEMENT, OTHER_CUSTOMER)),
    )
    yield world
    engine.dispose()


def other_msp(mapping: Mapping) -> MspId:
    """A second MSP of the installation."""
    return add_msp(mapping.engine, "other")
