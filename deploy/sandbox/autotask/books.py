"""Records by kind and id, changed in transactions: all of a transaction is kept, or none of it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from deploy.sandbox.autotask.records import FIRST_IDS, PARENTS, Record

R = TypeVar("R")
#: (kind, id) -> the record as it was, None when there was none.
Journal = dict[tuple[type, int], Record | None]


class Books:
    """All records of one database. Ids are handed out once: a rolled-back transaction leaves a gap, as an identity column does."""

    def __init__(self) -> None:
        self.next_ids = dict(FIRST_IDS)
        self.on_commit: Callable[[Iterable[tuple[type, int]]], None] = lambda _changed: None
        self._records: dict[type, dict[int, Any]] = {kind: {} for kind in FIRST_IDS}
        self._children: dict[tuple[type, int], dict[int, None]] = defaultdict(dict)
        self._journal: Journal | None = None

    def get(self, kind: type[R], record_id: int) -> R | None:
        """The record of this id, or None."""
        return self._records[kind].get(record_id)

    def all(self, kind: type[R]) -> list[R]:
        """All records of a kind in the order of their ids."""
        return [record for _, record in sorted(self._records[kind].items())]

    def children(self, kind: type[R], parent_id: int) -> list[R]:
        """The records of a kind that belong to this parent (see PARENTS), in the order of their ids."""
        records = self._records[kind]
        return [records[each] for each in sorted(self._children.get((kind, parent_id), ()))]

    def new_id(self, kind: type) -> int:
        """The next id of a kind."""
        self.next_ids[kind] += 1
        return self.next_ids[kind] - 1

    def put(self, record: Record) -> None:
        """Keep this record in place of the one with its id."""
        kind = type(record)
        self._remember(kind, record.id)
        self._place(kind, record.id, record)
        self.next_ids[kind] = max(self.next_ids[kind], record.id + 1)

    def drop(self, record: Record) -> None:
        """Forget this record."""
        self._remember(type(record), record.id)
        self._place(type(record), record.id, None)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Changes inside are kept together at the end, or undone together when the block raises; inner blocks join."""
        if self._journal is not None:
            yield
            return
        self._journal = {}
        try:
            yield
        except BaseException:
            for (kind, record_id), before in self._journal.items():
                self._place(kind, record_id, before)
            self._journal = None
            raise
        changed, self._journal = self._journal, None
        if changed:
            self.on_commit(changed)

    def _remember(self, kind: type, record_id: int) -> None:
        if self._journal is None:
            raise RuntimeError("records change inside a transaction only")
        self._journal.setdefault((kind, record_id), self._records[kind].get(record_id))

    def _place(self, kind: type, record_id: int, record: Record | None) -> None:
        before = self._records[kind].pop(record_id, None)
        parent = PARENTS.get(kind)
        if parent and before is not None:
            self._children[kind, getattr(before, parent)].pop(record_id, None)
        if record is None:
            return
        self._records[kind][record_id] = record
        if parent:
            self._children[kind, getattr(record, parent)][record_id] = None
