"""Settings -> what a service process works with: engine, clock, settings; one nameko dependency that all services share.

The service's own runner makes it once and hands it to the container, so nothing is built at import.
"""

from dataclasses import dataclass, field
from typing import Any

from nameko.extensions import DependencyProvider
from sqlalchemy import Engine

from plumbing.calls import Calls
from plumbing.clock import Clock
from plumbing.settings import Settings

HOUSE_CONFIG_KEY = "TRUEUP_HOUSE"


@dataclass(frozen=True)
class House:
    """What every handler may use. service: its name in the log (recorded_by) and in its schema; calls: those it made to the
    outside and has not told yet."""

    service: str
    engine: Engine
    clock: Clock
    settings: Settings
    calls: Calls = field(default_factory=Calls)


class HouseProvider(DependencyProvider):
    """Gives a service method the house as `self.house`."""

    def get_dependency(self, worker_ctx: Any) -> House:
        """The house of this process."""
        house: House = self.container.config[HOUSE_CONFIG_KEY]
        return house
