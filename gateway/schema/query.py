"""The root of all queries: one field a report, the pulse and the bell."""

from typing import Any

import graphene

from gateway.schema.lineage import lineage_fields
from gateway.schema.notifying import unread_field
from gateway.schema.pulse import pulse_field
from gateway.schema.reports import report_field
from services.reporting.queries import REPORTS


def _query() -> Any:
    beat, resolve_beat = pulse_field()
    bell, resolve_bell = unread_field()
    fields: dict[str, Any] = {
        "__doc__": "What can be read here.",
        "pulse": beat,
        "resolve_pulse": staticmethod(resolve_beat),
        "unread_notifications": bell,
        "resolve_unread_notifications": staticmethod(resolve_bell),
    }
    for name, (field, resolver) in lineage_fields().items():
        fields[name] = field
        fields[f"resolve_{name}"] = staticmethod(resolver)
    for name in REPORTS:
        field, resolver = report_field(name)
        fields[name] = field
        fields[f"resolve_{name}"] = staticmethod(resolver)
    return type("Query", (graphene.ObjectType,), fields)


Query = _query()
