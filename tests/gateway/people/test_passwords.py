"""Hashing a password takes 64 MB: strangers who try many at once get two of them, and no more of the machine."""

import subprocess
import sys

HASHES = """
import resource
from concurrent.futures import ThreadPoolExecutor
from gateway.people.passwords import hashed, is_right

kept = hashed("four tall unusual giraffes")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ThreadPoolExecutor(12) as pool:
    assert not any(pool.map(lambda n: is_right(f"guess {n}", kept), range(36)))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_however_many_are_tried_at_once_the_memory_is_that_of_two() -> None:
    # In a process of its own: what it took at most is asked for the whole of its life.
    grown = subprocess.run([sys.executable, "-c", HASHES], capture_output=True, text=True, timeout=120, check=True)

    # One of the two is counted before.
    assert int(grown.stdout) < 100
