"""The read models of this service, by name."""

from services.reporting.projections.adjustments import ADJUSTMENTS
from services.reporting.projections.failures import FAILURES
from services.reporting.projections.psa import PSA
from services.reporting.projections.relations import RELATIONS
from services.reporting.projections.resources import RESOURCES
from services.reporting.read_model import ReadModel

READ_MODELS: dict[str, ReadModel] = {model.name: model for model in (RESOURCES, RELATIONS, ADJUSTMENTS, FAILURES, PSA)}
TYPES: tuple[str, ...] = tuple(sorted({name for model in READ_MODELS.values() for name in model.types}))
