"""One marketplace connection of one MSP -> the key of its rows and the names of its streams."""

from dataclasses import dataclass
from typing import Any

from domain.keys import CompanyId, ConnectionId, MspId, ResourceId, ResourceKey, SubscriptionId


@dataclass(frozen=True, slots=True)
class Place:
    """One marketplace connection of one MSP: where rows and streams belong."""

    msp_id: MspId
    connection_id: ConnectionId

    @property
    def key(self) -> dict[str, Any]:
        """The first two columns of every table, as statement parameters."""
        return {"msp_id": self.msp_id, "connection_id": self.connection_id}

    def company_stream(self, company_id: str) -> str:
        """The stream of a company."""
        return f"company/{_joined(self.connection_id, company_id)}"

    def subscription_stream(self, subscription_id: str) -> str:
        """The stream of a subscription."""
        return f"subscription/{_joined(self.connection_id, subscription_id)}"

    def resource_stream(self, company_id: CompanyId, subscription_id: SubscriptionId, resource_id: ResourceId) -> str:
        """The stream of a resource."""
        key = ResourceKey(self.msp_id, self.connection_id, company_id, subscription_id, resource_id)
        return f"resource/{str(key).partition('/')[2]}"

    @property
    def poll_stream(self) -> str:
        """The stream of the connection's polls."""
        return f"poll/{_joined(self.connection_id)}"


def _joined(*parts: str) -> str:
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)
