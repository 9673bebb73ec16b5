"""The reports an MSP asks for, by name: a file for each group of them, made of the parts in columns.py."""

from services.reporting.reports.activity import ACTIVITY
from services.reporting.reports.adjustments import ADJUSTMENTS, REQUESTS
from services.reporting.reports.bought import EXCLUDED, LINKED, SUBSCRIPTIONS, UNLINKED
from services.reporting.reports.calls import API_CALLS
from services.reporting.reports.candidates import COMPANIES, RELATION_CANDIDATES
from services.reporting.reports.close import CLOSE_ACTS
from services.reporting.reports.columns import Report
from services.reporting.reports.counts import COUNTS
from services.reporting.reports.days import DAYS
from services.reporting.reports.dead_letters import DEAD_LETTERS
from services.reporting.reports.drift import DRIFT
from services.reporting.reports.failures import FAILURES
from services.reporting.reports.held import HELD
from services.reporting.reports.ledger import LEDGER
from services.reporting.reports.notifications import DELIVERIES, NOTIFICATIONS, RULES
from services.reporting.reports.psa import PSA_AGREEMENTS, PSA_CUSTOMERS, PSA_PRODUCTS
from services.reporting.reports.questions import QUESTIONS
from services.reporting.reports.relations import RELATIONS
from services.reporting.reports.shadow import SHADOW

REPORTS: dict[str, Report] = {
    report.name: report
    for report in (
        SUBSCRIPTIONS,
        LINKED,
        UNLINKED,
        COMPANIES,
        RELATION_CANDIDATES,
        EXCLUDED,
        ADJUSTMENTS,
        REQUESTS,
        FAILURES,
        HELD,
        SHADOW,
        RELATIONS,
        QUESTIONS,
        PSA_CUSTOMERS,
        PSA_AGREEMENTS,
        PSA_PRODUCTS,
        DAYS,
        COUNTS,
        LEDGER,
        DRIFT,
        ACTIVITY,
        API_CALLS,
        CLOSE_ACTS,
        NOTIFICATIONS,
        RULES,
        DELIVERIES,
        DEAD_LETTERS,
    )
}
