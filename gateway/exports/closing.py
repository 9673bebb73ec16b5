"""GET /export/close.<csv|pdf>?msp=acme&context=autotask&period=2018-07 -> the month's record, or its checklist as of now.

context: the PSA connection. msp may be called mspId, as in GraphQL.
"""

import logging

import anyio
import anyio.to_thread
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from domain.keys import MspId
from gateway.closing import NO_SUCH_CONNECTION, Close
from gateway.door import Door
from gateway.errors import BadSetup, Refusal
from gateway.exports.asked import once, refused
from gateway.exports.close_csv import write_csv
from gateway.exports.close_pdf import write_pdf
from gateway.exports.close_sheet import sheet_of
from gateway.exports.serving import refused_answer, signed_in
from gateway.people.callers import Caller
from gateway.set_up import setup_msp
from plumbing.clock import Clock
from plumbing.logs import correlated
from plumbing.row_security import of_msp
from services.reporting.queries import Checklist, read_checklist

log = logging.getLogger(__name__)
AT_ONCE = 2
_FORMATS = {"csv": ("text/csv; charset=utf-8", write_csv), "pdf": ("application/pdf", write_pdf)}
_PARAMETERS = ("msp", "context", "period")


class CloseExports:
    """The exports of closes of one gateway process: small files, made whole before they are sent."""

    def __init__(self, engine: Engine, clock: Clock, door: Door) -> None:
        self._engine, self._clock, self._door = engine, clock, door
        self._threads = anyio.CapacityLimiter(AT_ONCE)

    async def answer(self, request: Request) -> Response:
        """The route's handler."""
        with correlated(None) as correlation_id:
            try:
                by = await signed_in(self._door, request)
                file, found, kind = await anyio.to_thread.run_sync(self._file, request, by, limiter=self._threads)
            except Exception as fault:  # noqa: BLE001 whatever it was, the answer tells no more than its id
                return refused_answer(fault, correlation_id)
            file_format = request.path_params["format"]
            name = f"trueup-close-{found.psa_connection_id}-{found.month}.{file_format}"
            log.info("exported", extra={"report": "close", "msp_id": found.msp_id, "file": name, "by": by.name})
            headers = {
                "content-disposition": f'attachment; filename="{name}"',
                "x-trueup-position": str(found.position),
                "x-correlation-id": correlation_id,
            }
            return Response(file, 200, headers, kind)

    def _file(self, request: Request, by: Caller) -> tuple[bytes, Checklist, str]:
        file_format = request.path_params["format"]
        if file_format not in _FORMATS:
            raise Refusal("NO_SUCH_REPORT", "There is no such file.", "It ends in .csv or .pdf.")
        kind, write = _FORMATS[file_format]
        close = _close(request)
        by.refuse("Query.closeChecklist", close.msp_id)
        with of_msp(self._engine, close.msp_id).connect() as connection:
            try:
                setup_msp(connection, close.msp_id)
            except BadSetup as error:
                said = f"There is no MSP {close.msp_id!r}."
                raise Refusal("NO_SUCH_MSP", said, "Add it with `trueup msp add`.") from error
            now = self._clock.now()
            found = read_checklist(connection, close.msp_id, close.psa_connection_id, close.month, now)
        if found is None:
            raise NO_SUCH_CONNECTION
        return write(sheet_of(found)), found, kind


def _close(request: Request) -> Close:
    given = once(("msp" if name == "mspId" else name, value) for name, value in request.query_params.multi_items())
    for name in given:
        if name not in _PARAMETERS:
            raise refused(name, "is not known to a close", f"There are {', '.join(_PARAMETERS)}.")
    for name in _PARAMETERS:
        if not given.get(name):
            raise refused(name, "is missing", "As in msp=acme&context=autotask&period=2018-07.")
    return Close.named(MspId(given["msp"]), given["context"], given["period"])
