"""The ids and names that many events carry: a resource in ODIN, a product in the PSA, as they were called at that moment."""

from dataclasses import dataclass

from domain.keys import (
    CompanyId,
    ConnectionId,
    MspId,
    PsaAgreementId,
    PsaAgreementKey,
    PsaCustomerId,
    PsaProductId,
    PsaProductKey,
    ResourceId,
    ResourceKey,
    SubscriptionId,
)


@dataclass(frozen=True, kw_only=True)
class OdinNames:
    """Company, subscription and resource in one marketplace connection."""

    connection_id: ConnectionId
    company_id: CompanyId
    company_name: str
    subscription_id: SubscriptionId
    subscription_name: str
    resource_id: ResourceId
    resource_name: str

    def resource_key(self, msp_id: MspId) -> ResourceKey:
        """The key of the resource."""
        return ResourceKey(msp_id, self.connection_id, self.company_id, self.subscription_id, self.resource_id)


@dataclass(frozen=True, kw_only=True)
class PsaNames:
    """Customer, agreement and product in one PSA connection."""

    psa_connection_id: ConnectionId
    psa_customer_id: PsaCustomerId
    psa_customer_name: str
    psa_agreement_id: PsaAgreementId
    psa_agreement_name: str
    psa_product_id: PsaProductId
    psa_product_name: str

    def product_key(self, msp_id: MspId) -> PsaProductKey:
        """The key of the product."""
        return PsaProductKey(msp_id, self.psa_connection_id, self.psa_product_id)

    def agreement_key(self, msp_id: MspId) -> PsaAgreementKey:
        """The key of the agreement."""
        return PsaAgreementKey(msp_id, self.psa_connection_id, self.psa_agreement_id)
