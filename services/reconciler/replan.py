"""Everything an MSP has linked -> plans for the products whose units are not what they should be: one join finds them."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, text

from domain.keys import MspId
from plumbing.catch_up import catch_up
from plumbing.clock import Clock
from plumbing.logs import correlation_id
from services.reconciler import plans
from services.reconciler.plan_units import Touch
from services.reconciler.reactor import reactor
from services.reconciler.touches import Cause, ProductId

# The same reckoning as plan_units, as a sieve: every product for which plan_units would ask for something passes; of those
# that pass plan_units decides. A test holds the two to each other. What has settings of its own, or a price that was asked
# for, always passes: unit rules and prices are not reckoned here. Nearly every product has one feed, and nearly every feed is
# as it was last asked for: such rows drop out of the join by plain comparison and are never grouped.
_DIFFERING = """
SELECT p.psa_connection_id, p.psa_product_id
FROM reconciler.relations l
JOIN reconciler.resources r USING (msp_id, resource_key)
JOIN reconciler.products p USING (msp_id, psa_connection_id, psa_product_id)
CROSS JOIN LATERAL (
    SELECT CASE WHEN r.count > 0 AND r.cost_currency = p.cost_currency
                THEN round(r.unit_cost * p.period_months / r.billing_months, 4) END AS cost
) AS of_period
WHERE l.msp_id = :msp_id
  AND CASE WHEN p.feeds = 1 AND r.count = p.target_units AND l.settings IS NULL AND p.target_unit_price IS NULL
           THEN NOT CASE WHEN :post_cost AND r.count > 0
                         THEN r.unit_cost = p.target_unit_cost AND r.billing_months = p.period_months
                              AND r.cost_currency = p.target_cost_currency AND p.cost_currency = p.target_cost_currency
                         ELSE p.target_unit_cost IS NULL END IS TRUE
           ELSE true END
GROUP BY p.msp_id, p.psa_connection_id, p.psa_product_id
HAVING count(*) = count(r.count) AND (
    bool_or(l.settings IS NOT NULL) OR p.target_unit_price IS NOT NULL
    OR sum(r.count) IS DISTINCT FROM p.target_units
    OR CASE WHEN :post_cost AND count(*) FILTER (WHERE r.count > 0) = count(of_period.cost)
                 AND min(of_period.cost) = max(of_period.cost)
            THEN min(of_period.cost) IS DISTINCT FROM p.target_unit_cost
                 OR p.cost_currency IS DISTINCT FROM p.target_cost_currency
            ELSE p.request_open AND p.target_unit_cost IS NOT NULL END)
ORDER BY p.psa_connection_id, p.psa_product_id
"""


def differing(connection: Connection, msp_id: MspId) -> Sequence[ProductId]:
    """The linked products of an MSP whose last request is not what their resources add up to."""
    post_cost = plans.posts_cost(connection, msp_id)
    # Room to group by hashing what several resources feed; sorting on disk takes three times as long.
    connection.execute(text("SET LOCAL work_mem = '64MB'"))
    rows = connection.execute(text(_DIFFERING), {"msp_id": msp_id, "post_cost": post_cost})
    return [(row.psa_connection_id, row.psa_product_id) for row in rows]


def replan(engine: Engine, msp_id: MspId, clock: Clock) -> int:
    """The number of events that planning everything anew came to: after a changed policy, or when an operator wants to be
    sure. What is as it should be costs one join and writes nothing; the rest is planned in portions, each a transaction
    of its own, so that the log is never held for long."""
    catch_up(engine, reactor(clock), msp_id, clock)
    with engine.connect() as connection:
        ids = differing(connection, msp_id)
    cause = Cause(0, 0, correlation_id(), Touch("", "planned anew"))
    events = 0
    for start in range(0, len(ids), plans.PORTION):
        with engine.begin() as connection:
            plans.lock(connection, msp_id)
            portion = dict.fromkeys(ids[start : start + plans.PORTION], cause)
            events += plans.plan(connection, msp_id, portion, clock.now())
    return events
