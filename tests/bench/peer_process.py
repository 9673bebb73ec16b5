"""A database's URL -> events a second of the library eventsourcing's projection runner on it: the child that is our peer."""

import json
import sys
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL

RESOURCES = 400


class Resource(Aggregate):
    """A resource and its count."""

    @event("Discovered")
    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count

    @event("CountChanged")
    def change_count(self, previous: int, count: int) -> None:
        """ODIN has counted otherwise."""
        self.count = count


class Counts(PostgresTrackingRecorder):
    """The newest count of each resource, as rows."""

    def __init__(self, datastore: Any, **given: Any) -> None:
        super().__init__(datastore, **given)
        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS public.peer_counts (resource uuid PRIMARY KEY, count int)")
        )

    def set_count(self, resource: Any, count: int, tracking: Tracking) -> None:
        """Row and position in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                """INSERT INTO public.peer_counts VALUES (%s, %s)
                   ON CONFLICT (resource) DO UPDATE SET count = excluded.count""",
                (resource, count),
                prepare=True,
            )


class CountsProjection(Projection[Counts]):
    """Every event is a count."""

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Takes the count over."""
        self.view.set_count(domain_event.originator_id, domain_event.count, tracking)


def main(url: str, how_many: int, longest: float) -> None:
    """Saves so many events, then says how many a second the runner has folded, in so many seconds at most."""
    parts = urlsplit(url)
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path[1:],
        "POSTGRES_HOST": parts.hostname,
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": parts.username,
        "POSTGRES_PASSWORD": parts.password,
    }
    application = Application(env=env)
    for number in range(RESOURCES):
        resource = Resource(f"Resource {number}", 1)
        for count in range(1, how_many // RESOURCES):
            resource.change_count(count, count + 1)
        application.save(resource)
    begun = time.perf_counter()
    with ProjectionRunner(
        application_class=Application, projection_class=CountsProjection, view_class=Counts, env=env
    ) as runner:
        # Notifications are counted from 1 and without gaps here: nobody else has written.
        with suppress(TimeoutError):
            runner.wait(how_many, timeout=longest)
        folded = runner.view.max_tracking_id(application.name) or 0
        seconds = time.perf_counter() - begun
    print(json.dumps({"rate": folded / seconds}), flush=True)
    application.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
