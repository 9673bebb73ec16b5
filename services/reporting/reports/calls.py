"""Calls counted -> the history of the API budget: which endpoint was called how often, how it went and how long it took."""

from sqlalchemy import Text, cast, literal

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, living, named, of
from services.reporting.tables import api_calls

API_CALLS = Report(
    "api_calls",
    "ApiCalls",
    "Calls to outside APIs: one row for each endpoint and stretch of time in which it was called.",
    "calls",
    api_calls,
    living(api_calls, "calls"),
    columns(
        Column(
            "calls_id",
            Kind.ID,
            cast(api_calls.c.position, Text).op("||")(literal("/")).op("||")(api_calls.c.endpoint).collate("C"),
            nullable=False,
            help="What tells the row from all others.",
        ),
        of(api_calls, "position", Kind.POSITION, "The place in the MSP's log where it stands."),
        named(api_calls, "connection_id"),
        of(api_calls, "endpoint", Kind.TEXT, "What was called."),
        of(api_calls, "since", Kind.MOMENT, "From this moment on ..."),
        of(api_calls, "seconds", Kind.WHOLE, "... for so many seconds."),
        of(api_calls, "calls", Kind.WHOLE, "Calls made."),
        of(api_calls, "failed", Kind.WHOLE, "Those that were not answered as asked."),
        of(api_calls, "limited", Kind.WHOLE, "Those of them that were refused as too many (429)."),
        of(api_calls, "p50_milliseconds", Kind.WHOLE, "Half of them took no longer."),
        of(api_calls, "p95_milliseconds", Kind.WHOLE, "95 % of them took no longer."),
        of(api_calls, "slowest_milliseconds", Kind.WHOLE, "The slowest."),
    ),
    "calls_id",
    (Order("since", descending=True),),
    ("calls", "failed", "limited"),
)
