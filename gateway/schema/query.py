"""The root of all queries: one field a report, and what is asked of the house as a whole."""

from typing import Any

import graphene

from gateway.schema.api_budget import api_budget_field
from gateway.schema.billing import billing_fields
from gateway.schema.closing import checklist_field
from gateway.schema.connections import connections_fields
from gateway.schema.dashboard import dashboard_field
from gateway.schema.drifting import drifting_fields
from gateway.schema.found import find_field
from gateway.schema.lineage import lineage_fields
from gateway.schema.linking import linking_fields
from gateway.schema.notifying import unread_field
from gateway.schema.policies import policies_fields
from gateway.schema.pulse import pulse_field
from gateway.schema.questions import question_field
from gateway.schema.reports import report_field
from gateway.schema.settling import test_rule_field
from gateway.schema.signing_in import signing_in_fields
from gateway.schema.users import users_fields
from gateway.schema.views import views_field
from services.reporting.queries import REPORTS


def _query() -> Any:
    fields: dict[str, Any] = {"__doc__": "What can be read here."}
    alone = {
        "pulse": pulse_field(),
        "dashboard": dashboard_field(),
        "find": find_field(),
        "saved_views": views_field(),
        "api_budget": api_budget_field(),
        "close_checklist": checklist_field(),
        "unread_notifications": unread_field(),
        "question": question_field(),
        "test_unit_rule": test_rule_field(),
    }
    for name, (field, resolver) in alone.items():
        fields[name] = field
        fields[f"resolve_{name}"] = staticmethod(resolver)
    several = (
        signing_in_fields()
        | users_fields()
        | connections_fields()
        | policies_fields()
        | lineage_fields()
        | billing_fields()
        | linking_fields()
        | drifting_fields()
    )
    for name, (field, resolver) in several.items():
        fields[name] = field
        fields[f"resolve_{name}"] = staticmethod(resolver)
    for name in REPORTS:
        field, resolver = report_field(name)
        fields[name] = field
        fields[f"resolve_{name}"] = staticmethod(resolver)
    return type("Query", (graphene.ObjectType,), fields)


Query = _query()
