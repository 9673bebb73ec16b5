"""What was read of each side -> when it was last known to be read (ODIN whole, the PSA with any news), and the last polls."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import last_polls, readings

READINGS = ReadModel(
    "readings",
    (readings, last_polls),
    (
        "PollCompleted",
        "CatalogueRead",
        "PsaCustomerObserved",
        "PsaAgreementObserved",
        "PsaProductObserved",
        "PsaUnitsObserved",
    ),
)
