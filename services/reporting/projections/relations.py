"""RelationSet and RelationCleared -> who linked what to what, when, and when it was cleared again."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import relations

RELATIONS = ReadModel("relations", (relations,), ("RelationSet", "RelationCleared"))
