"""A box of mails -> a plain HTML page that shows them, and the same as JSON for programs."""

from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from deploy.sandbox.mailbox.box import Box, Taken

_SAFE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2733; background: #f6f7f9; margin: 0 auto; }
body { max-width: 60rem; padding: 1rem; }
article { background: #fff; border: 1px solid #d9dee5; margin: 1rem 0; padding: .5rem 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: .2rem 0; } p { color: #4b5866; margin: .2rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
"""


def mailbox_app(box: Box) -> Starlette:
    """The page at /, the mails at /mails."""

    async def show(_request: Request) -> Response:
        mails = "".join(_article(taken) for taken in box.newest()) or "<p>No mail has come yet.</p>"
        head = f"<!doctype html><html lang=en><title>Sandbox mailbox</title><style>{_STYLE}</style>"
        return HTMLResponse(f"{head}<h1>Sandbox mailbox</h1><p>Nothing leaves this machine.</p>{mails}", headers=_SAFE)

    async def mails(_request: Request) -> Response:
        return JSONResponse([_told(taken) for taken in box.newest()])

    return Starlette(routes=[Route("/", show), Route("/mails", mails)])


def _article(taken: Taken) -> str:
    told = {name: escape(value) for name, value in _told(taken).items()}
    return (
        f"<article><h2>{told['subject']}</h2><p>to {told['to']} from {told['from']}, {told['taken_at']}</p>"
        f"<pre>{told['text']}</pre></article>"
    )


def _told(taken: Taken) -> dict[str, str]:
    return {
        "taken_at": f"{taken.taken_at:%Y-%m-%d %H:%M:%S} UTC",
        "to": ", ".join(taken.to),
        "from": str(taken.mail["From"]),
        "subject": str(taken.mail["Subject"]),
        "id": str(taken.mail["Message-ID"]),
        "text": taken.text,
    }
