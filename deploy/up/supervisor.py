"""`python -m deploy.up.supervisor FOLDER`: keeps the parts and the servers of an installation running until it is told to stop.

A process that dies is started again within seconds; one that dies again and again, ever more slowly, but never more
than 8 seconds apart: a service that waits for its database must be back soon after it."""

import logging
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from deploy.servers import ServerError
from deploy.servers.postgres import EmbeddedPostgres
from deploy.servers.rabbitmq import own_rabbitmq
from deploy.servers.rabbitmq_docker import RabbitmqContainer
from deploy.servers.rabbitmq_node import PrivateRabbitmq
from deploy.up.parts import Folder, Part
from plumbing.logs import start_logging

LONGEST_PAUSE = 8.0
# Who lived this long was healthy: its next death is met at once again.
HEALTHY_SECONDS = 60.0
LOOK_SECONDS = 0.25
# Of each log the newest so many bytes and as many before them are kept.
LARGEST_LOG = 50_000_000
LOGS_SECONDS = 60.0
log = logging.getLogger(__name__)

OwnServer = EmbeddedPostgres | PrivateRabbitmq | RabbitmqContainer


@dataclass
class Watched:
    """A part, how often it died lately, and when it may be started again."""

    part: Part
    deaths: int = 0
    started_at: float = 0.0
    not_before: float = 0.0


@dataclass
class Supervisor:
    """Watches the parts of one folder. stopping: set it, and the loop ends after stopping every part."""

    folder: Folder
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Returns after it was told to stop and every part has ended."""
        watched = [Watched(part) for part in self.folder.parts()]
        for server in own_servers(self.folder).values():
            threading.Thread(target=self._keep, args=(server,), daemon=True).start()
        logs_at = 0.0
        while not self.stopping.wait(LOOK_SECONDS):
            for each in watched:
                self.look_at(each, time.monotonic())
            if time.monotonic() >= logs_at:
                for each in watched:
                    turn(self.folder.log(each.part.name))
                logs_at = time.monotonic() + LOGS_SECONDS
        stop_parts(self.folder, [each.part for each in watched])

    def look_at(self, each: Watched, now: float) -> None:
        """Starts the part when it is dead and its pause is over."""
        if self.folder.process(each.part.name).is_running():
            return
        if each.started_at:
            self._note_death(each, now)
        if now >= each.not_before:
            self.folder.start(each.part)
            each.started_at = now
            log.info("started", extra={"part": each.part.name, "deaths": each.deaths})

    def _note_death(self, each: Watched, now: float) -> None:
        each.deaths = 0 if now - each.started_at > HEALTHY_SECONDS else each.deaths + 1
        pause = min(0.5 * 2**each.deaths, LONGEST_PAUSE) if each.deaths else 0.0
        each.not_before, each.started_at = now + pause, 0.0
        log.warning("died", extra={"part": each.part.name, "deaths": each.deaths, "starts_again_in_seconds": pause})

    def _keep(self, server: OwnServer) -> None:
        while not self.stopping.wait(1):
            try:
                if not server.is_alive():
                    log.warning("server died", extra={"server": type(server).__name__})
                    server.start()
            except ServerError as error:
                log.error("server does not start", extra={"reason": str(error)})


def turn(log_file: Path, largest: int = LARGEST_LOG) -> None:
    """Moves what a large log holds to <name>.log.1, in place of what was there, and empties it. The process goes on writing to
    the same open file; a line that it writes in between may be lost."""
    if log_file.exists() and log_file.stat().st_size > largest:
        shutil.copyfile(log_file, log_file.with_name(log_file.name + ".1"))
        os.truncate(log_file, 0)


def own_servers(folder: Folder) -> dict[str, OwnServer]:
    """The servers that an installation started itself, by name; those given by URL are somebody else's to watch."""
    found = {
        "RabbitMQ": own_rabbitmq(folder.path / "rabbitmq"),
        "PostgreSQL": EmbeddedPostgres(folder.path / "postgres"),
    }
    return {name: server for name, server in found.items() if server is not None and server.was_started()}


def stop_parts(folder: Folder, parts: list[Part], seconds: float = 40) -> None:
    """Asks all parts to end at the same time, and returns when none is left."""
    with ThreadPoolExecutor(max_workers=max(len(parts), 1)) as pool:
        list(pool.map(lambda part: folder.process(part.name).stop(seconds), parts))


def main(arguments: list[str]) -> int:
    """Runs until SIGTERM."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m deploy.up.supervisor FOLDER\n")
        return 2
    start_logging("supervisor", "INFO")
    supervisor = Supervisor(Folder(Path(arguments[0])))
    signal.signal(signal.SIGTERM, lambda *_: supervisor.stopping.set())
    signal.signal(signal.SIGINT, lambda *_: supervisor.stopping.set())
    log.info("watching", extra={"parts": [part.name for part in supervisor.folder.parts()]})
    supervisor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
