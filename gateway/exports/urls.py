"""A door -> the report and the query of its page's URL: the inverse of what asked.py reads."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from graphene.utils.str_converters import to_camel_case

from services.reporting.queries import Door


def page_of(door: Door) -> tuple[str, str]:
    """Such as ("psa-agreements", "f.psaAgreementId=7,9&asOf=1041")."""
    asked = [(f"f.{to_camel_case(name)}", _questions(words)) for name, words in sorted(door.filter.items())]
    if door.at is not None:
        asked.append(("asOf", str(door.at)))
    return door.report.replace("_", "-"), "&".join(f"{name}={quote(value, safe=',:')}" for name, value in asked)


def _questions(words: Mapping[str, Any]) -> str:
    """The words that doors use: in, and is_empty."""
    parts = [_written(one) for one in words.get("in", ())]
    if "is_empty" in words:
        parts.append(f"empty:{_written(words['is_empty'])}")
    return ",".join(parts)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return re.sub(r"([,~\\])", r"\\\1", str(value))
