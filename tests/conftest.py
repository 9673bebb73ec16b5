"""What every test may ask for: servers, databases and vhosts by the name of a fixture; marks follow from what it asks for."""

import pytest

from tests.servers import (
    begin_run,
    database,
    empty_database,
    end_run,
    migrated_template,
    own_folder,
    own_postgres,
    own_rabbitmq,
    postgres,
    rabbitmq,
    vhost,
)

__all__ = [
    "database",
    "empty_database",
    "migrated_template",
    "own_folder",
    "own_postgres",
    "own_rabbitmq",
    "postgres",
    "rabbitmq",
    "vhost",
]


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        begin_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        end_run()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        if asked & {"postgres", "own_postgres"}:
            item.add_marker("postgres")
        if asked & {"rabbitmq", "own_rabbitmq"}:
            item.add_marker("rabbitmq")
