"""What the writer saw in the PSA -> its customers, agreements and products as last seen, with units, cost and price."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import psa_agreements, psa_customers, psa_products

PSA = ReadModel(
    "psa",
    (psa_customers, psa_agreements, psa_products),
    ("PsaCustomerObserved", "PsaAgreementObserved", "PsaProductObserved", "PsaUnitsObserved", "PsaRecordGone"),
)
