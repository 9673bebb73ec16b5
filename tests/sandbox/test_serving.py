"""The sandboxes' HTTP server: answers that break as lines do, and an end that waits for nobody."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from deploy.sandbox.serving import CutOff, Hang, Trickle, serving
from tests.waiting import wait_for

BROKEN_LINE = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
WHOLE = {"text": "x" * 500}


def app_answering(answer, arrived=None):
    async def endpoint(request):
        if arrived is not None:
            arrived.append(request.url.path)
        return answer

    return Starlette(routes=[Route("/", endpoint)])


def test_an_app_is_served_until_the_block_ends_and_its_port_is_free_at_once():
    app = app_answering(JSONResponse(WHOLE))
    with serving(app) as address:
        assert requests.get(address, timeout=5).json() == WHOLE

    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)
    with serving(app, port=int(address.rsplit(":", 1)[1])) as again:
        assert again == address
        assert requests.get(again, timeout=5).status_code == 200


def test_a_port_that_is_taken_is_an_error_at_once():
    app = app_answering(JSONResponse({}))
    with serving(app) as address, pytest.raises(OSError, match="in use"), serving(app, port=int(address[17:])):
        pass


@pytest.mark.parametrize("reset", [False, True])
def test_an_answer_can_end_after_so_many_bytes(reset):
    with serving(app_answering(CutOff(JSONResponse(WHOLE), after_bytes=40, reset=reset))) as address:
        answer = requests.get(address, timeout=5, stream=True)
        assert answer.headers["Content-Length"] == "511"
        with pytest.raises(BROKEN_LINE) as error:
            answer.content  # noqa: B018
        assert ("reset by peer" in str(error.value)) == reset
        answer.close()


@pytest.mark.parametrize(("reset", "words"), [(False, "without response"), (True, "reset by peer")])
def test_a_line_can_end_before_any_answer(reset, words):
    with serving(app_answering(CutOff(reset=reset))) as address, pytest.raises(requests.ConnectionError, match=words):
        requests.get(address, timeout=5)


def test_a_slow_answer_is_whole_in_the_end():
    slow = Hang(0.05, Trickle(JSONResponse(WHOLE), bytes_at_once=100, every=0.01))
    with serving(app_answering(slow)) as address:
        assert requests.get(address, timeout=5).json() == WHOLE


def test_the_end_cuts_off_a_call_that_hangs():
    arrived = []
    with ThreadPoolExecutor(1) as thread:
        with serving(app_answering(Hang(300), arrived)) as address:
            call = thread.submit(requests.get, address, timeout=60)
            wait_for(lambda: arrived, what="the call")
        with pytest.raises(requests.ConnectionError):
            call.result(timeout=10)


def test_a_server_that_fails_to_answer_says_500_and_goes_on():
    async def endpoint(request):
        raise KeyError("a mistake in the app")

    with serving(Starlette(routes=[Route("/", endpoint)])) as address:
        assert [requests.get(address, timeout=5).status_code for _ in range(2)] == [500, 500]
