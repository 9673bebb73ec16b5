"""What a server echoes is told without the secrets, in whatever form it echoes them."""

import base64
import json
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest

from plumbing.hiding import Hiding

SECRET = 'p\u00e4ss<&"word+ /='


@pytest.mark.parametrize(
    "echoed",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        escape(SECRET),
        repr(SECRET.encode())[2:-1],
        base64.b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
    ],
)
def test_a_secret_is_hidden_in_every_form(echoed: str) -> None:
    hiding = Hiding([SECRET])
    assert hiding.text(f"user:{echoed}, again {echoed}") == "user:***, again ***"
    assert hiding.bytes(f"[{echoed}]".encode()) == b"[***]"


def test_what_is_no_secret_stays_as_it_is() -> None:
    assert Hiding([SECRET, "", "short"]).text("a short word \u2713 \ud800") == "a short word \u2713 \ud800"
