"""What pip-audit answers -> what `make audit` says of it: advisories fail, silence is called by its name."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.audit import judged

ROOT = Path(__file__).parents[2]
CLEAN = {"name": "a", "version": "1", "vulns": []}
FLAWED = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found and could not be audited: c (3)"}


@pytest.mark.parametrize(
    ("packages", "status", "words"),
    [
        ([CLEAN], 0, ["1 packages checked, 0 advisories"]),
        ([CLEAN, FLAWED], 1, ["b 2: PYSEC-1, mended in 2.1", "2 packages checked, 1 advisories"]),
        ([CLEAN, UNKNOWN], 0, ["1 packages checked", "NOT CHECKED", "c (3)"]),
        ([FLAWED, UNKNOWN], 1, ["PYSEC-1", "NOT CHECKED"]),
    ],
)
def test_advisories_fail_and_what_nobody_knows_is_said(
    packages: list[dict[str, Any]], status: int, words: list[str]
) -> None:
    lines, judgement = judged(json.dumps({"dependencies": packages}), "")

    assert judgement == status
    assert all(word in "\n".join(lines) for word in words), lines


def test_a_fault_that_is_not_of_the_network_fails() -> None:
    lines, status = judged("", "ERROR:pip_audit._cli:requirement a is missing a hash")

    assert (lines, status) == (["ERROR:pip_audit._cli:requirement a is missing a hash"], 1)


def test_without_a_way_out_it_says_that_nothing_was_checked(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"a==1 --hash=sha256:{'0' * 64}\n", "utf-8")
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:1")

    ended = subprocess.run(
        [sys.executable, "-m", "deploy.audit", str(lock)],
        cwd=ROOT,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.startswith("NOT CHECKED")
