"""(a request, what a person saw of it and wants) -> why it cannot be approved like this, or nothing."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from services.psa_writer.by_hand import not_waiting, refusal
from services.psa_writer.open_requests import TO_DO, OpenRequest


@dataclass(frozen=True)
class Seen:
    """The units that the person saw: wanted, and there."""

    target_units: int
    units_before: int


def check_approval(
    request: OpenRequest,
    seen: Seen,
    actor: str,
    who_linked: AbstractSet[str],
    effective: str,
    newer: OpenRequest | None,
) -> dict[str, str] | None:
    """{"code", "message", "fix"}, or None when the actor may approve. who_linked: who set the product's relations; they may be
    first, but never the second. newer: the request that took its place, when one did."""
    if newer is not None:
        return _count_changed(newer)
    if request.state in TO_DO and request.state != "held":
        return refusal("not_held", "It is not held any more.", "Nothing to do: it goes out, or is held anew.")
    if request.state != "held":
        return not_waiting(request)
    held = request.told or {}
    if seen.target_units != held["target_units"]:
        return _count_changed(request)
    if seen.units_before != held["units_before"]:
        return refusal(
            "units_changed",
            f"The units in the PSA changed to {held['units_before']} while you were looking: it is {_now(request)} now.",
            "Look at it again, then decide.",
        )
    return _who(request, actor, who_linked, effective)


def _who(request: OpenRequest, actor: str, who_linked: AbstractSet[str], effective: str) -> dict[str, str] | None:
    if not request.approvals:
        return None
    first = request.approvals[0]
    if first["by"] == actor:
        return refusal("same_person", "You have approved it already.", "One more person must approve it.")
    if actor in who_linked:
        return refusal(
            "requester", "You have set its relation, so you cannot be the second.", "Ask another person to approve it."
        )
    if first["effective"] != effective:
        words = "for the next period" if first["effective"] == "next_period" else "as planned"
        return refusal("differs", f"{first['by']} approved it {words}.", "Approve it the same way, or refuse it.")
    return None


def _count_changed(newer: OpenRequest) -> dict[str, str]:
    target = newer.wish.target_units
    words = f": it is {_now(newer)} now" if newer.told and newer.state == "held" else ""
    return refusal(
        "count_changed",
        f"The count changed to {target} while you were looking{words}.",
        "Look at the newer one, then decide.",
    )


def _now(request: OpenRequest) -> str:
    held = request.told or {}
    return f"{held['units_before']} → {held['target_units']}"
