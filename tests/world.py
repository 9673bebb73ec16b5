"""Values with sensible defaults -> events of the product's world: company 1200000501 and its Autotask contract."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, text

from domain import events
from domain.envelope import Envelope, NewEvent
from domain.events.names import OdinNames, PsaNames
from domain.keys import MspId
from domain.money import Money
from domain.relation_settings import AS_NEW, RelationSettings
from plumbing import event_log

MORNING = datetime(2026, 8, 3, 8, 0, tzinfo=UTC)
ODIN = OdinNames(
    connection_id="odin",
    company_id="1200000501",
    company_name="Contoso",
    subscription_id="1000823",
    subscription_name="Office 365",
    resource_id="100234",
    resource_name="Exchange Online (Plan 1)",
)
PSA = PsaNames(
    psa_connection_id="autotask",
    psa_customer_id="29683570",
    psa_customer_name="Contoso Ltd",
    psa_agreement_id="29684112",
    psa_agreement_name="Cloud services",
    psa_product_id="1401",
    psa_product_name="Hosted mail",
)


@dataclass
class World:
    """Appends what poller and psa_writer would, with the versions of its streams kept."""

    engine: Engine
    msp_id: MspId

    def append(self, *given: tuple[str, Any], correlation_id: str = "of-a-test", at: datetime = MORNING) -> int:
        """The position of the last of the (stream, event) pairs, appended in one go. at: when they occurred."""
        with self.engine.begin() as connection:
            versions: dict[str, int] = {}
            new = []
            for stream, event in given:
                if stream not in versions:
                    versions[stream] = connection.scalar(
                        text(
                            "SELECT coalesce(max(stream_version), 0) FROM log.events WHERE msp_id = :m AND stream = :s"
                        ),
                        {"m": self.msp_id, "s": stream},
                    )
                versions[stream] += 1
                new.append(NewEvent(stream=stream, stream_version=versions[stream], event=event, occurred_at=at))
            return event_log.append(
                connection,
                self.msp_id,
                new,
                recorded_at=MORNING,
                recorded_by="test",
                correlation_id=correlation_id,
            )

    def happened(self, *types: type) -> list[Any]:
        """All events of the types (of all types when none is given), in order."""
        return [envelope.event for envelope in self.log(*types)]

    def log(self, *types: type) -> list[Envelope]:
        """The same with their envelopes."""
        with self.engine.connect() as connection:
            upto = event_log.head(connection, self.msp_id)
            return event_log.read(connection, self.msp_id, 0, upto, [t.type for t in types] or None)


def odin(**changes: str) -> OdinNames:
    """ODIN names like ODIN, with changes."""
    return replace(ODIN, **changes)


def psa(**changes: str) -> PsaNames:
    """PSA names like PSA, with changes."""
    return replace(PSA, **changes)


def discovered(
    names: OdinNames = ODIN, count: str | None = "8", cost: str | None = "3.40", *, usage_based: bool = False
) -> tuple[str, events.ResourceDiscovered]:
    """A resource was seen for the first time."""
    return resource_stream(names), events.ResourceDiscovered(
        **vars(names),
        count=None if count is None else Decimal(count),
        unit="Unit(s)",
        unit_cost=None if cost is None else Money.parse(cost, "USD"),
        unit_price=None,
        usage_based=usage_based,
        mpn=None,
        vendor="Microsoft",
        vendor_subscription_id=None,
    )


def count_changed(names: OdinNames, count: str | None) -> tuple[str, events.ResourceCountChanged]:
    """A count rose or fell."""
    now = None if count is None else Decimal(count)
    return resource_stream(names), events.ResourceCountChanged(**vars(names), previous_count=None, count=now)


def cost_changed(names: OdinNames, cost: str) -> tuple[str, events.ResourceCostChanged]:
    """A cost changed."""
    return resource_stream(names), events.ResourceCostChanged(
        **vars(names),
        previous_unit_cost=None,
        unit_cost=Money.parse(cost, "USD"),
        previous_unit_price=None,
        unit_price=None,
    )


def disappeared(names: OdinNames = ODIN) -> tuple[str, events.ResourceDisappeared]:
    """A resource is gone for certain."""
    return resource_stream(names), events.ResourceDisappeared(
        **vars(names), previous_count=None, reason="cancelled", confirmed_by_polls=2
    )


def subscription(names: OdinNames = ODIN, billing_period: str | None = "1 month") -> tuple[str, Any]:
    """A subscription was seen."""
    return f"subscription/{names.connection_id}/{names.subscription_id}", events.SubscriptionObserved(
        connection_id=names.connection_id,
        company_id=names.company_id,
        company_name=names.company_name,
        subscription_id=names.subscription_id,
        subscription_name=names.subscription_name,
        previous_subscription_name=None,
        status="active",
        previous_status=None,
        billing_period=billing_period,
        subscription_period="1 year",
        renewal_date=date(2027, 1, 1),
        renews=True,
    )


def renewed(names: OdinNames, subscription_id: str) -> tuple[str, events.SubscriptionRenewed]:
    """The subscription of the names went over to another id."""
    return f"subscription/{names.connection_id}/{subscription_id}", events.SubscriptionRenewed(
        connection_id=names.connection_id,
        company_id=names.company_id,
        company_name=names.company_name,
        previous_subscription_id=names.subscription_id,
        subscription_id=subscription_id,
        subscription_name=names.subscription_name,
        evidence=("adjacent dates",),
    )


def psa_customer(names: PsaNames = PSA) -> tuple[str, events.PsaCustomerObserved]:
    """A PSA customer was seen."""
    return f"psa-customer/{names.psa_connection_id}/{names.psa_customer_id}", events.PsaCustomerObserved(
        psa_connection_id=names.psa_connection_id,
        psa_customer_id=names.psa_customer_id,
        psa_customer_name=names.psa_customer_name,
        previous_psa_customer_name=None,
        contact=None,
        active=True,
    )


def psa_agreement(names: PsaNames = PSA, **changes: Any) -> tuple[str, events.PsaAgreementObserved]:
    """A PSA agreement was seen."""
    observed = events.PsaAgreementObserved(
        psa_connection_id=names.psa_connection_id,
        psa_customer_id=names.psa_customer_id,
        psa_customer_name=names.psa_customer_name,
        psa_agreement_id=names.psa_agreement_id,
        psa_agreement_name=names.psa_agreement_name,
        description=None,
        active=True,
        recurring=True,
        start_date=date(2026, 1, 1),
        end_date=date(2027, 12, 31),
    )
    return f"psa-agreement/{names.psa_connection_id}/{names.psa_agreement_id}", replace(observed, **changes)


def psa_product(
    names: PsaNames = PSA, period_type: str = "monthly", cost: str | None = "3.00", *, active: bool = True
) -> tuple[str, events.PsaProductObserved]:
    """A PSA product was seen."""
    return f"psa-product/{names.psa_connection_id}/{names.psa_product_id}", events.PsaProductObserved(
        **vars(names),
        vendor="Microsoft",
        period_type=period_type,
        active=active,
        unit_cost=None if cost is None else Money.parse(cost, "USD"),
        unit_price=Money.parse("5.00", "USD"),
    )


def psa_gone(level: str, record_id: str) -> tuple[str, events.PsaRecordGone]:
    """A record is no longer in the PSA."""
    return f"psa-{level}/autotask/{record_id}", events.PsaRecordGone(
        psa_connection_id="autotask", level=level, record_id=record_id, name="whatever it was called"
    )


def relation_set(
    names: OdinNames = ODIN,
    product: PsaNames = PSA,
    relation_id: str = "r1",
    followed_from: str | None = None,
    *,
    hold_first: bool = False,
) -> tuple[str, events.RelationSet]:
    """A resource was linked."""
    return relation_stream(names), events.RelationSet(
        **vars(names),
        **vars(product),
        relation_id=relation_id,
        followed_from=followed_from,
        hold_first=hold_first,
        score=None,
    )


def relation_cleared(
    names: OdinNames = ODIN, product: PsaNames = PSA, relation_id: str = "r1", followed_to: str | None = None
) -> tuple[str, events.RelationCleared]:
    """A relation was taken away."""
    return relation_stream(names), events.RelationCleared(
        **vars(names), **vars(product), relation_id=relation_id, reason="of a test", followed_to=followed_to
    )


def settings_saved(
    settings: RelationSettings, names: OdinNames = ODIN, product: PsaNames = PSA, relation_id: str = "r1"
) -> tuple[str, events.RelationSettingsSaved]:
    """A person settled something for a relation."""
    return relation_stream(names), events.RelationSettingsSaved(
        **vars(names), **vars(product), relation_id=relation_id, settings=settings, previous_settings=AS_NEW
    )


def frozen(
    names: OdinNames = ODIN, product: PsaNames = PSA, relation_id: str = "r1"
) -> tuple[str, events.RelationFrozen]:
    """A relation posts nothing more."""
    return relation_stream(names), events.RelationFrozen(
        **vars(names), **vars(product), relation_id=relation_id, reason="in dispute"
    )


def unfrozen(
    names: OdinNames = ODIN, product: PsaNames = PSA, relation_id: str = "r1"
) -> tuple[str, events.RelationUnfrozen]:
    """A relation posts again."""
    return relation_stream(names), events.RelationUnfrozen(
        **vars(names), **vars(product), relation_id=relation_id, reason="settled"
    )


def posted(request: events.AdjustmentRequested, *, completes: bool = True) -> tuple[str, events.AdjustmentPosted]:
    """The PSA took what was asked for."""
    return f"adjustment/{request.request_id}", events.AdjustmentPosted(
        **_names(request),
        request_id=request.request_id,
        operation_id="op",
        effective_date=date(2026, 8, 3),
        unit_change=1,
        units_before=request.target_units - 1,
        units_after=request.target_units,
        unit_cost_before=None,
        unit_cost_after=None,
        unit_price_before=None,
        unit_price_after=None,
        prorated_cost=None,
        prorated_price=None,
        proof="read back",
        attempt=1,
        completes_request=completes,
    )


def found_equal(request: events.AdjustmentRequested) -> tuple[str, events.UnitsFoundEqual]:
    """The PSA had the target already."""
    return f"adjustment/{request.request_id}", events.UnitsFoundEqual(
        **_names(request), request_id=request.request_id, units=request.target_units, on_date=date(2026, 8, 3)
    )


def resource_stream(names: OdinNames) -> str:
    """The stream of a resource."""
    return f"resource/{names.connection_id}/{names.company_id}/{names.subscription_id}/{names.resource_id}"


def relation_stream(names: OdinNames) -> str:
    """The stream of a resource's relations."""
    return f"relation/{names.connection_id}/{names.company_id}/{names.subscription_id}/{names.resource_id}"


def _names(event: Any) -> dict[str, Any]:
    fields = (*OdinNames.__dataclass_fields__, *PsaNames.__dataclass_fields__)
    return {name: getattr(event, name) for name in fields}
