"""What was read of each side -> when it was last known to be read: ODIN whole, the PSA with anything to tell."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import readings

READINGS = ReadModel(
    "readings",
    (readings,),
    (
        "PollCompleted",
        "CatalogueRead",
        "PsaCustomerObserved",
        "PsaAgreementObserved",
        "PsaProductObserved",
        "PsaUnitsObserved",
    ),
)
