"""(a password) -> whether it stands in the operator's file of breached ones (OWASP ASVS 5.0 6.2.12).

The file is the public download's: a line a password, HASH or HASH:COUNT, HASH the SHA-1 in hexadecimal, sorted by it. It is looked
up where it lies, by halving, with some forty small reads; it is not mapped: a map of a file that is cut short ends the process.
"""

import os
import re
from dataclasses import dataclass
from hashlib import sha1

_LINE = re.compile(rb"[0-9A-Fa-f]{40}(:[0-9]{1,20})?\r?\n?")
_DIGITS, _LONGEST, _LOOKED_AT = 40, 64, 1000


@dataclass(frozen=True)
class Breached:
    """The file at a path; "": there is none, and nothing stands in it."""

    path: str

    def has(self, password: str) -> bool:
        """Whether the password was breached. OSError, ValueError when the file is not what it should be."""
        if not self.path:
            return False
        wanted = sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        with _Lines(self.path) as lines:
            low, high = 0, lines.size
            while low < high:
                start, line = lines.around((low + high) // 2)
                found = line[:_DIGITS].upper()
                if found == wanted:
                    return True
                low, high = (start + len(line), high) if found < wanted else (low, start)
        return False

    def fault(self) -> str:
        """What is wrong with the file, by a look at a thousand places of it; "" when nothing is."""
        if not self.path:
            return ""
        try:
            with _Lines(self.path) as lines:
                if not lines.size:
                    return f"{self.path} is empty"
                before = b""
                for number in range(_LOOKED_AT):
                    _, line = lines.around(lines.size * number // _LOOKED_AT)
                    if line[:_DIGITS].upper() < before:
                        return f"{self.path} is not sorted by its hashes"
                    before = line[:_DIGITS].upper()
        except OSError as error:
            return f"{self.path} cannot be read: {error.strerror}"
        except ValueError as error:
            return str(error)
        return ""


class _Lines:
    """The lines of a file, found by any byte of them."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> "_Lines":
        self._file = os.open(self._path, os.O_RDONLY)
        self.size = os.fstat(self._file).st_size
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def around(self, offset: int) -> tuple[int, bytes]:
        """Where the line begins that holds this byte, and the line with its end. ValueError."""
        begun = max(0, offset - _LONGEST)
        part = os.pread(self._file, 2 * _LONGEST, begun)
        start = part.rfind(b"\n", 0, offset - begun) + 1
        end = part.find(b"\n", offset - begun) + 1
        line = part[start : end or len(part)]
        if not _LINE.fullmatch(line):
            raise ValueError(f"{self._path} holds a line that is not HASH or HASH:COUNT (SHA-1 in hexadecimal)")
        return begun + start, line
