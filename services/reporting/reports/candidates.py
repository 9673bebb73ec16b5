"""Resources, their relations and what mapping suggests -> the billing tree and the list of what can be linked.

Both have a row for each PSA connection of the MSP. What is suggested is always of now, also when the rest is read as of a past.
"""

from typing import Any

from sqlalchemy import Column as TableColumn
from sqlalchemy import ColumnElement, MetaData, Numeric, Table, Text, and_, case, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from services.reporting.reports.bought import EXCLUSION, LINKED
from services.reporting.reports.columns import HELP, MSP, Column, Kind, Order, Report, columns, living, named, of
from services.reporting.tables import (
    ODIN_NAMES,
    PSA_NAMES,
    exclusions,
    psa_customers,
    psa_products,
    resources,
    subscriptions,
)

_SUGGESTED = MetaData(schema="suggested")


def _suggested(name: str, *ids: str) -> Table:
    texts = (TableColumn(each, Text) for each in ("msp_id", "psa_connection_id", *ids))
    return Table(name, _SUGGESTED, *texts, TableColumn("score", Numeric), TableColumn("evidence", JSONB))


suggested_companies = _suggested("companies", "connection_id", "company_id", "psa_customer_id", "psa_customer_name")
suggested_resources = _suggested("resources", "resource_key", *PSA_NAMES[1:])
psas = Table(
    "connections",
    MetaData(schema="setup"),
    TableColumn("msp_id", Text),
    TableColumn("connection_id", Text(collation="C")),
    TableColumn("kind", Text),
)
_OF_MSP = and_(psas.c.msp_id == MSP, psas.c.kind != "odin")
_HERE = resources.c.psa_connection_id == psas.c.connection_id
_OPEN = and_(resources.c.relation_id.is_(None), resources.c.usage_based.is_(False), exclusions.c.resource_key.is_(None))
_CHOICE = and_(
    suggested_resources.c.msp_id == MSP,
    suggested_resources.c.psa_connection_id == psas.c.connection_id,
    suggested_resources.c.resource_key == resources.c.resource_key,
    _OPEN,
)
_feeding = resources.alias("feeding")
_FED = (
    select(_feeding.c.psa_connection_id, _feeding.c.psa_product_id, func.sum(_feeding.c.count).label("count"))
    .where(living(_feeding, "resources"), _feeding.c.relation_id.is_not(None))
    .group_by(_feeding.c.psa_connection_id, _feeding.c.psa_product_id)
    .subquery("fed")
)


def _chosen(name: str) -> ColumnElement[Any]:
    """As the relation has it, else as it is suggested."""
    return func.coalesce(resources.c[name], suggested_resources.c[name])


def _why(table: Table) -> Column:
    says = "What speaks for the suggestion and against it, each with its weight; the weights add up to the score."
    return Column("why", Kind.TEXT, func.suggested.in_words(table.c.evidence), nullable=True, help=says)


def _score(table: Table) -> Column:
    says = "How likely the suggestion is right, 0 to 1: strong from 0.9, fair from 0.7; 0 where nothing is suggested."
    return Column("score", Kind.NUMBER, func.coalesce(table.c.score, 0), nullable=False, help=says)


_STATE = case(
    (resources.c.relation_id.is_not(None), "linked"),
    (resources.c.usage_based, "usage_based"),
    (exclusions.c.resource_key.is_not(None), "excluded"),
    (suggested_resources.c.score.is_not(None), "suggested"),
    else_="open",
)
_PATH = func.concat_ws(" › ", resources.c.company_name, resources.c.subscription_name, resources.c.resource_name)
_UNIT_CHANGE = case((_OPEN, func.coalesce(_FED.c.count, 0) + resources.c.count - psa_products.c.units))

RELATION_CANDIDATES = Report(
    "relation_candidates",
    "RelationCandidate",
    "What can be linked or is: active resources with the PSA product that they feed, or that is suggested for them.",
    "resources",
    resources.join(psas, _OF_MSP)
    .outerjoin(exclusions, EXCLUSION)
    .outerjoin(
        subscriptions,
        and_(
            subscriptions.c.msp_id == resources.c.msp_id,
            subscriptions.c.generation == resources.c.generation,
            subscriptions.c.connection_id == resources.c.connection_id,
            subscriptions.c.subscription_id == resources.c.subscription_id,
        ),
    )
    .outerjoin(suggested_resources, _CHOICE)
    .outerjoin(
        psa_products,
        and_(
            living(psa_products, "psa"),
            psa_products.c.psa_connection_id == psas.c.connection_id,
            psa_products.c.psa_product_id == _chosen("psa_product_id"),
        ),
    )
    .outerjoin(
        _FED,
        and_(
            _FED.c.psa_connection_id == psas.c.connection_id,
            _FED.c.psa_product_id == _chosen("psa_product_id"),
        ),
    ),
    and_(living(resources, "resources"), resources.c.status == "active", or_(resources.c.relation_id.is_(None), _HERE)),
    columns(
        Column(
            "candidate_key",
            Kind.ID,
            psas.c.connection_id.op("||")(literal("/")).op("||")(resources.c.resource_key).collate("C"),
            nullable=False,
            help="What tells the row from all others: PSA connection and resource.",
        ),
        of(resources, "resource_key", Kind.ID, HELP["resource_key"]),
        named(resources, *ODIN_NAMES),
        Column(
            "path", Kind.TEXT, _PATH, nullable=False, help="Company, subscription and resource in one text, to search."
        ),
        of(resources, "count", Kind.NUMBER, "Licences. Null when ODIN gives no count, which is not 0."),
        of(resources, "unit", Kind.TEXT, "What is counted, such as licence or GB."),
        of(resources, "read_at", Kind.MOMENT, "The last reading of ODIN that said something new of it."),
        LINKED.columns["price_per_month"],
        Column(
            "state",
            Kind.ID,
            _STATE,
            nullable=False,
            help="linked, suggested, open (nothing is suggested), excluded (someone left it out of billing) or usage_based (no "
            "count to bill: do not link).",
        ),
        of(exclusions, "excluded_reason", Kind.TEXT, "Why it is excluded.", nullable=True),
        of(exclusions, "excluded_until", Kind.DATE, "The last day on which it is; null: until someone includes it."),
        of(resources, "relation_id", Kind.ID, HELP["relation_id"], nullable=True),
        Column("psa_connection_id", Kind.ID, psas.c.connection_id, nullable=False, help=HELP["psa_connection_id"]),
        *(
            Column(
                name, Kind.TEXT if name.endswith("_name") else Kind.ID, _chosen(name), nullable=True, help=HELP[name]
            )
            for name in PSA_NAMES[1:]
        ),
        of(psa_products, "units", Kind.WHOLE, "The product's units when the PSA was last read.", nullable=True),
        of(psa_products, "units_read_at", Kind.MOMENT, "When the units were read.", nullable=True),
        Column(
            "unit_change",
            Kind.NUMBER,
            _UNIT_CHANGE,
            nullable=True,
            help="What linking it as suggested would change: counts of all that then feed the product minus its units.",
        ),
        _score(suggested_resources),
        _why(suggested_resources),
    ),
    "candidate_key",
    (Order("score", descending=True), Order("company_name"), Order("subscription_name"), Order("resource_name")),
    ("count", "price_per_month", "unit_change"),
)

_LINKED_HERE = and_(resources.c.relation_id.is_not(None), _HERE)
_TREE = (
    select(
        psas.c.connection_id.label("psa_connection_id"),
        resources.c.connection_id,
        resources.c.company_id,
        func.max(resources.c.company_name).label("company_name"),
        func.count().label("resources"),
        func.count().filter(_LINKED_HERE).label("linked"),
        func.count().filter(_OPEN).label("unlinked"),
        func.count().filter(and_(_OPEN, resources.c.count > 0)).label("unlinked_counted"),
        func.max(case((_LINKED_HERE, resources.c.psa_customer_id))).label("psa_customer_id"),
        func.max(case((_LINKED_HERE, resources.c.psa_customer_name))).label("psa_customer_name"),
        func.coalesce(func.max(suggested_resources.c.score), 0).label("best_score"),
        func.string_agg(func.concat_ws(" › ", resources.c.subscription_name, resources.c.resource_name), "; ").label(
            "names"
        ),
    )
    .select_from(resources.join(psas, _OF_MSP).outerjoin(exclusions, EXCLUSION).outerjoin(suggested_resources, _CHOICE))
    .where(
        living(resources, "resources"), resources.c.status == "active", or_(resources.c.relation_id.is_(None), _HERE)
    )
    .group_by(psas.c.connection_id, resources.c.connection_id, resources.c.company_id)
    .subquery("tree")
)
_CUSTOMER_ID = func.coalesce(_TREE.c.psa_customer_id, suggested_companies.c.psa_customer_id)


def _in_tree(name: str, kind: Kind, says: str, *, nullable: bool = False) -> Column:
    return Column(name, kind, _TREE.c[name], nullable, says)


COMPANIES = Report(
    "companies",
    "Company",
    "The billing tree's first level: companies with active resources, and the PSA customer that each is or may be.",
    "resources",
    _TREE.outerjoin(
        suggested_companies,
        and_(
            suggested_companies.c.msp_id == MSP,
            suggested_companies.c.psa_connection_id == _TREE.c.psa_connection_id,
            suggested_companies.c.connection_id == _TREE.c.connection_id,
            suggested_companies.c.company_id == _TREE.c.company_id,
            _TREE.c.linked == 0,
        ),
    ).outerjoin(
        psa_customers,
        and_(
            living(psa_customers, "psa"),
            psa_customers.c.psa_connection_id == _TREE.c.psa_connection_id,
            psa_customers.c.psa_customer_id == _CUSTOMER_ID,
        ),
    ),
    literal(value=True).is_(True),
    columns(
        Column(
            "company_key",
            Kind.ID,
            _TREE.c.psa_connection_id.op("||")(literal("/"))
            .op("||")(_TREE.c.connection_id)
            .op("||")(literal("/"))
            .op("||")(_TREE.c.company_id)
            .collate("C"),
            nullable=False,
            help="What tells the row from all others: PSA connection, marketplace connection and company.",
        ),
        _in_tree("connection_id", Kind.ID, HELP["connection_id"]),
        _in_tree("company_id", Kind.ID, HELP["company_id"]),
        _in_tree("company_name", Kind.TEXT, HELP["company_name"]),
        _in_tree("names", Kind.TEXT, "Its subscriptions and resources in one text, to search."),
        _in_tree("resources", Kind.WHOLE, "How many active resources it has."),
        _in_tree("linked", Kind.WHOLE, "How many of them are linked in this PSA."),
        _in_tree("unlinked", Kind.WHOLE, "How many of them could be linked and are not."),
        _in_tree("unlinked_counted", Kind.WHOLE, "How many of those have a count above 0."),
        _in_tree("psa_connection_id", Kind.ID, HELP["psa_connection_id"]),
        Column(
            "state",
            Kind.ID,
            case((_TREE.c.linked > 0, "linked"), (_CUSTOMER_ID.is_not(None), "suggested"), else_="open"),
            nullable=False,
            help="Of its PSA customer: linked, suggested or open.",
        ),
        Column("psa_customer_id", Kind.ID, _CUSTOMER_ID, nullable=True, help=HELP["psa_customer_id"]),
        Column(
            "psa_customer_name",
            Kind.TEXT,
            func.coalesce(_TREE.c.psa_customer_name, suggested_companies.c.psa_customer_name),
            nullable=True,
            help=HELP["psa_customer_name"],
        ),
        of(psa_customers, "contact", Kind.TEXT, "Whom to ask there.", as_name="psa_contact", nullable=True),
        _score(suggested_companies),
        _why(suggested_companies),
        _in_tree("best_score", Kind.NUMBER, "The highest score among its resources' suggestions."),
    ),
    "company_key",
    (Order("company_name"),),
)
