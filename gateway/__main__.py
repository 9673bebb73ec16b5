"""`python -m gateway`: the gateway's process, from settings to a clean end; bound to the loopback address by default."""

import logging
import sys
from dataclasses import fields

import uvicorn

from gateway.app import LONGEST_BODY, Gateway, GatewaySettings
from gateway.asking import READERS, WRITERS
from gateway.door import SHORTEST_TOKEN
from gateway.line import Line
from gateway.live import LOOKERS
from gateway.people.breached import Breached
from plumbing import health, settings
from plumbing.clock import Clock
from plumbing.database import explain, make_engine
from plumbing.logs import start_logging

log = logging.getLogger(__name__)
STATEMENT_SECONDS = 5
PING_SECONDS = 20.0
# Longer than clients and proxies pause between two requests: one that is sent while the line is closed is lost to the sender.
KEEP_ALIVE_SECONDS = 75
# Requests are answered by threads that take turns. One that reads a long request in Python gives way to the others after so long,
# not after Python's 5 ms: a small request needs three turns.
TURN_SECONDS = 0.001
USAGE = """usage: python -m gateway

Serves /graphql, /export, /healthz and /metrics at TRUEUP_HOST:TRUEUP_PORT. It takes its settings from the environment:
"""


def main(arguments: list[str]) -> int:
    """Serves until SIGTERM or SIGINT; answers the exit status."""
    if arguments:
        asked = arguments[0] in ("-h", "--help")
        (sys.stdout if asked else sys.stderr).write(USAGE + _described())
        return 0 if asked else 2
    given = settings.settings_or_exit(GatewaySettings)
    if given.gateway_token and len(given.gateway_token) < SHORTEST_TOKEN:
        sys.stderr.write(f"TRUEUP_GATEWAY_TOKEN has less than {SHORTEST_TOKEN} characters: choose a longer one\n")
        return 2
    start_logging("gateway", given.log_level)
    sys.setswitchinterval(TURN_SECONDS)
    log.info("starting", extra={"settings": settings.masked(given)})
    clock = Clock(given.clock_file)
    try:
        given.provider(clock)
    except settings.BadSettings as bad:
        sys.stderr.write(f"{bad}\n")
        return 2
    if fault := Breached(given.breached_passwords).fault():
        sys.stderr.write(f"TRUEUP_BREACHED_PASSWORDS: {fault}\n")
        return 2
    engine = make_engine(given.database_url, "trueup gateway", STATEMENT_SECONDS, pool_size=READERS + WRITERS + LOOKERS)
    fault = health.database_check(engine)
    if fault:
        sys.stderr.write(explain(Exception(fault), given.database_url) + "\n")
        return 1
    application = Gateway(engine, given, clock).application()
    uvicorn.run(
        application,
        host=given.host,
        port=given.port,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=given.trusted_proxies.split(",") if given.trusted_proxies else [],
        lifespan="on",
        timeout_graceful_shutdown=25,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ws=Line,
        ws_max_size=LONGEST_BODY,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,
    )
    return 0


def _described() -> str:
    lines = [f"  {settings.PREFIX}{f.name.upper():22} {f.metadata['help']}" for f in fields(GatewaySettings)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
