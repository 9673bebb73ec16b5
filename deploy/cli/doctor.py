"""An installation -> what is wrong with it, and what to do about each thing."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import amqp
import click
from alembic.config import Config
from alembic.script import ScriptDirectory
from kombu import Connection as BrokerConnection
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from deploy.cli.installation import Installation, told
from deploy.migrate import MIGRATIONS
from deploy.migrations.rights import SERVICES
from gateway.people.breached import Breached
from plumbing import topology
from plumbing.database import explain

LATE = timedelta(minutes=2)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. fix: empty when all is well."""

    about: str
    says: str
    fix: str = ""


@click.command()
@click.pass_obj
@told
def doctor(house: Installation) -> None:
    """Look at everything and say what is wrong and what to do."""
    findings = [*_database(house), *_broker(house), *_files(house)]
    for finding in findings:
        click.echo(f"{'ok  ' if not finding.fix else 'FAIL'} {finding.about:<22} {finding.says}")
        if finding.fix:
            click.echo(f"     -> {finding.fix}")
    wrong = sum(bool(finding.fix) for finding in findings)
    click.echo("Nothing is wrong." if not wrong else f"{wrong} things need you.")
    sys.exit(1 if wrong else 0)


def _database(house: Installation) -> Iterator[Finding]:
    try:
        with house.engine.connect() as connection:
            yield from _tables(connection)
            yield from _consumers(connection)
            yield from _messages(connection, house)
            yield from _outside(connection, house)
    except OperationalError as error:
        yield Finding("database", "does not answer", explain(error, house.settings.database_url))
    except ProgrammingError as error:
        yield Finding("database", str(error.orig).splitlines()[0], "run `trueup migrate`")


def _tables(connection: Connection) -> Iterator[Finding]:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    newest = ScriptDirectory.from_config(config).get_current_head()
    there = connection.scalar(text("SELECT version_num FROM public.alembic_version"))
    yield Finding(
        "tables", f"revision {there}", "" if there == newest else f"run `trueup migrate` (newest is {newest})"
    )


def _consumers(connection: Connection) -> Iterator[Finding]:
    for service in SERVICES:
        rows = connection.execute(
            text(
                f"""SELECT p.consumer, p.msp_id, h.position - p.position AS behind, p.stopped_reason
                    FROM {service}.positions p JOIN log.heads h USING (msp_id)
                    WHERE p.stopped_at IS NOT NULL OR h.position > p.position"""
            )
        ).all()
        for row in rows:
            if row.stopped_reason:
                fix = "install the release that knows this event, or report it; other MSPs go on"
                yield Finding(row.consumer, f"stopped for MSP {row.msp_id}: {row.stopped_reason}", fix)
        behind = sum(row.behind for row in rows if not row.stopped_reason)
        yield Finding(service, f"{behind} events behind" if behind else "has seen every event")


def _messages(connection: Connection, house: Installation) -> Iterator[Finding]:
    dead = connection.execute(
        text(
            "SELECT queue, count(*) AS n, max(cause) AS cause FROM queue.dead_letters WHERE returned_at IS NULL GROUP BY 1"
        )
    ).all()
    for row in dead:
        yield Finding(
            f"{row.queue}", f"{row.n} messages were given up: {row.cause}", "mend the cause; the sweep catches up"
        )
    if not dead:
        yield Finding("dead letters", "none")
    waiting = connection.execute(
        text(
            "SELECT count(*) AS n, min(put_at) AS oldest, max(refused_reason) AS reason FROM queue.outbox WHERE sent_at IS NULL"
        )
    ).one()
    late = waiting.n and house.clock.now() - waiting.oldest > LATE
    fix = (waiting.reason or "is the relay running (deploy.run_relay), and RabbitMQ?") if late else ""
    yield Finding("work on its way", f"{waiting.n} messages", fix)


# Where each service that talks to the outside keeps why it does so no more; a connection saved anew is tried again.
_STOPPED = {"poller": "stopped_reason", "psa_writer": "failure_message"}


def _outside(connection: Connection, house: Installation) -> Iterator[Finding]:
    for service, reason in _STOPPED.items():
        for row in connection.execute(
            text(
                f"""SELECT k.msp_id, k.connection_id, k.{reason} AS reason FROM {service}.connections k
                    JOIN setup.connections s USING (msp_id, connection_id) WHERE k.stopped_version = s.version"""
            )
        ):
            fix = f"set the right credentials: trueup connection set {row.msp_id} {row.connection_id} ..."
            yield Finding(f"{row.msp_id}/{row.connection_id}", f"stopped: {row.reason}", fix)
    for row in connection.execute(
        text("SELECT * FROM psa_writer.connections WHERE paused_until > :now"), {"now": house.clock.now()}
    ):
        says = f"posts pause until {row.paused_until:%H:%M:%S} UTC: {row.failure_message}"
        yield Finding(f"{row.msp_id}/{row.connection_id}", says)
    for row in connection.execute(
        text("SELECT name, until, reason FROM budget.pauses WHERE until > :now"), {"now": house.clock.now()}
    ):
        yield Finding(row.name, f"calls pause until {row.until:%H:%M:%S} UTC: {row.reason}")
    if not connection.scalar(text("SELECT count(*) FROM setup.msps")):
        yield Finding("MSPs", "none", "add one: trueup msp add --help")


def _broker(house: Installation) -> Iterator[Finding]:
    queues = [*(f"{service}.bells" for service in SERVICES if service != "poller"), *topology.WORK_QUEUES]
    try:
        with BrokerConnection(house.settings.rabbitmq_url, connect_timeout=5) as broker:
            for queue in queues:
                yield _queue(broker, queue)
    except (OSError, amqp.AMQPError, BrokerError) as error:
        yield Finding("RabbitMQ", f"cannot be reached: {error}", "is it running, and is TRUEUP_RABBITMQ_URL right?")


def _files(house: Installation) -> Iterator[Finding]:
    path = house.settings.breached_passwords
    if path:
        fault = Breached(path).fault()
        fix = "download it again, sorted by hash, and name it in TRUEUP_BREACHED_PASSWORDS" if fault else ""
        yield Finding("breached passwords", fault or path, fix)


def _queue(broker: BrokerConnection, queue: str) -> Finding:
    service = queue.partition(".")[0]
    try:
        found = broker.channel().queue_declare(queue, passive=True)
    except amqp.NotFound:
        return Finding(queue, "does not exist", f"start the {service}")
    fix = "" if found.consumer_count else f"no {service} is running: start one"
    return Finding(queue, f"{found.message_count} messages, {found.consumer_count} consumers", fix)
