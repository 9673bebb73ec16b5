"""The tables of ways to break Trueup -> each row that is answered so far has at least one test named after it."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ROWS = [
    *(f"e{n}" for n in range(1, 10)),
    *(f"m{n}" for n in range(1, 15)),
    *(f"o{n}" for n in range(1, 14)),
    *(f"l{n}" for n in range(1, 6)),
    *(f"a{n}" for n in range(1, 15)),
    *(f"g{n}" for n in range(1, 10)),
]
NAMES = re.findall(r"def test_([eamolg]\d+)_", "\n".join(path.read_text() for path in TESTS.rglob("test_*.py")))


@pytest.mark.parametrize("row", ROWS)
def test_each_row_has_a_test_named_after_it(row: str) -> None:
    assert row in NAMES
