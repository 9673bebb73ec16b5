"""A report -> the columns that its file has when none are chosen, and the English heading of every column.

The columns of the user guide's reports are the guide's, in its order and words (features A40 to A55).
"""

from services.reporting.queries import Column, Kind, Report

_ADJUSTMENTS = {
    "adjustment_date": "Adjustment Date",
    "company_name": "ODIN Company Name",
    "subscription_name": "ODIN Subscription",
    "resource_name": "ODIN Resource Name",
    "psa_customer_name": "PSA Customer",
    "psa_agreement_name": "PSA Agreement",
    "psa_product_name": "PSA Product",
    "unit_change": "Adjustment Amount",
}
_BOUGHT = {
    "company_id": "ODIN Account ID",
    "company_name": "ODIN Company Name",
    "subscription_id": "ODIN Subscription ID",
    "subscription_name": "ODIN Subscription Name",
    "resource_id": "ODIN Resource ID",
    "resource_name": "ODIN Resource Name",
}
GUIDE: dict[str, dict[str, str]] = {
    "adjustments": _ADJUSTMENTS,
    "failures": _ADJUSTMENTS | {"error_message": "Error Message"},
    "subscriptions": _BOUGHT | {"count": "Count"},
    "linked": {
        "psa_customer_name": "[PSA Billing] Customer Name",
        "psa_agreement_name": "[PSA Billing] Agreement Name",
        "psa_product_id": "[PSA Billing] Product ID",
        "psa_product_name": "[PSA Billing] Product Description",
        "company_name": "ODIN Company Name",
        "subscription_name": "ODIN Subscription Name",
        "resource_name": "ODIN Resource Name",
        "count": "Count",
    },
    "unlinked": _BOUGHT | {"count": "Resource Count"},
}
_CAPITALS = {"id": "ID", "psa": "PSA", "mpn": "MPN", "odin": "ODIN", "api": "API"}


def usual_columns(report: Report) -> tuple[str, ...]:
    """The columns of the user guide; for reports that it does not have, all columns."""
    return tuple(name for name in GUIDE.get(report.name, report.columns) if name in report.columns)


def headings(report: Report, column: Column, time_zone: str = "") -> list[str]:
    """The heading of each cell that the column takes: money takes two. A time zone is named with moments."""
    words = _BOUGHT | GUIDE.get(report.name, {})
    says = words.get(column.name) or " ".join(_CAPITALS.get(word, word.capitalize()) for word in column.name.split("_"))
    if column.currency is not None:
        return [says, f"{says} Currency"]
    return [f"{says} ({time_zone})" if time_zone and column.kind is Kind.MOMENT else says]
