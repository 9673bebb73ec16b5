"""Counts, ledger and PSA -> where the three disagree, since when and for how much money: one row a linked PSA product."""

from typing import cast

from sqlalchemy import Numeric, Table, and_, case, func, literal, null, or_, select, true
from sqlalchemy import cast as sql_cast

from services.reporting.reports.columns import (
    HELP,
    MSP,
    Column,
    Kind,
    Order,
    Report,
    columns,
    living,
    named,
    of,
    psa_key,
)
from services.reporting.reports.ledger import units_of
from services.reporting.tables import (
    ODIN_NAMES,
    failures,
    held_requests,
    ledger,
    product_units,
    psa_products,
    relation_settings,
    requests,
    resources,
)

_WANTED = func.reporting.units_by_rule(
    resources.c.count,
    relation_settings.c.included,
    relation_settings.c.pack_size,
    relation_settings.c.rounding,
    relation_settings.c.minimum,
)
# What feeds a product. A name that not all resources of the product share is null; one unknown count makes the sum unknown.
_FEEDS = (
    select(
        MSP.label("msp_id"),
        resources.c.psa_connection_id,
        resources.c.psa_product_id,
        *(
            case((func.min(resources.c[name]) == func.max(resources.c[name]), func.min(resources.c[name]))).label(name)
            for name in ODIN_NAMES
        ),
        *(
            func.min(resources.c[name]).label(name)
            for name in ("psa_customer_id", "psa_customer_name", "psa_agreement_id", "psa_agreement_name")
        ),
        func.min(resources.c.psa_product_name).label("psa_product_name"),
        func.count().label("resources"),
        case((func.count(resources.c.count) == func.count(), func.sum(resources.c.count))).label("count"),
        case((func.count(resources.c.count) == func.count(), func.sum(_WANTED))).label("wanted_units"),
        func.bool_or(relation_settings.c.frozen_at.is_not(None)).label("frozen"),
        func.max(resources.c.read_at).label("count_read_at"),
    )
    .select_from(
        resources.outerjoin(
            relation_settings,
            and_(
                living(relation_settings, "resources"),
                relation_settings.c.relation_id == resources.c.relation_id,
            ),
        )
    )
    .where(living(resources, "resources"), resources.c.relation_id.is_not(None))
    .group_by(resources.c.psa_connection_id, resources.c.psa_product_id)
    .subquery("feeds")
)
_PRODUCT = (_FEEDS.c.psa_connection_id, _FEEDS.c.psa_product_id)
_OPEN = (
    select(requests.c.request_id, requests.c.requested_at, requests.c.state)
    .where(
        living(requests, "adjustments"),
        or_(requests.c.state == "open", requests.c.state == "refused", requests.c.state == "dropped"),
        requests.c.psa_connection_id == _PRODUCT[0],
        requests.c.psa_product_id == _PRODUCT[1],
    )
    .order_by(requests.c.requested_at.desc(), requests.c.request_id)
    .limit(1)
    .lateral("open_request")
)
_STUCK = cast(Table, failures.alias("stuck"))
_UNREAD = cast(Table, failures.alias("unread"))
_SOURCE = (
    _FEEDS.outerjoin(
        psa_products,
        and_(
            living(psa_products, "psa"),
            psa_products.c.psa_connection_id == _PRODUCT[0],
            psa_products.c.psa_product_id == _PRODUCT[1],
        ),
    )
    .outerjoin(product_units, units_of(*_PRODUCT))
    .outerjoin(_OPEN, true())
    .outerjoin(
        _STUCK,
        and_(
            living(_STUCK, "failures"),
            _STUCK.c.failure_id == literal("adjustment/").op("||")(_OPEN.c.request_id),
            _STUCK.c.state != "closed",
            _STUCK.c.attempts > 0,
        ),
    )
    .outerjoin(
        held_requests,
        and_(
            living(held_requests, "held"),
            held_requests.c.request_id == _OPEN.c.request_id,
            held_requests.c.state == "held",
        ),
    )
    .outerjoin(
        _UNREAD,
        and_(
            living(_UNREAD, "failures"),
            _UNREAD.c.subject == literal("catalogue/").op("||")(func.reporting.key_part(_PRODUCT[0])),
            _UNREAD.c.state != "closed",
            _UNREAD.c.attempts > 0,
        ),
    )
)

_DIFFERENCE = product_units.c.read_units - _FEEDS.c.wanted_units
_NOT_READ = or_(
    _FEEDS.c.count.is_(None),
    product_units.c.read_units.is_(None),
    psa_products.c.gone.is_(True),
    _UNREAD.c.subject.is_not(None),
)
_EDITED = product_units.c.left_units != product_units.c.read_units
_AHEAD = func.coalesce(product_units.c.settled_units, product_units.c.read_units) != _FEEDS.c.wanted_units
_DOUBLED = and_(
    _EDITED,
    select(literal(1))
    .where(
        living(ledger, "ledger"),
        ledger.c.psa_connection_id == _PRODUCT[0],
        ledger.c.psa_product_id == _PRODUCT[1],
        ledger.c.on_date <= product_units.c.read_on,
        ledger.c.unit_change == product_units.c.read_units - product_units.c.left_units,
    )
    .correlate_except(ledger)
    .exists(),
)
_OWN = cast(Table, ledger.alias("own"))
_ADOPTED = and_(
    _OPEN.c.request_id.is_(None),
    select(_OWN.c.kind)
    .where(
        living(_OWN, "ledger"),
        _OWN.c.psa_connection_id == _PRODUCT[0],
        _OWN.c.psa_product_id == _PRODUCT[1],
        _OWN.c.kind != "read",
    )
    .order_by(_OWN.c.position.desc())
    .limit(1)
    .correlate_except(_OWN)
    .scalar_subquery()
    == "adopted",
)
_KIND = case(
    (_NOT_READ, "not_read"),
    (_DOUBLED, "probable_double_post"),
    (and_(_EDITED, _AHEAD), "both"),
    (_EDITED, "edited_by_hand"),
    (and_(_AHEAD, _ADOPTED), "adopted"),
    (_AHEAD, "count_ahead"),
    (_DIFFERENCE != 0, "scheduled"),
    else_="equal",
)
_SINCE = case(
    (_NOT_READ, _UNREAD.c.first_failed_at),
    (and_(_EDITED, _AHEAD), func.least(product_units.c.read_at, _OPEN.c.requested_at)),
    (_EDITED, product_units.c.read_at),
    (and_(_AHEAD, _ADOPTED), product_units.c.settled_at),
    (_AHEAD, _OPEN.c.requested_at),
    (_DIFFERENCE != 0, product_units.c.settled_at),
)
_MONTHS = case(
    {"monthly": 1, "quarterly": 3, "half_yearly": 6, "yearly": 12}, value=psa_products.c.period_type, else_=null()
)
_MONEY = func.round(_DIFFERENCE * psa_products.c.unit_price / sql_cast(_MONTHS, Numeric), 2)

DRIFT = Report(
    "drift",
    "Drift",
    "Where ODIN, our ledger and the PSA disagree: every linked product with all three; ask for kinds other than equal.",
    "ledger",
    _SOURCE,
    true(),
    columns(
        psa_key(cast(Table, _FEEDS), "psa_product"),
        named(cast(Table, _FEEDS), "psa_connection_id", "psa_customer_id"),
        Column("psa_customer_name", Kind.TEXT, _FEEDS.c.psa_customer_name, False, HELP["psa_customer_name"]),
        named(cast(Table, _FEEDS), "psa_agreement_id", "psa_agreement_name", "psa_product_id"),
        Column("psa_product_name", Kind.TEXT, _FEEDS.c.psa_product_name, False, HELP["psa_product_name"]),
        named(cast(Table, _FEEDS), *ODIN_NAMES, nullable=True),
        Column("resources", Kind.WHOLE, _FEEDS.c.resources, False, "How many linked resources feed the product."),
        Column("count", Kind.NUMBER, _FEEDS.c.count, True, "Their counts in ODIN, summed. Null when one is unknown."),
        Column(
            "wanted_units",
            Kind.NUMBER,
            _FEEDS.c.wanted_units,
            nullable=True,
            help="The units that the counts come to by the unit rules of their relations. Null when a count is unknown.",
        ),
        Column("frozen", Kind.FLAG, _FEEDS.c.frozen, False, "Whether a relation of the product is frozen."),
        Column(
            "count_read_at",
            Kind.MOMENT,
            _FEEDS.c.count_read_at,
            nullable=False,
            help="When ODIN last said something new of them.",
        ),
        Column(
            "ledger_units",
            Kind.WHOLE,
            product_units.c.left_units,
            nullable=True,
            help="Units that we know we left there on the day of the PSA's units. Null until we have posted or found them.",
        ),
        Column(
            "settled_units",
            Kind.WHOLE,
            product_units.c.settled_units,
            nullable=True,
            help="The same once all that we posted for later days counts.",
        ),
        Column(
            "psa_units",
            Kind.WHOLE,
            product_units.c.read_units,
            nullable=True,
            help="The units when the PSA last showed new ones.",
        ),
        Column("psa_read_at", Kind.MOMENT, product_units.c.read_at, nullable=True, help="When that was."),
        Column(
            "difference",
            Kind.NUMBER,
            _DIFFERENCE,
            nullable=True,
            help="PSA units minus wanted units: above zero is billed too much, below zero not billed.",
        ),
        Column(
            "kind",
            Kind.ID,
            _KIND,
            nullable=False,
            help="equal; count_ahead (an adjustment is still to come); adopted (a person took the PSA's units as right); "
            "scheduled (it is posted for a later day); "
            "edited_by_hand (the PSA has other units than we left); both; probable_double_post (off by exactly one of our "
            "changes); not_read (a side is not known now: no count, never read, gone, or the PSA cannot be read).",
        ),
        Column("since", Kind.MOMENT, _SINCE, nullable=True, help="Since when the sides are known to stand so."),
        Column(
            "money_per_month",
            Kind.MONEY,
            _MONEY,
            nullable=True,
            help="The difference at the product's price, for one month. Null when a part is unknown.",
            currency=case((_MONEY.is_not(None), psa_products.c.unit_price_currency)),
        ),
        Column("request_id", Kind.ID, _OPEN.c.request_id, nullable=True, help="The open request of the product."),
        Column(
            "request_state",
            Kind.ID,
            case(
                (_OPEN.c.state != "open", _OPEN.c.state),
                (held_requests.c.request_id.is_not(None), "held"),
                (_OPEN.c.request_id.is_not(None), func.coalesce(_STUCK.c.state, "open")),
            ),
            nullable=True,
            help="open (under way, or tried again by itself), parked or held (waits for a person), refused or dropped.",
        ),
        of(
            _STUCK,
            "kind",
            Kind.ID,
            "Why its adjustment has not gone out, when it failed or was held.",
            as_name="failure_kind",
            nullable=True,
        ),
    ),
    "psa_product_key",
    (Order("psa_customer_name"), Order("psa_agreement_name"), Order("psa_product_name")),
    ("difference", "money_per_month"),
)
