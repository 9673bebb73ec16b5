"""The kinds of connections that can be made -> what each takes, what of it is needed, and who opens its secrets."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What a kind of connection takes. settings: name -> default; secrets: names; optional: those of both that may be left
    empty; url: the setting that says where its secrets are sent; opened_by: service; limits: the settings that limit its
    calls, each with the name and the seconds of its window."""

    settings: Mapping[str, str | int]
    secrets: tuple[str, ...]
    optional: frozenset[str]
    url: str
    opened_by: str
    limits: Mapping[str, tuple[str, int]]

    @property
    def needed(self) -> list[str]:
        """The settings and secrets that must be given, because they have no default."""
        empty = [name for name, default in self.settings.items() if default == ""]
        return [name for name in (*empty, *self.secrets) if name not in self.optional]


KINDS: dict[str, Kind] = {
    "odin": Kind(
        {
            "gateway_url": "",
            "account_number": "0",
            "subscription": "0",
            "user": "",
            "marketplace": "us",
            "calls_per_minute": 60,
            "calls_per_day": 5000,
            "poll_seconds": 300,
            "reread_hours": 24,
            "licence_customer": "",
        },
        # The licence is kept for the record: nothing opens its key.
        ("password", "secret", "licence_key"),
        frozenset({"licence_customer", "licence_key"}),
        "gateway_url",
        "poller",
        {"calls_per_minute": ("minute", 60), "calls_per_day": ("day", 86_400)},
    ),
    "autotask": Kind(
        {
            "address": "https://webservices.autotask.net/atservices/1.6/atws.asmx",
            "user": "",
            "company_id": "0",
            "currency": "USD",
            "calls_per_hour": 2500,
            "catalogue_seconds": 3600,
            "longest_execution_seconds": 300,
            "mid_period_rows": "unknown",
        },
        ("password", "tracking_identifier"),
        frozenset(),
        "address",
        "psa_writer",
        {"calls_per_hour": ("hour", 3600)},
    ),
}
