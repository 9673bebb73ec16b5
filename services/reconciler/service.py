"""Messages and calls -> reconciler's plans: what the units of every linked product should be."""

from typing import Any

from domain.keys import MspId
from plumbing import setup, topology
from plumbing.answering import rpc
from plumbing.broker import BadMessage, consume
from plumbing.catch_up import catch_up, sweep
from plumbing.hearing import hear
from plumbing.house import HouseProvider
from plumbing.settings import Settings
from plumbing.sweeping import sweeping
from services.reconciler.foresee import foresee
from services.reconciler.reactor import REPLANS, TYPES, reactor
from services.reconciler.replan import replan
from services.reconciler.resolve_drift import RESOLUTIONS, resolve_drift

SETTINGS = Settings
WORKERS = 10


class Service:
    """Asks for units when counts, costs or relations change."""

    name = "reconciler"
    house = HouseProvider()

    @hear(topology.bell_queue("reconciler", TYPES), lambda house: [reactor(house.clock)])
    def on_bells(self, msp_id: MspId) -> None:
        """Reads the MSP's log up to its head."""
        catch_up(self.house.engine, reactor(self.house.clock), msp_id, self.house.clock)

    @consume(topology.work_queue(REPLANS))
    def on_replan(self, body: Any, _message_id: str) -> None:
        """Plans an MSP anew. Doing it twice asks for nothing the second time, so the message needs no claim."""
        match body:
            case {"msp_id": str(msp_id)} if msp_id:
                replan(self.house.engine, MspId(msp_id), self.house.clock)
            case _:
                raise BadMessage("a replan has msp_id")

    @sweeping
    def sweep(self) -> None:
        """Looks for bells that were lost."""
        sweep(self.house.engine, [reactor(self.house.clock)], self.house.clock)

    @rpc
    def foresee(self, msp_id: str, pairs: list[dict[str, str]], cleared: list[str]) -> dict[str, Any]:
        """{"products", "counts"}: what would be asked for if the pairs were linked and the cleared resources were not. See
        foresee.py."""
        return foresee(self.house.engine, self.house.clock, MspId(msp_id), pairs, cleared)

    @rpc
    def resolve_drift(
        self,
        msp_id: str,
        products: list[dict[str, Any]],
        resolution: str,
        reason: str,
        operation_id: str,
        actor: str,
    ) -> dict[str, Any]:
        """{"results"}: the PSA's units of each product adopted, or overwritten with its target. See resolve_drift.py."""
        if resolution not in RESOLUTIONS:
            raise ValueError(f"resolution is one of {', '.join(RESOLUTIONS)}")
        given = (products, resolution, reason, operation_id, actor)
        return resolve_drift(self.house.engine, self.house.clock, MspId(msp_id), *given)

    @rpc
    def replan(self, msp_id: str) -> dict[str, Any]:
        """{"events": how many were appended, "refusal"} after planning everything that the MSP has linked."""
        try:
            with self.house.engine.connect() as connection:
                setup.msp(connection, MspId(msp_id))
        except KeyError:
            fix = "Add it with `trueup msp add`."
            return {
                "events": 0,
                "refusal": {"code": "msp_unknown", "message": "There is no such MSP here.", "fix": fix},
            }
        return {"events": replan(self.house.engine, MspId(msp_id), self.house.clock), "refusal": None}
