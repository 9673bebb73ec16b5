"""A number of a link -> how its company, subscription, resource and PSA product are called in every log of the bench."""

from datetime import UTC, datetime

from domain.events.names import OdinNames, PsaNames
from domain.keys import (
    CompanyId,
    ConnectionId,
    MspId,
    PsaAgreementId,
    PsaCustomerId,
    PsaProductId,
    ResourceId,
    SubscriptionId,
)

MSPS = tuple(MspId(f"bench-{number}") for number in range(40))
FIRST_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
# A company has about ten subscriptions and a subscription three resources.
SUBSCRIPTIONS, RESOURCES = 10, 3
OFFERS = ("Exchange Online (Plan 1)", "Microsoft 365 Business Premium", "Acronis Cyber Protect – Größe 100 GB")


def odin_names(link: int) -> OdinNames:
    """Company, subscription and resource of the link with this number, counted from 0."""
    subscription, resource = divmod(link, RESOURCES)
    company = subscription // SUBSCRIPTIONS
    return OdinNames(
        connection_id=ConnectionId("odin"),
        company_id=CompanyId(str(1_200_000_000 + company)),
        company_name=f"Company {company} Ltd",
        subscription_id=SubscriptionId(str(1_000_000 + subscription)),
        subscription_name=f"Subscription {subscription}",
        resource_id=ResourceId(str(100_000 + link)),
        resource_name=OFFERS[resource],
    )


def psa_names(link: int) -> PsaNames:
    """Customer, agreement and product of the link with this number: one product a link."""
    subscription, resource = divmod(link, RESOURCES)
    company = subscription // SUBSCRIPTIONS
    return PsaNames(
        psa_connection_id=ConnectionId("autotask"),
        psa_customer_id=PsaCustomerId(str(29_000_000 + company)),
        psa_customer_name=f"Company {company} Ltd",
        psa_agreement_id=PsaAgreementId(str(29_600_000 + subscription)),
        psa_agreement_name=f"Cloud services {subscription}",
        psa_product_id=PsaProductId(str(1_000 + link)),
        psa_product_name=OFFERS[resource],
    )


def resource_stream(names: OdinNames) -> str:
    """The stream in which the poller keeps what happens to the resource."""
    return f"resource/{names.connection_id}/{names.company_id}/{names.subscription_id}/{names.resource_id}"
