"""`python -m deploy.run_service poller`: one service process, from settings to a clean end.

nameko's own command needs pkg_resources, which fresh environments lack, so this runner stands in its place. eventlet's
patch comes before every other import of the process.
"""

import plumbing  # noqa: F401, I001 it silences eventlet's notice of retirement, which is not a JSON line

import eventlet

eventlet.monkey_patch()

import importlib  # noqa: E402
import logging  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

from nameko.runners import ServiceRunner  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from deploy.migrations.rights import SERVICES  # noqa: E402
from plumbing import broker, health, settings  # noqa: E402
from plumbing.catch_up import stopped  # noqa: E402
from plumbing.clock import Clock  # noqa: E402
from plumbing.database import explain, make_engine  # noqa: E402
from plumbing.house import HOUSE_CONFIG_KEY, House  # noqa: E402
from plumbing.logs import start_logging  # noqa: E402

# Work in hand at SIGTERM gets this long; then its messages go back to their queues.
GRACE_SECONDS = 25
# Lost bindings cost no more than the sweeps that stand in for the bells; looking for them may be rarer.
SWEEPS_A_DECLARATION = 4
log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Runs the named service until SIGTERM or SIGINT; answers the exit status."""
    if len(arguments) != 1 or arguments[0] not in SERVICES:
        sys.stderr.write(f"usage: python -m deploy.run_service {{{'|'.join(SERVICES)}}}\n")
        return 2
    name = arguments[0]
    module = importlib.import_module(f"services.{name}.service")
    given = settings.settings_or_exit(module.SETTINGS)
    start_logging(name, given.log_level)
    log.info("starting", extra={"settings": settings.masked(given)})
    engine = make_engine(given.database_url, f"trueup {name}", pool_size=module.WORKERS + 2)
    fault = health.database_check(engine)
    if fault:
        sys.stderr.write(explain(Exception(fault), given.database_url) + "\n")
        return 1
    house = House(name, engine, Clock(given.clock_file), given)
    every = float(given.sweep_seconds) * SWEEPS_A_DECLARATION
    config = broker.config(given.rabbitmq_url, given.retry_seconds, module.WORKERS, declare_seconds=every)
    config[HOUSE_CONFIG_KEY] = house
    runner = ServiceRunner(config)
    runner.add_service(module.Service)
    try:
        _serve_health(house, config)
    except health.CannotListen as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    _stop_on_signal(runner)
    runner.start()
    try:
        runner.wait()
    except Exception:
        log.exception("the service died")
        return 1
    _tell_calls(house)
    return 0


def _tell_calls(house: House) -> None:
    """What was called since the last time is told before the process goes."""
    try:
        house.calls.tell(house.engine, house.clock, house.service, after_seconds=0)
    except SQLAlchemyError as error:
        log.warning("calls are not told", extra={"reason": str(error).splitlines()[0]})


def _serve_health(house: House, config: dict[str, object]) -> None:
    def consuming() -> str:
        return (
            ""
            if config.get("consuming")
            else "RabbitMQ is not connected: is it running, and is TRUEUP_RABBITMQ_URL right?"
        )

    def going_on() -> str:
        try:
            halted = stopped(house.engine, house.service)
        except SQLAlchemyError as error:
            return str(error).splitlines()[0]
        return "; ".join(
            f"{s.consumer} stopped for MSP {s.msp_id} after position {s.position}: {s.reason}" for s in halted
        )

    checks = {"database": lambda: health.database_check(house.engine), "broker": consuming, "consumers": going_on}
    server = health.serve(house.service, checks, house.settings.host, house.settings.port)
    eventlet.spawn(server.serve_forever)


def _stop_on_signal(runner: ServiceRunner) -> None:
    def stop(*_: object) -> None:
        eventlet.spawn(_stop, runner)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _stop(runner: ServiceRunner) -> None:
    log.info("stopping")
    with eventlet.Timeout(GRACE_SECONDS, exception=False):
        runner.stop()
        return
    log.warning("work in hand goes back to its queue")
    runner.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
