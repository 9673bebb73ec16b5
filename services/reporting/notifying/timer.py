"""The delivery_seconds of the settings -> a service method called that often; the next call waits for the one before."""

from nameko.timer import Timer

from plumbing.house import HOUSE_CONFIG_KEY, House
from services.reporting.notifying.settings import ReportingSettings


class DeliveryTimer(Timer):
    """Decorates the service method that sends what is due; every replica calls its own."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(interval=0, **kwargs)

    def setup(self) -> None:
        """Takes the interval from the settings of the process, which exist only now."""
        house: House = self.container.config[HOUSE_CONFIG_KEY]
        assert isinstance(house.settings, ReportingSettings)  # noqa: S101 the runner reads this service's settings
        self.interval = float(house.settings.delivery_seconds)


delivering = DeliveryTimer.decorator
