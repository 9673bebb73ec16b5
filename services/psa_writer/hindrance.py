"""Why nothing may be posted now: a code for programs, words for a person, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hindrance:
    """What stands against a post. code: one word for reports and for finding others with the same cause."""

    code: str
    message: str
    fix: str
