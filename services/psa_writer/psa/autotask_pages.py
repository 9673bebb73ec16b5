"""(entity, conditions) -> all records for which they hold, page by page: every page whole and in order, or a failure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from services.psa_writer.psa import autotask_errors as errors
from services.psa_writer.psa.autotask_door import Door
from services.psa_writer.psa.autotask_query import BEFORE_ALL_IDS, MOST_VALUES, PAGE_ROWS, Condition, one_of, query_xml
from services.psa_writer.psa.autotask_replies import REFUSED, SUCCESS, BadReply, Entity, read_reply
from services.psa_writer.psa.autotask_requests import Requests

T = TypeVar("T")


@dataclass(frozen=True)
class Pages:
    """Queries through one door."""

    door: Door
    requests: Requests

    def all(
        self, entity: str, read: Callable[[Entity], T], conditions: Sequence[Condition], most: int | None = None
    ) -> Iterator[list[T]]:
        """All records of the entity under the conditions, in the order of their ids, each as `read` makes of it.

        most: how many there can be, where that is known; it saves the call that would find no more. Raises PsaFailure.
        """
        last_id, seen = BEFORE_ALL_IDS, 0
        while True:
            page = self._page(entity, conditions, last_id, read)
            if page:
                yield [record for _, record in page]
                last_id = page[-1][0]
            seen += len(page)
            if len(page) < PAGE_ROWS or seen == most:
                return

    def having(
        self,
        entity: str,
        read: Callable[[Entity], T],
        field: str,
        values: Sequence[str],
        conditions: Sequence[Condition] = (),
    ) -> Iterator[list[T]]:
        """As all(), of the records whose field has one of the values (ids); many values go out 500 at a time."""
        wanted = sorted({int(value) for value in values})
        for start in range(0, len(wanted), MOST_VALUES):
            batch = [str(value) for value in wanted[start : start + MOST_VALUES]]
            most = len(batch) if field == "id" else None
            yield from self.all(entity, read, [one_of(field, batch), *conditions], most)

    def _page(
        self, entity: str, conditions: Sequence[Condition], last_id: int, read: Callable[[Entity], T]
    ) -> list[tuple[int, T]]:
        request = self.requests.query(entity, query_xml(entity, conditions, last_id))
        return self.door.read(
            request, lambda body: [(each.entity_id, read(each)) for each in _entities(body, entity, last_id)]
        )


def _entities(body: bytes, entity: str, last_id: int) -> tuple[Entity, ...]:
    """The records of one page, checked to be what was asked for; a list that is missing is not an empty one."""
    reply = read_reply(body, "query", repair=True)
    if reply.return_code == REFUSED:
        raise errors.failure(reply.errors)
    if reply.return_code != SUCCESS or reply.errors or reply.entities is None:
        raise BadReply(f"code {reply.return_code} with {len(reply.errors)} errors and no list of records")
    foreign = {each.kind for each in reply.entities} - {entity}
    if foreign or reply.entity_kind.lower() not in {"", entity.lower()}:
        raise BadReply(f"it lists {', '.join(sorted(foreign)) or reply.entity_kind}")
    ids = [last_id, *(each.entity_id for each in reply.entities)]
    if any(later <= earlier for earlier, later in pairwise(ids)):
        raise BadReply(f"its ids do not rise from {last_id}, so that records may be missing")
    return reply.entities
