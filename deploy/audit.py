"""`python -m deploy.audit <lock>`: a lock of packages -> the advisories that are known of them, or that nobody could be asked.

Only advisories are a failure. Where they cannot be read, as on a machine without a way out, that is said and is none: but it is
never called "no advisories", which pip-audit itself does for packages that it was told nothing of.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

_UNREACHED = ("requests.exceptions.", "Could not connect", "Connection")


def main(arguments: list[str]) -> int:
    """Prints what is known; answers 1 when there are advisories."""
    (lock,) = arguments
    options = ["--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json"]
    ended = subprocess.run(
        [sys.executable, "-m", "pip_audit", *options, "-r", lock], capture_output=True, text=True, check=False
    )
    lines, status = judged(ended.stdout, ended.stderr)
    print("\n".join(lines))
    return status


def judged(output: str, errors: str) -> tuple[list[str], int]:
    """What to print of pip-audit's answer, and the exit status."""
    try:
        packages = json.loads(output)["dependencies"]
    except ValueError:
        last = errors.strip().rpartition("\n")[2]
        if any(word in last for word in _UNREACHED):
            return [f"NOT CHECKED: advisories cannot be reached from here ({last[:200]})"], 0
        return [errors.strip()], 1
    unknown = [each["skip_reason"] for each in packages if "skip_reason" in each]
    found = list(_advisories(packages))
    lines = [*found, f"{len(packages) - len(unknown)} packages checked, {len(found)} advisories"]
    if unknown:
        lines.append(f"NOT CHECKED: nothing could be read of {len(unknown)} packages, as of the first: {unknown[0]}")
    return lines, 1 if found else 0


def _advisories(packages: list[dict[str, Any]]) -> Iterator[str]:
    for each in packages:
        for one in each.get("vulns", ()):
            mended = ", ".join(one["fix_versions"]) or "no version yet"
            yield f"{each['name']} {each['version']}: {one['id']}, mended in {mended}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
