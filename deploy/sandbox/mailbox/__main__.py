"""Command line -> a sandbox mail server and its page, until it is stopped."""

import signal
import threading
from contextlib import ExitStack

import click

from deploy.sandbox.mailbox.box import Box
from deploy.sandbox.mailbox.page import mailbox_app
from deploy.sandbox.serving import serving


@click.command(help="Serve a stand-in mail server that delivers to nobody. A page that shows the mails stands at /.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8092, show_default=True, help="Port of the page; 0 takes a free one.")
@click.option("--smtp-port", default=8025, show_default=True, help="Port of the mail server.")
def main(host: str, port: int, smtp_port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    box, stopped = Box(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as running:
        try:
            running.enter_context(box.taking(host, smtp_port))
            address = running.enter_context(serving(mailbox_app(box), host, port))
        except OSError as problem:
            raise click.ClickException(f"cannot listen on {host} ({problem.strerror}); choose other ports") from None
        click.echo(f"Sandbox mailbox at {address}/, mail server at {host}:{smtp_port}")
        stopped.wait()


if __name__ == "__main__":
    main()
