"""What happened, told in a few words -> events in an MSP's log; and read models as plain rows to compare."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, text

from domain import events as e
from domain.envelope import NewEvent
from domain.keys import MspId, ResourceKey
from domain.money import Money
from domain.relation_settings import AS_NEW, RelationSettings
from plumbing import event_log
from plumbing.catch_up import _one_batch
from plumbing.clock import Clock
from services.reporting.projections import READ_MODELS

CLOCK = Clock()
BEGAN = datetime(2026, 3, 1, 8, tzinfo=UTC)


def odin(resource: str = "100234", subscription: str = "1000823", company: str = "1200000501") -> dict[str, Any]:
    return {
        "connection_id": "odin",
        "company_id": company,
        "company_name": f"Company {company}",
        "subscription_id": subscription,
        "subscription_name": f"Subscription {subscription}",
        "resource_id": resource,
        "resource_name": f"Resource {resource}",
    }


def psa(product: str = "77", agreement: str = "7", customer: str = "1") -> dict[str, Any]:
    return {
        "psa_connection_id": "autotask",
        "psa_customer_id": customer,
        "psa_customer_name": f"Customer {customer}",
        "psa_agreement_id": agreement,
        "psa_agreement_name": f"Agreement {agreement}",
        "psa_product_id": product,
        "psa_product_name": f"Product {product}",
    }


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def discovered(names: dict[str, Any], count: str | None = "4", **more: Any) -> e.ResourceDiscovered:
    given = {
        "unit": "licence",
        "unit_cost": usd("3.4000"),
        "unit_price": usd("4.0000"),
        "usage_based": False,
        "mpn": "MPN-1",
        "vendor": "Microsoft",
        "vendor_subscription_id": None,
    } | more
    return e.ResourceDiscovered(**names, count=None if count is None else Decimal(count), **given)


def counted(names: dict[str, Any], previous: str | None, count: str | None) -> e.ResourceCountChanged:
    return e.ResourceCountChanged(
        **names,
        previous_count=None if previous is None else Decimal(previous),
        count=None if count is None else Decimal(count),
    )


def costed(names: dict[str, Any], cost: str | None, price: str | None) -> e.ResourceCostChanged:
    return e.ResourceCostChanged(
        **names,
        previous_unit_cost=None,
        unit_cost=cost and usd(cost),
        previous_unit_price=None,
        unit_price=price and usd(price),
    )


def renamed(names: dict[str, Any], name: str) -> e.ResourceRenamed:
    before = {f"previous_{level}_name": names[f"{level}_name"] for level in ("company", "subscription", "resource")}
    return e.ResourceRenamed(**(names | {"resource_name": name}), **before)


def disappeared(names: dict[str, Any]) -> e.ResourceDisappeared:
    return e.ResourceDisappeared(**names, previous_count=Decimal(4), reason="gone", confirmed_by_polls=2)


def subscription(
    names: dict[str, Any], status: str = "active", period: str | None = "1 month"
) -> e.SubscriptionObserved:
    kept = {k: v for k, v in names.items() if not k.startswith("resource")}
    return e.SubscriptionObserved(
        **kept,
        previous_subscription_name=None,
        status=status,
        previous_status=None,
        billing_period=period,
        subscription_period="1 year",
        renewal_date=date(2027, 1, 1),
        renews=True,
    )


def renewed(names: dict[str, Any], to: str) -> e.SubscriptionRenewed:
    return e.SubscriptionRenewed(
        connection_id=names["connection_id"],
        company_id=names["company_id"],
        company_name=names["company_name"],
        previous_subscription_id=names["subscription_id"],
        subscription_id=to,
        subscription_name=f"Subscription {to}",
        evidence=("same company",),
    )


def renewal_unclear(names: dict[str, Any], *candidates: str) -> e.SubscriptionRenewalUnclear:
    kept = {name: names[name] for name in ("connection_id", "company_id", "company_name")}
    return e.SubscriptionRenewalUnclear(
        **kept,
        subscription_id=names["subscription_id"],
        subscription_name=names["subscription_name"],
        candidates=tuple(
            e.RenewalCandidate(subscription_id=each, subscription_name=f"Office {each}", evidence=("same company",))
            for each in candidates
        ),
    )


def renewal_settled(names: dict[str, Any], continued_by: str | None) -> e.SubscriptionRenewalSettled:
    kept = ("connection_id", "company_id", "company_name", "subscription_id", "subscription_name")
    return e.SubscriptionRenewalSettled(
        **{name: names[name] for name in kept},
        continued_by=continued_by,
        continued_by_name=continued_by and f"Office {continued_by}",
        reason="I rang them",
    )


def move_unclear(to: dict[str, Any], *candidates: str, relations: int = 2) -> e.AgreementMoveUnclear:
    return e.AgreementMoveUnclear(
        **_of_agreement(to),
        relations=relations,
        candidates=tuple(
            e.AgreementCandidate(
                psa_agreement_id=each, psa_agreement_name=f"Agreement {each}", evidence=("same customer",)
            )
            for each in candidates
        ),
    )


def move_settled(to: dict[str, Any], moved_to: str | None) -> e.AgreementMoveSettled:
    name = moved_to and f"Agreement {moved_to}"
    return e.AgreementMoveSettled(
        **_of_agreement(to), moved_to=moved_to, moved_to_name=name, relations=2, reason="a new year"
    )


def _of_agreement(to: dict[str, Any]) -> dict[str, Any]:
    kept = ("psa_connection_id", "psa_customer_id", "psa_customer_name", "psa_agreement_id", "psa_agreement_name")
    return {name: to[name] for name in kept}


def linked(
    names: dict[str, Any], to: dict[str, Any], relation_id: str = "r1", since: str | None = None
) -> e.RelationSet:
    return e.RelationSet(**names, **to, relation_id=relation_id, followed_from=since, hold_first=False, score=None)


def cleared(
    names: dict[str, Any], of: dict[str, Any], relation_id: str = "r1", to: str | None = None
) -> e.RelationCleared:
    return e.RelationCleared(**names, **of, relation_id=relation_id, reason="asked", followed_to=to)


def settled(
    names: dict[str, Any], to: dict[str, Any], settings: RelationSettings, relation_id: str = "r1"
) -> e.RelationSettingsSaved:
    return e.RelationSettingsSaved(**names, **to, relation_id=relation_id, settings=settings, previous_settings=AS_NEW)


def frozen(names: dict[str, Any], to: dict[str, Any], relation_id: str = "r1") -> e.RelationFrozen:
    return e.RelationFrozen(**names, **to, relation_id=relation_id, reason="in dispute")


def unfrozen(names: dict[str, Any], to: dict[str, Any], relation_id: str = "r1") -> e.RelationUnfrozen:
    return e.RelationUnfrozen(**names, **to, relation_id=relation_id, reason="agreed")


def excluded(names: dict[str, Any], until: date | None = None) -> e.ResourceExcluded:
    return e.ResourceExcluded(**names, reason="own use", until=until)


def included(names: dict[str, Any]) -> e.ResourceIncluded:
    return e.ResourceIncluded(**names, reason="its last day has passed")


def requested(names: dict[str, Any], to: dict[str, Any], request_id: str, units: int = 12) -> e.AdjustmentRequested:
    cause = e.Cause(
        connection_id=names["connection_id"],
        company_id=names["company_id"],
        subscription_id=names["subscription_id"],
        resource_id=names["resource_id"],
        resource_name=names["resource_name"],
        count=Decimal(units),
    )
    return e.AdjustmentRequested(
        **names,
        **to,
        request_id=request_id,
        target_units=units,
        target_unit_cost=None,
        target_unit_price=None,
        hold_first=False,
        reason="count",
        causes=(cause,),
    )


def superseded(of: dict[str, Any], request_id: str, by: str | None) -> e.AdjustmentSuperseded:
    return e.AdjustmentSuperseded(
        request_id=request_id,
        superseded_by=by,
        psa_connection_id=of["psa_connection_id"],
        psa_product_id=of["psa_product_id"],
        reason="newer",
    )


def posted(
    names: dict[str, Any], to: dict[str, Any], request_id: str, change: int = 8, *, completes: bool = True, **more: Any
) -> e.AdjustmentPosted:
    given = {
        "operation_id": f"op-{request_id}",
        "effective_date": date(2026, 3, 1),
        "unit_change": change,
        "units_before": 4,
        "units_after": 4 + change,
        "unit_cost_before": usd("3.40"),
        "unit_cost_after": usd("3.40"),
        "unit_price_before": None,
        "unit_price_after": None,
        "prorated_cost": usd("27.20"),
        "prorated_price": None,
        "proof": "read back",
        "attempt": 1,
        "completes_request": completes,
    } | more
    return e.AdjustmentPosted(**names, **to, request_id=request_id, **given)


def failed(names: dict[str, Any], to: dict[str, Any], request_id: str, kind: str = "unreachable") -> e.AdjustmentFailed:
    return e.AdjustmentFailed(
        **names,
        **to,
        request_id=request_id,
        kind=kind,
        message="Autotask cannot be reached.",
        fix="Nothing: it is tried again.",
        attempt=1,
        target_units=12,
        next_try_at=BEGAN + timedelta(minutes=1),
    )


def parked(names: dict[str, Any], to: dict[str, Any], request_id: str) -> e.AdjustmentParked:
    return e.AdjustmentParked(
        **names,
        **to,
        request_id=request_id,
        kind="rejected",
        message="The period is posted.",
        fix="Choose the next period.",
        attempt=1,
        target_units=12,
    )


def let_go(
    names: dict[str, Any], to: dict[str, Any], request_id: str, *, released: bool = True
) -> e.AdjustmentReleased | e.AdjustmentRetried:
    event = e.AdjustmentReleased if released else e.AdjustmentRetried
    held = "The change is larger than 50 units."
    return event(**names, **to, request_id=request_id, target_units=12, kind="large_change", message=held)


def held(
    names: dict[str, Any], to: dict[str, Any], request_id: str, before: int = 304, rule: str = "fall", needed: int = 1
) -> e.AdjustmentHeld:
    return e.AdjustmentHeld(
        **names,
        **to,
        request_id=request_id,
        rule=rule,
        message=f"Falls from {before} to 12 units: by 96 %, limit 20 %.",
        severity="high",
        target_units=12,
        units_before=before,
        changes=_planned(12 - before),
        price_per_month=usd("-2044.0000"),
        evidence=(
            e.Evidence(speaks_for=True, text="ODIN was read whole: 214 subscriptions."),
            e.Evidence(speaks_for=False, text="In the last 90 days 304 units were asked for."),
        ),
        people_needed=needed,
    )


def approved(
    names: dict[str, Any], to: dict[str, Any], request_id: str, nth: int = 1, needed: int = 1
) -> e.AdjustmentApproved:
    return e.AdjustmentApproved(
        **names,
        **to,
        request_id=request_id,
        target_units=12,
        units_before=304,
        effective="as_planned",
        nth=nth,
        people_needed=needed,
        comment="They sold the branch.",
    )


def declined(names: dict[str, Any], to: dict[str, Any], request_id: str) -> e.AdjustmentRefused:
    return e.AdjustmentRefused(**names, **to, request_id=request_id, target_units=12, reason="A fault.")


def moved(names: dict[str, Any], to: dict[str, Any], request_id: str) -> e.AdjustmentMoved:
    return e.AdjustmentMoved(**names, **to, request_id=request_id, target_units=12)


def dropped(names: dict[str, Any], to: dict[str, Any], request_id: str) -> e.AdjustmentDropped:
    return e.AdjustmentDropped(**names, **to, request_id=request_id, target_units=12, reason="Billed by hand.")


def shadowed(names: dict[str, Any], to: dict[str, Any], request_id: str, before: int = 4) -> e.AdjustmentShadowed:
    return e.AdjustmentShadowed(
        **names,
        **to,
        request_id=request_id,
        target_units=12,
        units_before=before,
        changes=_planned(12 - before),
        price_per_month=None,
    )


def _planned(units: int) -> tuple[e.PlannedChange, ...]:
    money = usd("-10.0000")
    return (e.PlannedChange(effective_date=date(2026, 4, 1), unit_change=units, prorated_price=money),)


def equal(names: dict[str, Any], to: dict[str, Any], request_id: str, units: int = 12) -> e.UnitsFoundEqual:
    return e.UnitsFoundEqual(**names, **to, request_id=request_id, units=units, on_date=date(2026, 3, 1))


def refused(names: dict[str, Any], to: dict[str, Any]) -> e.PlanRefused:
    return e.PlanRefused(**names, **to, reason="10.5 is not whole", fix="Set a unit rule that rounds.")


def adopted(to: dict[str, Any], units: int, target_units: int = 12) -> e.DriftAdopted:
    return e.DriftAdopted(**to, units=units, target_units=target_units, on_date=date(2026, 3, 1), reason="A spare one.")


def overwritten(to: dict[str, Any], units: int, target_units: int = 12) -> e.DriftOverwritten:
    return e.DriftOverwritten(**to, units=units, target_units=target_units, reason="Edited by mistake.")


def poll_failed(kind: str = "unauthorised") -> e.PollFailed:
    return e.PollFailed(connection_id="odin", poll_id="p1", kind=kind, message="Refused.", fix="Check the password.")


def poll_completed(put_off: int = 0) -> e.PollCompleted:
    return e.PollCompleted(
        connection_id="odin",
        poll_id="p2",
        complete=True,
        subscriptions=3,
        subscriptions_read=3 - put_off,
        subscriptions_put_off=put_off,
        changes=0,
        calls=5,
    )


def catalogue_failed() -> e.CatalogueReadFailed:
    return e.CatalogueReadFailed(psa_connection_id="autotask", kind="unreachable", message="Silent.", fix="Wait.")


def catalogue_read() -> e.CatalogueRead:
    return e.CatalogueRead(psa_connection_id="autotask", customers=1, agreements=1, products=1)


def customer(names: dict[str, Any], *, active: bool = True) -> e.PsaCustomerObserved:
    return e.PsaCustomerObserved(
        psa_connection_id=names["psa_connection_id"],
        psa_customer_id=names["psa_customer_id"],
        psa_customer_name=names["psa_customer_name"],
        previous_psa_customer_name=None,
        contact=None,
        active=active,
    )


def agreement(names: dict[str, Any]) -> e.PsaAgreementObserved:
    kept = {k: v for k, v in names.items() if not k.startswith("psa_product")}
    return e.PsaAgreementObserved(
        **kept,
        description=None,
        active=True,
        recurring=True,
        start_date=date(2026, 1, 1),
        end_date=date(2026, 12, 31),
    )


def product(names: dict[str, Any], price: str | None = "5.00") -> e.PsaProductObserved:
    return e.PsaProductObserved(
        **names,
        vendor=None,
        period_type="monthly",
        active=True,
        unit_cost=usd("3.40"),
        unit_price=price and usd(price),
    )


def units(names: dict[str, Any], how_many: int, on_date: date = date(2026, 3, 1)) -> e.PsaUnitsObserved:
    return e.PsaUnitsObserved(**names, previous_units=None, units=how_many, on_date=on_date)


def gone(level: str, record_id: str) -> e.PsaRecordGone:
    return e.PsaRecordGone(psa_connection_id="autotask", level=level, record_id=record_id, name="it")


def msp_added() -> e.MspAdded:
    return e.MspAdded(name="Acme", time_zone="UTC")


def connection_saved(version: int = 1) -> e.ConnectionSaved:
    return e.ConnectionSaved(
        connection_id="odin",
        kind="odin",
        connection_version=version,
        changed_settings=("gateway_url", "user"),
        replaced_secrets=("password",),
    )


def secrets_resealed() -> e.SecretsResealed:
    return e.SecretsResealed(
        place="connection", place_id="odin", kind="odin", secrets=("password", "secret"), key_id="0f3a5c7e9b1d2f40"
    )


def policy_changed(
    value: str | None, previous: str | None = None, company: str | None = None, resource: str | None = None
) -> e.PolicyChanged:
    given = {"company_id": company, "resource_id": resource, "policies_version": 3}
    return e.PolicyChanged(policy="unit_cost", previous_value=previous, value=value, **given)


def posting_paused(reason: str = "Autotask is being upgraded.") -> e.PostingPaused:
    return e.PostingPaused(operation_id="o1", reason=reason)


def posting_resumed() -> e.PostingResumed:
    return e.PostingResumed(operation_id="o2")


def rule_saved(kinds: Sequence[str] = ("held",), channel: str = "webhook", version: int = 1) -> e.NotificationRuleSaved:
    return e.NotificationRuleSaved(
        rule_id="r1",
        rule_version=version,
        kinds=tuple(kinds),
        channel=channel,
        target="https://hooks.example.com",
        hour=None,
        replaced_secret=True,
    )


def rule_removed(version: int = 2) -> e.NotificationRuleRemoved:
    return e.NotificationRuleRemoved(
        rule_id="r1", rule_version=version, channel="webhook", target="https://hooks.example.com"
    )


def calls_counted(*endpoints: str) -> e.CallsCounted:
    each = [
        e.EndpointCalls(
            endpoint=endpoint,
            calls=56,
            failed=2,
            limited=1,
            p50_milliseconds=410,
            p95_milliseconds=1900,
            slowest_milliseconds=31000,
        )
        for endpoint in endpoints
    ]
    return e.CallsCounted(connection_id="odin", since=BEGAN, seconds=300, endpoints=tuple(each))


def close_check(check: str = "unlinked", state: str = "accepted", rows: int = 14) -> e.CloseCheck:
    return e.CloseCheck(
        check=check,
        title=check.capitalize(),
        step=1,
        state=state,
        rows=rows,
        money=(usd("312.40"),) if rows else (),
        oldest_at=BEGAN,
        next_try_at=None,
        ids=(),
        names=(),
        read_at=BEGAN,
        accepted_by="mara" if state == "accepted" else None,
        accepted_at=BEGAN if state == "accepted" else None,
        reason="Trial licences." if state == "accepted" else None,
    )


def check_accepted(
    period: str = "2026-03", check: str = "unlinked", rows: int = 14, **more: Any
) -> e.CloseCheckAccepted:
    given = {"psa_connection_id": "autotask", "operation_id": "o1", "state": "red", "reason": "Trial licences."} | more
    return e.CloseCheckAccepted(period=period, check=check, title=check.capitalize(), rows=rows, **given)


def signed_off(period: str = "2026-03", *checks: e.CloseCheck, **more: Any) -> e.CloseSignedOff:
    given = {"psa_connection_id": "autotask", "operation_id": "o2", "position": 7, "reason": None} | more
    return e.CloseSignedOff(
        period=period, due_on=date(2026, 4, 1), freeze_from=BEGAN, checks=checks or (close_check(),), **given
    )


def reopened(period: str = "2026-03", **more: Any) -> e.CloseReopened:
    given = {"psa_connection_id": "autotask", "operation_id": "o3", "reason": "A contract was missing."} | more
    return e.CloseReopened(period=period, **given)


def invoiced(period: str = "2026-03", **more: Any) -> e.CloseInvoiced:
    return e.CloseInvoiced(period=period, **({"psa_connection_id": "autotask", "operation_id": "o4"} | more))


def consumer_stopped(consumer: str = "reporting.resources", position: int = 2) -> e.ConsumerStopped:
    return e.ConsumerStopped(
        consumer=consumer,
        position=position,
        event_type="ResourceCountChanged",
        event_version=9,
        fault="UnknownEvent",
    )


def consumer_resumed(consumer: str = "reporting.resources") -> e.ConsumerResumed:
    return e.ConsumerResumed(consumer=consumer, position=7)


def poll_late() -> e.PollLate:
    return e.PollLate(connection_id="odin", due_at=BEGAN)


def close_due(*red: str, period: str = "2026-03") -> e.CloseDue:
    return e.CloseDue(
        psa_connection_id="autotask",
        period=period,
        due_on=date(2026, 4, 1),
        red=red,
        amber=("Adjustments on their way",),
    )


def append(
    engine: Engine,
    msp_id: MspId,
    happened: Sequence[e.Event],
    actor: str = "mara",
    occurred_at: datetime | None = None,
    recorded_at: datetime | None = None,
) -> int:
    """The head of the log after the events; the n-th event of a log occurred n minutes after BEGAN."""
    with engine.begin() as connection:
        head = event_log.head(connection, msp_id)
        new = [
            NewEvent(
                stream=f"told/{head + number}",
                stream_version=1,
                event=event,
                occurred_at=occurred_at or BEGAN + timedelta(minutes=head + number),
            )
            for number, event in enumerate(happened, 1)
        ]
        return event_log.append(
            connection,
            msp_id,
            new,
            recorded_at=recorded_at or datetime.now(UTC),
            recorded_by="test",
            correlation_id="c",
            actor=actor,
        )


def project(engine: Engine, msp_id: MspId, batch: int = 20_000) -> None:
    """All living read models at the head of the log. A slice that cannot be folded fails the test, where catch_up would
    try a smaller one."""
    for model in READ_MODELS.values():
        while _one_batch(engine, model.living(), msp_id, batch):
            pass


def rows(engine: Engine, table: str, msp_id: MspId, generation: int | None = None) -> list[dict[str, Any]]:
    """The rows of one generation (default: the living one), in the order of their keys, without MSP and generation."""
    query = f"""SELECT to_jsonb(t) - 'generation' - 'msp_id' FROM reporting.{table} t WHERE msp_id = :msp_id AND
        generation = coalesce(:generation, (SELECT max(g.generation) FROM reporting.generations g
            WHERE g.msp_id = :msp_id AND g.model = :model), 0) ORDER BY t"""
    (model,) = (m.name for m in READ_MODELS.values() if table in [t.name for t in m.tables])
    with engine.connect() as connection:
        values = {"msp_id": msp_id, "generation": generation, "model": model}
        return list(connection.scalars(text(query), values))


def everything(engine: Engine, msp_id: MspId, generation: int | None = None) -> dict[str, list[str]]:
    """Every table of every read model, byte for byte, but for the MSP's own id."""
    found = {}
    for model in READ_MODELS.values():
        for table in model.tables:
            query = f"""SELECT replace((to_jsonb(t) - 'generation')::text, '"{msp_id}', '"msp') AS row
                FROM reporting.{table.name} t WHERE msp_id = :msp_id AND generation = coalesce(:generation,
                    (SELECT generation FROM reporting.generations WHERE msp_id = :msp_id AND model = :model), 0)
                ORDER BY row"""
            with engine.connect() as connection:
                values = {"msp_id": msp_id, "generation": generation, "model": model.name}
                found[table.name] = list(connection.scalars(text(query), values))
    return found


def key(names: dict[str, Any], msp_id: str = "acme") -> str:
    """The key of a resource as text."""
    return str(
        ResourceKey(msp_id, names["connection_id"], names["company_id"], names["subscription_id"], names["resource_id"])
    )
