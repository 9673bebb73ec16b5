"""Signing in and out, one's own password and sessions -> GraphQL. A session stands in a cookie, not in an answer."""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.door import DEVICE_COOKIE, HALF_COOKIE, SESSION_COOKIE
from gateway.errors import Refusal
from gateway.people import sessions
from gateway.people.forgotten import send_reset
from gateway.people.links import choose_password
from gateway.people.own_password import change_password
from gateway.people.permissions import PERMISSIONS, Role
from gateway.people.profile import profile_of
from gateway.people.sign_in import HalfSignedIn, SignedIn, sign_in, sign_in_with_code
from gateway.people.single_sign_on import BEGIN
from gateway.schema.context import Context
from gateway.schema.making import made_type, many
from gateway.schema.roles import RoleName
from gateway.schema.scalars import DateTime
from plumbing import setup


class SingleSignOnOption(graphene.ObjectType):
    """The provider at which people of this installation may sign in."""

    label = graphene.String(required=True, description="What people know it by.")
    url = graphene.String(
        required=True, description="Where the button leads; ?next=/path names the page that is wanted afterwards."
    )
    prove_url = graphene.String(
        required=True,
        description="Where who is signed in shows once more who it is, or adds single sign-on to its user; &next=/path as well.",
    )


class SignInOptions(graphene.ObjectType):
    """What the page of the sign-in offers."""

    mail = graphene.Boolean(required=True, description="Whether a reset link can be sent by mail.")
    oidc = graphene.Field(SingleSignOnOption, description="Single sign-on; null: this installation has none.")


Membership = made_type(
    "Membership",
    "One MSP of yours.",
    {
        "msp_id": graphene.String(required=True, description="Its id."),
        "name": graphene.String(required=True, description="What it is called."),
        "time_zone": graphene.String(required=True, description="Its days are days in this time zone."),
        "role": graphene.Field(RoleName, required=True, description="What you are for it."),
        "permissions": graphene.Field(
            many(graphene.String), description="The root fields that you may ask for, such as Mutation.setRelations."
        ),
    },
)
Me = made_type(
    "Me",
    "Who is signed in.",
    {
        "name": graphene.String(required=True, description="What you are called."),
        "email": graphene.String(required=True, description="By which you sign in."),
        "must_change_password": graphene.Boolean(required=True, description="Whether to choose a password first."),
        "codes_on": graphene.Boolean(
            required=True, description="Whether a one-time code is asked after your password."
        ),
        "recovery_codes_left": graphene.Int(required=True, description="How many recovery codes you have not used."),
        "proven_until": DateTime(
            required=True, description="Until when you may do what asks for the password again (confirmPassword)."
        ),
        "msps": graphene.Field(many(Membership), description="The MSPs that you have a role in, by name."),
    },
)
SignIn = made_type(
    "SignIn",
    "A place where you are signed in.",
    {
        "id": graphene.String(required=True, description="Which one."),
        "begun_at": DateTime(required=True, description="Since when."),
        "seen_at": DateTime(required=True, description="When it was last used, to the minute."),
        "address": graphene.String(required=True, description="From where."),
        "agent": graphene.String(required=True, description="What the browser says of itself."),
        "here": graphene.Boolean(required=True, description="Whether it is this one."),
        "kind": graphene.String(required=True, description="password, password_and_code or single_sign_on."),
    },
)


class Done(graphene.ObjectType):
    """The answer to what concerns oneself."""

    ok = graphene.Boolean(required=True, description="Always true: what cannot be done is an error.")


class SignInAnswer(graphene.ObjectType):
    """The answer to a sign-in; the session stands in a cookie."""

    must_change_password = graphene.Boolean(required=True, description="Whether to choose a password first.")
    code_needed = graphene.Boolean(
        required=True, description="Whether nobody is signed in before a one-time code follows (signInWithCode)."
    )


def _me(_root: object, info: GraphQLResolveInfo) -> dict[str, Any]:
    context: Context = info.context
    caller = context.caller
    with context.reading() as connection:
        profile = profile_of(connection, caller.user_id)
    msps = [_msp(context, msp_id) for msp_id in caller.roles]
    return {
        **profile,
        "proven_until": caller.proven_until,
        "email": caller.name,
        "must_change_password": caller.must_change,
        "msps": [
            {
                **vars(msp),
                "role": caller.roles[msp.msp_id].name.lower(),
                "permissions": _permitted(caller.roles[msp.msp_id]),
            }
            for msp in sorted(msps, key=lambda msp: msp.name)
        ],
    }


def _msp(context: Context, msp_id: str) -> setup.Msp:
    with context.reading(msp_id) as connection:
        return setup.msp(connection, MspId(msp_id))


def _permitted(role: Role) -> list[str]:
    return sorted(field for field, needs in PERMISSIONS.items() if needs.role <= role)


def _sign_ins(_root: object, info: GraphQLResolveInfo) -> list[dict[str, Any]]:
    context: Context = info.context
    caller = context.caller
    with context.reading() as connection:
        found = sessions.places_of(connection, caller.user_id, context.clock.now())
    return [row | {"here": row["id"] == caller.session} for row in found]


def _oidc(label: str) -> dict[str, str] | None:
    return {"label": label, "url": BEGIN, "prove_url": f"{BEGIN}?prove=true"} if label else None


def signing_in_fields() -> dict[str, tuple[Any, Any]]:
    """The fields of the root query, each with its resolver."""
    return {
        "sign_in_options": (
            graphene.Field(graphene.NonNull(SignInOptions), description="What the page of the sign-in offers."),
            lambda _root, info: {"mail": info.context.post.is_set_up, "oidc": _oidc(info.context.sign_on_label)},
        ),
        "me": (graphene.Field(graphene.NonNull(Me), description="Who is signed in."), _me),
        "sign_ins": (
            graphene.Field(many(SignIn), description="Where you are signed in, the newest first."),
            _sign_ins,
        ),
    }


_EMAIL = {"email": graphene.String(required=True, description="The e-mail, in small or capital letters.")}
_NEW = {"new_password": graphene.String(required=True, description="12 to 200 characters, not easily guessed.")}


class SigningInMutations:
    """What whoever comes in can do about its own sessions and password."""

    sign_in = graphene.Field(
        graphene.NonNull(SignInAnswer),
        password=graphene.String(required=True, description="The password."),
        description="Sign in; the session is set as a cookie.",
        **_EMAIL,
    )
    sign_in_with_code = graphene.Field(
        graphene.NonNull(SignInAnswer),
        code=graphene.String(required=True, description="A one-time code of the app, or a recovery code."),
        description="Complete a sign-in of who has one-time codes on, within 5 minutes of the password.",
    )
    sign_out = graphene.Field(graphene.NonNull(Done), description="End this session.")
    sign_out_everywhere = graphene.Field(graphene.NonNull(Done), description="End all your other sessions.")
    end_sign_in = graphene.Field(
        graphene.NonNull(Done),
        id=graphene.String(required=True, description="Which one."),
        description="End one of your sessions.",
    )
    request_password_reset = graphene.Field(
        graphene.NonNull(Done),
        description="Send a mail with a link, when it is the e-mail of a user. The answer is the same for all.",
        **_EMAIL,
    )
    reset_password = graphene.Field(
        graphene.NonNull(Done),
        token=graphene.String(required=True, description="From the link, which works once."),
        description="Choose a password by a link; all sessions end.",
        **_NEW,
    )
    change_password = graphene.Field(
        graphene.NonNull(Done),
        current=graphene.String(required=True, description="The password until now; of a first password anything."),
        description="Choose another password; your other sessions end.",
        **_NEW,
    )

    @staticmethod
    def resolve_sign_in(_root: object, info: GraphQLResolveInfo, email: str, password: str) -> dict[str, Any]:
        """Who has one-time codes on has no session before the code."""
        context: Context = info.context
        visit = context.visit
        signed = sign_in(context.engine, context.clock, email, password, visit.place, visit.device)
        if isinstance(signed, HalfSignedIn):
            visit.new_cookies[HALF_COOKIE] = signed.half
            return {"must_change_password": False, "code_needed": True}
        return _begun(context, signed)

    @staticmethod
    def resolve_sign_in_with_code(_root: object, info: GraphQLResolveInfo, code: str) -> dict[str, Any]:
        """The first half stands in a cookie."""
        context: Context = info.context
        visit = context.visit
        signed = sign_in_with_code(
            context.engine, context.clock, context.codes, visit.half, code, visit.place, visit.device
        )
        visit.new_cookies[HALF_COOKIE] = ""
        return _begun(context, signed)

    @staticmethod
    def resolve_sign_out(_root: object, info: GraphQLResolveInfo) -> dict[str, Any]:
        """The cookie goes as well."""
        context: Context = info.context
        _end(context, context.caller.session)
        context.visit.new_cookies[SESSION_COOKIE] = ""
        return {"ok": True}

    @staticmethod
    def resolve_end_sign_in(_root: object, info: GraphQLResolveInfo, id: str) -> dict[str, Any]:  # noqa: A002
        """One that has ended already is no error."""
        _end(info.context, id)
        return {"ok": True}

    @staticmethod
    def resolve_sign_out_everywhere(_root: object, info: GraphQLResolveInfo) -> dict[str, Any]:
        """This one stays."""
        context: Context = info.context
        with context.engine.begin() as connection:
            sessions.end(connection, context.caller.user_id, but=context.caller.session)
        return {"ok": True}

    @staticmethod
    def resolve_request_password_reset(_root: object, info: GraphQLResolveInfo, email: str) -> dict[str, Any]:
        """Never says whether there is such a user."""
        context: Context = info.context
        send_reset(context.engine, context.clock, context.post, email, context.visit.place.address)
        return {"ok": True}

    @staticmethod
    def resolve_reset_password(
        _root: object, info: GraphQLResolveInfo, token: str, new_password: str
    ) -> dict[str, Any]:
        """Then one signs in with it."""
        context: Context = info.context
        chosen = choose_password(context.engine, context.clock, context.breached, token, new_password)
        context.visit.new_cookies[DEVICE_COOKIE] = chosen.device
        context.post.send_if_set_up(chosen.email, "Your Trueup password was changed", _CHANGED)
        return {"ok": True}

    @staticmethod
    def resolve_change_password(
        _root: object, info: GraphQLResolveInfo, current: str, new_password: str
    ) -> dict[str, Any]:
        """Whoever sits at an open session cannot do it without the password."""
        context: Context = info.context
        try:
            change_password(context.engine, context.clock, context.breached, context.caller, current, new_password)
        except Refusal as refusal:
            if refusal.code == "SIGN_IN_REFUSED":
                context.visit.new_cookies[SESSION_COOKIE] = ""
            raise
        context.post.send_if_set_up(context.caller.name, "Your Trueup password was changed", _CHANGED)
        return {"ok": True}


def _begun(context: Context, signed: SignedIn) -> dict[str, Any]:
    """Whatever session the browser had ends: nobody can slip it one of theirs."""
    if context.caller.is_user:
        _end(context, context.caller.session)
    context.visit.new_cookies |= {SESSION_COOKIE: signed.session, DEVICE_COOKIE: signed.device}
    return {"must_change_password": signed.must_change, "code_needed": False}


def _end(context: Context, session_id: str) -> None:
    with context.engine.begin() as connection:
        sessions.end(connection, context.caller.user_id, session_id)


_CHANGED = """Your password for Trueup was changed just now.

If it was not you: ask for a reset link on the sign-in page, and tell an admin of your MSP.
"""
