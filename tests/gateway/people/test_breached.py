"""A file of breached passwords, as the public download has it: looked up by halving, and told when it is not one."""

import subprocess
import sys
from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway.people import links
from gateway.people.breached import Breached
from gateway.people.permissions import Role
from plumbing.clock import Clock
from tests.gateway.browser import PASSWORD, Browser, add_user
from tests.gateway.people.conftest import ADA, Shared
from tests.gateway.people.test_signing_in import CHANGE, RESET
from tests.gateway.serving import environment, gateway

TAKEN = "nine lively purple walruses"

WORDS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=60, unique=True)


def hash_of(password: str) -> str:
    return sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


def lines(words: list[str], counts: list[int] | None = None, ending: str = "\r\n") -> str:
    counted = [f":{counts[n % len(counts)]}" if counts else "" for n in range(len(words))]
    return ending.join(
        hash_of(word) + count for word, count in sorted(zip(words, counted, strict=True), key=lambda p: hash_of(p[0]))
    )


@given(
    words=WORDS,
    others=WORDS,
    counts=st.lists(st.integers(0, 10**9), max_size=5),
    ending=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    small=st.booleans(),
)
def test_what_stands_in_the_file_is_found_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    words: list[str],
    others: list[str],
    counts: list[int],
    ending: str,
    last: bool,
    small: bool,
) -> None:
    path = tmp_path_factory.mktemp("breached") / "hashes.txt"
    told = lines(words, counts or None, ending) + (ending if last else "")
    path.write_text(told.lower() if small else told, newline="")
    breached = Breached(str(path))

    assert breached.fault() == ""
    assert all(breached.has(word) for word in words)
    assert not any(breached.has(word) for word in others if word not in words)


def test_without_a_file_nothing_was_breached() -> None:
    assert not Breached("").has("password")
    assert Breached("").fault() == ""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"password\n123456\n", "holds a line that is not HASH"),
        (b"0" * 200, "holds a line that is not HASH"),
        (b"\n".join([b"F" * 40, b"0" * 40]), "is not sorted"),
        (b"A" * 40 + b":3\n\n" + b"B" * 40 + b":3\n", "holds a line that is not HASH"),
    ],
    ids=["missing", "empty", "plain", "endless", "unsorted", "empty line"],
)
def test_a_file_that_cannot_be_looked_up_is_told(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "hashes.txt"
    if content is not None:
        path.write_bytes(content)

    assert says in Breached(str(path)).fault()
    assert str(path) in Breached(str(path)).fault()


@pytest.mark.postgres
def test_a_breached_password_is_chosen_by_nobody_and_a_gateway_with_a_bad_file_does_not_start(
    engine: Engine, told: MspId, shared: Shared, tmp_path: Path
) -> None:
    # given
    path = tmp_path / "hashes.txt"
    path.write_text(lines([TAKEN, *map(str, range(1000))], [3]))
    add_user(engine, told, ADA, Role.ADMIN)
    with engine.begin() as connection:
        user_id = connection.scalar(text("SELECT user_id FROM people.users"))
        token = links.new_link(connection, user_id, links.RESET_LASTS, Clock().now())

    # when
    with gateway(shared.database, BREACHED_PASSWORDS=str(path)) as answering:
        ada = Browser(answering.url)
        ada.sign_in(ADA)

        # then
        for refused in (ada.refusal(CHANGE, current=PASSWORD, new=TAKEN), ada.refusal(RESET, token=token, new=TAKEN)):
            assert (refused["code"], "breached" in refused["message"]) == ("WEAK_PASSWORD", True)
        ada.data(CHANGE, current=PASSWORD, new=f"{TAKEN} more")

    path.write_text("password\n")
    started = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "gateway"],
        env=environment(shared.database, BREACHED_PASSWORDS=str(path)),
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 2
    assert (
        started.stderr
        == f"TRUEUP_BREACHED_PASSWORDS: {path} holds a line that is not HASH or HASH:COUNT (SHA-1 in hexadecimal)\n"
    )
