"""What is settled for relations: unit rules, prices and freezes; exclusions; the price of an adjustment."""

from alembic import op

from deploy.migrations.rights import NAMED, grant, wall

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

# What ODIN's price to the customer was last said to be: the reconciler has read those events without keeping it.
CATALOGUE_PRICES = """
UPDATE reconciler.resources r
SET catalogue_price = (e.payload -> 'unit_price' ->> 'amount')::numeric,
    price_currency = e.payload -> 'unit_price' ->> 'currency'
FROM (
    SELECT DISTINCT ON (msp_id, stream) msp_id, stream, payload FROM log.events
    WHERE type IN ('ResourceDiscovered', 'ResourceCostChanged')
    ORDER BY msp_id, stream, stream_version DESC
) e
WHERE e.msp_id = r.msp_id AND jsonb_typeof(e.payload -> 'unit_price') = 'object'
  AND e.stream = 'resource/' || substring(r.resource_key FROM position('/' IN r.resource_key) + 1)"""
# Kept wishes are read as today's version of their event.
WISHES = """
UPDATE psa_writer.requests SET wish = '{"target_unit_price": null, "hold_first": false}'::jsonb || wish"""


def upgrade() -> None:
    mapping()
    reconciler()
    psa_writer()
    reporting()


def mapping() -> None:
    op.execute("ALTER TABLE mapping.relations ADD settings jsonb, ADD frozen boolean NOT NULL DEFAULT false")
    op.execute(
        """CREATE TABLE mapping.exclusions (
            msp_id text NOT NULL,
            resource_key text NOT NULL,
            excluded boolean NOT NULL,
            reason text NOT NULL,
            until date,
            stream_version bigint NOT NULL,
            PRIMARY KEY (msp_id, resource_key)
        )"""
    )
    op.execute("CREATE INDEX exclusions_until ON mapping.exclusions (until) WHERE excluded")
    wall("mapping.exclusions")


def reconciler() -> None:
    op.execute("ALTER TABLE reconciler.relations ADD settings jsonb, ADD frozen boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE reconciler.resources ADD catalogue_price numeric, ADD price_currency text")
    op.execute("ALTER TABLE reconciler.products ADD target_unit_price numeric, ADD target_price_currency text")
    op.execute(CATALOGUE_PRICES)


def psa_writer() -> None:
    op.execute("ALTER TABLE psa_writer.relations ADD frozen boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE psa_writer.intents ADD unit_price numeric, ADD unit_price_before numeric")
    op.execute(WISHES)


def reporting() -> None:
    words()
    op.execute(
        """CREATE TABLE reporting.relation_settings (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            relation_id text COLLATE "C" NOT NULL,
            rule text NOT NULL,
            included numeric NOT NULL,
            pack_size integer NOT NULL,
            minimum integer NOT NULL,
            rounding text NOT NULL,
            price_source text NOT NULL,
            price numeric,
            price_currency text,
            markup_percent numeric,
            note text NOT NULL,
            saved_at timestamptz,
            saved_by text,
            frozen_at timestamptz,
            frozen_by text,
            frozen_reason text,
            PRIMARY KEY (msp_id, generation, relation_id)
        )"""
    )
    op.execute(
        """CREATE TABLE reporting.exclusions (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            resource_key text COLLATE "C" NOT NULL,
            excluded_at timestamptz NOT NULL,
            excluded_by text NOT NULL,
            excluded_reason text NOT NULL,
            excluded_until date,
            PRIMARY KEY (msp_id, generation, resource_key)
        )"""
    )
    for table in ("reporting.relation_settings", "reporting.exclusions"):
        wall(table)
        grant("SELECT", table, "trueup_gateway")
    money = "ADD {0} numeric, ADD {0}_currency text"
    before, after = money.format("unit_price_before"), money.format("unit_price_after")
    op.execute(f"ALTER TABLE reporting.adjustments {before}, {after}")
    op.execute(f"ALTER TABLE reporting.requests {money.format('target_unit_price')}")
    op.execute("ALTER TABLE reporting.counts ADD excluded boolean NOT NULL DEFAULT false")
    op.execute(
        f"""CREATE OR REPLACE VIEW reporting.named_counts AS
            SELECT msp_id, connection_id, subscription_id, valid_from, valid_to, status, relation_id, count, unit_price,
                unit_price_currency, generation, excluded
            FROM reporting.counts WHERE msp_id = {NAMED}"""
    )


def words() -> None:
    op.execute(
        """CREATE FUNCTION reporting.rule_in_words(rule jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN CASE WHEN rule IS NOT NULL THEN coalesce(nullif(concat_ws(', ',
            CASE WHEN (rule ->> 'included')::numeric <> 0 THEN (rule ->> 'included') || ' included' END,
            CASE WHEN (rule ->> 'pack_size')::bigint <> 1 THEN 'packs of ' || (rule ->> 'pack_size') END,
            CASE rule ->> 'rounding' WHEN 'none' THEN NULL WHEN 'nearest' THEN 'rounded to the nearest'
                ELSE 'rounded ' || (rule ->> 'rounding') END,
            CASE WHEN (rule ->> 'minimum')::bigint <> 0 THEN 'at least ' || (rule ->> 'minimum') END), ''), 'as is') END"""
    )
    op.execute(
        """CREATE FUNCTION reporting.price_in_words(price jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN CASE price ->> 'source'
            WHEN 'custom' THEN reporting.money_in_words(price -> 'price')
            WHEN 'cost_plus' THEN 'cost plus ' || (price ->> 'markup_percent') || ' %'
            ELSE price ->> 'source' END"""
    )
    # domain/unit_rule.py once more, as reports reckon; a test holds the two to each other. Without settings: as is.
    op.execute(
        """CREATE FUNCTION reporting.units_by_rule(count numeric, included numeric, pack_size integer, rounding text,
            minimum integer) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN CASE WHEN rounding IS NULL OR count IS NULL THEN count ELSE greatest(minimum,
            div(greatest(count - included, 0), pack_size) + CASE rounding
                WHEN 'up' THEN ceil(mod(greatest(count - included, 0), pack_size) / pack_size)
                WHEN 'down' THEN 0
                WHEN 'nearest' THEN round(mod(greatest(count - included, 0), pack_size) / pack_size)
                ELSE mod(greatest(count - included, 0), pack_size) END) END"""
    )
