"""`trueup export`: the same file as over HTTP, whole or not at all, and one line that says what to do when it cannot."""

from pathlib import Path

import pytest

from domain.keys import MspId
from tests.deploy.test_cli import Run, command, said
from tests.gateway.serving import NOWHERE, Answering
from tests.gateway.test_exports_http import get

pytestmark = pytest.mark.postgres


@pytest.fixture
def trueup(database: str, told: MspId) -> Run:
    return command({"TRUEUP_DATABASE_URL": database, "TRUEUP_RABBITMQ_URL": NOWHERE})


def test_the_command_writes_what_http_answers(trueup: Run, own: Answering, tmp_path: Path) -> None:
    out = tmp_path / "changes.csv"
    asked = [
        "--filter",
        "unitChange=lt:0",
        "--sort",
        "-unitChange",
        "--cols",
        "unitChange,companyName",
        "--from",
        "2026-03-01",
    ]

    outcome = trueup("export", "adjustments", "--msp", "acme", *asked, "--out", str(out))

    over_http = get(
        own, "adjustments.csv?msp=acme&f.unitChange=lt:0&sort=-unitChange&cols=unitChange,companyName&from=2026-03-01"
    )
    assert said(outcome) == f"{out} written, as of position 9.\n"
    assert out.read_bytes() == over_http.content
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nothing", "--msp", "acme"], "unlinked"),
        (["unlinked", "--msp", "nobody"], "trueup msp add"),
        (["unlinked"], "msp"),
        (["unlinked", "--msp", "acme", "--filter", "count=lots"], "f.count"),
        (["unlinked", "--msp", "acme", "--filter", "count"], "COLUMN=VALUE"),
        (["adjustments", "--msp", "acme", "--filter", "unitChange=99999999999"], "filter"),
        (["unlinked", "--msp", "acme", "--as-of", "4"], "RabbitMQ"),
    ],
)
def test_what_cannot_be_exported_is_told_and_leaves_no_file(
    trueup: Run, tmp_path: Path, arguments: list[str], word: str
) -> None:
    outcome = trueup("export", *arguments, "--out", str(tmp_path / "file.csv"))

    assert outcome.returncode != 0
    assert word in said(outcome)
    assert "Traceback" not in said(outcome)
    assert not list(tmp_path.iterdir())
