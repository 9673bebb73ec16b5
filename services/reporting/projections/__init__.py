"""The read models of this service, by name."""

from services.reporting.projections.activity import ACTIVITY
from services.reporting.projections.adjustments import ADJUSTMENTS
from services.reporting.projections.calls import CALLS
from services.reporting.projections.close import CLOSE
from services.reporting.projections.counts import COUNTS
from services.reporting.projections.days import DAYS
from services.reporting.projections.failures import FAILURES
from services.reporting.projections.held import HELD
from services.reporting.projections.ledger import LEDGER
from services.reporting.projections.notifications import NOTIFICATIONS
from services.reporting.projections.psa import PSA
from services.reporting.projections.questions import QUESTIONS
from services.reporting.projections.readings import READINGS
from services.reporting.projections.relations import RELATIONS
from services.reporting.projections.resources import RESOURCES
from services.reporting.read_model import ReadModel

# Those that take longest to rebuild come first, so that the cores end together.
READ_MODELS: dict[str, ReadModel] = {
    model.name: model
    for model in (
        ADJUSTMENTS,
        NOTIFICATIONS,
        COUNTS,
        FAILURES,
        HELD,
        RESOURCES,
        LEDGER,
        ACTIVITY,
        DAYS,
        PSA,
        RELATIONS,
        QUESTIONS,
        READINGS,
        CALLS,
        CLOSE,
    )
}
TYPES: tuple[str, ...] = tuple(sorted({name for model in READ_MODELS.values() for name in model.types}))
