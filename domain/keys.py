"""Ids -> the keys by which everything is known; every key begins with the MSP."""

from dataclasses import dataclass
from typing import NewType, Self

MspId = NewType("MspId", str)
ConnectionId = NewType("ConnectionId", str)
CompanyId = NewType("CompanyId", str)
SubscriptionId = NewType("SubscriptionId", str)
ResourceId = NewType("ResourceId", str)
PsaCustomerId = NewType("PsaCustomerId", str)
PsaAgreementId = NewType("PsaAgreementId", str)
PsaProductId = NewType("PsaProductId", str)


class BadKey(ValueError):
    """The text is not a key: it must have the right number of parts, none of them empty."""


def _escape(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F")


def _unescape(part: str) -> str:
    return part.replace("%2F", "/").replace("%25", "%")


class _Key:
    def __str__(self) -> str:
        """The key as text: its parts joined by "/", with "/" and "%" inside a part escaped."""
        # Not astuple(): it copies every part deeply, and keys are written by the hundred thousand.
        return "/".join(_escape(getattr(self, name)) for name in self.__dataclass_fields__)  # type: ignore[attr-defined]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that str() wrote; BadKey when the text is none."""
        parts = [_unescape(part) for part in text.split("/")]
        if len(parts) != len(cls.__dataclass_fields__) or not all(parts):  # type: ignore[attr-defined]
            raise BadKey(f"{text!r} is not a {cls.__name__}")
        return cls(*parts)


@dataclass(frozen=True, order=True)
class ResourceKey(_Key):
    """What is counted in ODIN. A resource id alone says little: the same id stands on many subscriptions."""

    msp_id: MspId
    connection_id: ConnectionId
    company_id: CompanyId
    subscription_id: SubscriptionId
    resource_id: ResourceId


@dataclass(frozen=True, order=True)
class SubscriptionKey(_Key):
    """One subscription as one marketplace connection shows it."""

    msp_id: MspId
    connection_id: ConnectionId
    subscription_id: SubscriptionId


@dataclass(frozen=True, order=True)
class PsaProductKey(_Key):
    """What is billed in the PSA: one product line of one agreement (Autotask: a contract service)."""

    msp_id: MspId
    connection_id: ConnectionId
    psa_product_id: PsaProductId


@dataclass(frozen=True, order=True)
class PsaAgreementKey(_Key):
    """One agreement in the PSA: what the writer takes a lease on."""

    msp_id: MspId
    connection_id: ConnectionId
    psa_agreement_id: PsaAgreementId
