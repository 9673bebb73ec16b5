"""What was posted, found and read -> the units of each PSA product: those that we left there, and those that were read."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import excesses, ledger, product_units

LEDGER = ReadModel(
    "ledger",
    (ledger, product_units, excesses),
    ("AdjustmentPosted", "UnitsFoundEqual", "PsaUnitsObserved", "DriftAdopted"),
)
