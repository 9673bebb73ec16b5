"""The sweep_seconds of the settings -> a service method called that often, to look for what lost bells would have told.

Every replica sweeps; what a sweep does must bear that, as catch_up does by the lock on its position.
"""

from nameko.timer import Timer

from plumbing.house import HOUSE_CONFIG_KEY, House


class SweepTimer(Timer):
    """Decorates the service method that sweeps; it takes nothing but self."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(interval=0, **kwargs)

    def setup(self) -> None:
        """Takes the interval from the settings of the process, which exist only now."""
        house: House = self.container.config[HOUSE_CONFIG_KEY]
        self.interval = float(house.settings.sweep_seconds)


sweeping = SweepTimer.decorator
