"""A browser that goes to the installation's OpenID provider and comes back -> signed in, and on the page that it wanted.

These are pages, not GraphQL: the provider sends browsers here by a link. What goes wrong is shown by the page of the sign-in, which
finds the code of the refusal in `refused`; whom the provider named, and why it was refused, stands in the log alone.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

import anyio
import anyio.to_thread
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.door import DEVICE_COOKIE, LONGEST_COOKIE, PROVIDER_COOKIE, SESSION_COOKIE, Door, Visit, unauthenticated
from gateway.errors import Refusal
from gateway.people import single_sign_on, tries
from gateway.people.provider import Provider, not_believed
from gateway.people.single_sign_on import ProviderVisit, challenge_of, path_of, word_of
from gateway.post import Post
from plumbing.clock import Clock
from plumbing.logs import correlated

log = logging.getLogger(__name__)
SIGN_IN_PAGE = "/sign-in"
# Who waits for the provider holds up nobody else.
AT_ONCE = 4


@dataclass(frozen=True)
class SingleSignOn:
    """The two pages of an installation with a provider."""

    engine: Engine
    clock: Clock
    door: Door
    provider: Provider
    post: Post
    _threads: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(AT_ONCE))

    async def begin(self, request: Request) -> Response:
        """GET /sign-in/oidc?next=/path&prove=true: on to the provider. prove: whoever is signed in shows once more who it is."""
        return await self._answered(self._begun, request)

    async def come_back(self, request: Request) -> Response:
        """GET /sign-in/oidc/callback?code=&state=: back from it."""
        return await self._answered(self._come_back, request)

    async def _answered(self, act: Callable[[Request, Visit], str], request: Request) -> Response:
        visit = Visit()
        with correlated(None) as correlation_id:
            try:
                leads_to = await anyio.to_thread.run_sync(act, request, visit, limiter=self._threads)
            except Refusal as refusal:
                leads_to = f"{SIGN_IN_PAGE}?{urlencode({'refused': refusal.code})}"
            except Exception:
                log.exception("single sign-on failed")
                leads_to = f"{SIGN_IN_PAGE}?{urlencode({'refused': 'INTERNAL'})}"
            response = RedirectResponse(leads_to, 303, {"x-correlation-id": correlation_id})
        for name, value in visit.set_cookie_headers():
            response.headers.append(name, value)
        return response

    def _begun(self, request: Request, answer: Visit) -> str:
        caller = self.door.visit(request, reads=True).caller
        proves = request.query_params.get("prove") == "true"
        if proves and (not caller.is_user or caller.must_change):
            raise unauthenticated()
        visit = ProviderVisit(path_of(request.query_params.get("next", "")), caller.session, proves, self.clock.now())
        with self.engine.begin() as connection:
            token = single_sign_on.begin(connection, visit)
        answer.new_cookies[PROVIDER_COOKIE] = token
        challenge = challenge_of(word_of(token, "verifier"))
        return self.provider.address(word_of(token, "state"), word_of(token, "nonce"), challenge, again=proves)

    def _come_back(self, request: Request, answer: Visit) -> str:
        given = request.query_params
        token = request.cookies.get(PROVIDER_COOKIE, "")[:LONGEST_COOKIE]
        coming = self.door.visit(request, reads=True)
        answer.new_cookies[PROVIDER_COOKIE] = ""
        counted = tries.provider_buckets(coming.place.address)
        with self.engine.begin() as connection:
            visit = single_sign_on.come_back(connection, token, given.get("state", ""), self.clock.now())
            if visit is None:
                raise single_sign_on.too_late()
            wait = tries.pause(connection, counted, self.clock.now())
        tries.refuse_waiting(wait)
        # RFC 9207: a provider that names itself must be ours.
        if "code" not in given or given.get("iss", self.provider.issuer) != self.provider.issuer:
            raise not_believed(f"the provider sent no code: {given.get('error', '')[:100]!r}")
        identity = self.provider.identity(given["code"], word_of(token, "verifier"), word_of(token, "nonce"))
        if visit.proves:
            newly_linked = single_sign_on.prove(self.engine, self.clock, identity, visit)
        else:
            entered = single_sign_on.enter(self.engine, self.clock, identity, visit, coming.place, coming.device)
            answer.new_cookies |= {SESSION_COOKIE: entered.session, DEVICE_COOKIE: entered.device}
            newly_linked = entered.newly_linked
        with self.engine.begin() as connection:
            tries.take_back(connection, counted, self.clock.now())
        if newly_linked:
            body = LINKED.format(label=self.provider.label)
            self.post.send_if_set_up(newly_linked, "You can sign in to Trueup by single sign-on", body)
        return visit.next


LINKED = """From now on {label} opens Trueup to you as well: somebody signed in there with your e-mail, or while signed in as you.

If it was not you: tell an admin of your MSP, and who runs this installation of Trueup, at once.
"""
