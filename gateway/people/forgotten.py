"""(an e-mail) -> a mail with a reset link, when it is that of a user; whoever asks learns nothing either way."""

from functools import partial

from sqlalchemy import Engine, text

from gateway.people import links, tries
from gateway.people.sign_in import LONGEST_EMAIL, address_of
from gateway.post import Post
from plumbing.clock import Clock


def send_reset(engine: Engine, clock: Clock, post: Post, email: str, address: str) -> None:
    """At most 5 mails a user and 30 wishes an address in a quarter of an hour; above that nothing is sent, and nothing said.
    Whether there is such a user is looked up beside the answer, which therefore takes as long for everybody."""
    account = address_of(email)[: LONGEST_EMAIL + 1]
    with engine.begin() as connection:
        wait = tries.pause(connection, tries.reset_buckets(account, address), clock.now())
    if not wait and post.is_set_up:
        post.beside(partial(_send, engine, clock, post, account))


def _send(engine: Engine, clock: Clock, post: Post, account: str) -> None:
    with engine.begin() as connection:
        user = connection.execute(
            text("SELECT user_id, email, name FROM people.users WHERE email = :email"), {"email": account}
        ).first()
        if user is None:
            return
        token = links.new_link(connection, user.user_id, links.RESET_LASTS, clock.now())
    post.deliver(
        user.email, "Choose a new Trueup password", BODY.format(name=user.name, link=post.link("reset-password", token))
    )


BODY = """Hello {name},

somebody, probably you, asked for a new password for Trueup. Choose it within 30 minutes at

{link}

The link works once. If it was not you, do nothing: your password stays as it is.
"""
