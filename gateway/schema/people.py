"""Signing in, and who may come in -> GraphQL: the way in, one's own sign-ins, the users and API keys of an MSP."""

from collections.abc import Callable
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import graphene
from graphql import GraphQLResolveInfo
from sqlalchemy import text

from domain.keys import MspId
from gateway.door import DEVICE_COOKIE, SESSION_COOKIE
from gateway.errors import Refusal
from gateway.people import passwords, sessions
from gateway.people.api_keys import ApiKeys, keys_of
from gateway.people.forgotten import BODY, send_reset
from gateway.people.links import choose_password, set_password
from gateway.people.permissions import PERMISSIONS, Role, Scope
from gateway.people.sign_in import sign_in
from gateway.people.users import Users, users_of
from gateway.schema.context import Context
from gateway.schema.making import made_type, many, value_of
from gateway.schema.outcomes import MSP, OPERATION, RowResult, checked
from gateway.schema.scalars import Date, DateTime
from plumbing import setup

_ROLES = {
    Role.VIEWER: "Reads everything of the MSP.",
    Role.BOOKKEEPER: "Works on the close as well.",
    Role.OPERATOR: "Sets relations, polls and retries as well.",
    Role.APPROVER: "Lets held adjustments go as well.",
    Role.ADMIN: "Sets up users, keys and rules as well.",
}
_SCOPES = {
    Scope.READ: "All reports.",
    Scope.VIEWS: "Saved views and read marks of its own.",
    Scope.CLOSE: "The work on the close.",
    Scope.OPERATE: "Relations, polls and retries.",
    Scope.APPROVE: "Letting held adjustments go.",
}


def _role(given: Any) -> Role:
    return Role[value_of(given).upper()]


RoleName = graphene.Enum(
    "Role",
    [(role.name, role.name.lower()) for role in Role],
    description=lambda value: _ROLES[_role(value)] if value else "What a user is for an MSP.",
)
ScopeName = graphene.Enum(
    "Scope",
    [(scope.name, str(scope)) for scope in Scope],
    description=lambda value: _SCOPES[Scope(value_of(value))] if value else "What an API key is for.",
)


class SignInOptions(graphene.ObjectType):
    """What the page of the sign-in offers."""

    mail = graphene.Boolean(required=True, description="Whether a reset link can be sent by mail.")


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
    },
)
User = made_type(
    "User",
    "Somebody who may come in.",
    {
        "user_id": graphene.String(required=True, name="id", description="Which one."),
        "name": graphene.String(required=True, description="What it is called."),
        "email": graphene.String(required=True, description="By which it signs in."),
        "role": graphene.Field(RoleName, required=True, description="What it is for the MSP."),
        "state": graphene.String(
            required=True, description="active, invited (has chosen no password yet) or disabled."
        ),
        "last_seen_at": DateTime(description="When it last asked something; null: it is signed in nowhere."),
    },
)
ApiKey = made_type(
    "ApiKey",
    "By which a program calls.",
    {
        "key_id": graphene.String(required=True, name="id", description="Which one."),
        "name": graphene.String(required=True, description="What it is for."),
        "prefix": graphene.String(required=True, description="How it begins."),
        "scopes": graphene.Field(many(ScopeName), description="What it may be used for."),
        "state": graphene.String(required=True, description="active, ended or revoked."),
        "made_by": graphene.String(required=True, description="Who made it."),
        "made_at": DateTime(required=True, description="When."),
        "ends_at": DateTime(required=True, description="Calls with it fail from then on."),
        "used_at": DateTime(description="When it was last used, to the minute; null: never."),
    },
)


class Done(graphene.ObjectType):
    """The answer to what concerns oneself."""

    ok = graphene.Boolean(required=True, description="Always true: what cannot be done is an error.")


class SignedIn(graphene.ObjectType):
    """The answer to a sign-in; the session stands in a cookie."""

    must_change_password = graphene.Boolean(required=True, description="Whether to choose a password first.")


class UserOutcome(graphene.ObjectType):
    """The answer to a change of users."""

    operation_id = graphene.String(required=True, description="As it was given.")
    results = graphene.Field(many(RowResult), description="One row: the user.")
    link = graphene.String(
        description="The one-time link to hand over, where no mail can be sent; null: it was mailed, or none is needed."
    )


class ApiKeyOutcome(graphene.ObjectType):
    """The answer to a change of API keys."""

    operation_id = graphene.String(required=True, description="As it was given.")
    results = graphene.Field(many(RowResult), description="One row: the key.")
    key = graphene.String(description="The key itself. You will not see it again.")


def _users(_root: object, info: GraphQLResolveInfo, msp_id: str) -> list[dict[str, Any]]:
    with _reading(info, msp_id) as connection:
        return users_of(connection, msp_id)


def _api_keys(_root: object, info: GraphQLResolveInfo, msp_id: str) -> list[dict[str, Any]]:
    context: Context = info.context
    with _reading(info, msp_id) as connection:
        return keys_of(connection, msp_id, context.clock.now())


def _reading(info: GraphQLResolveInfo, msp_id: str) -> Any:
    context: Context = info.context
    with context.reading() as connection:
        context.refuse_unknown(connection, msp_id)
    return context.reading()


def _me(_root: object, info: GraphQLResolveInfo) -> dict[str, Any]:
    context: Context = info.context
    caller = context.caller
    with context.reading() as connection:
        name = connection.scalar(text("SELECT name FROM people.users WHERE user_id = :id"), {"id": caller.user_id})
        msps = [setup.msp(connection, MspId(msp_id)) for msp_id in caller.roles]
    return {
        "name": name or caller.name,
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


def _permitted(role: Role) -> list[str]:
    return sorted(field for field, needs in PERMISSIONS.items() if needs.role <= role)


def _sign_ins(_root: object, info: GraphQLResolveInfo) -> list[dict[str, Any]]:
    context: Context = info.context
    caller = context.caller
    with context.reading() as connection:
        found = sessions.places_of(connection, caller.user_id, context.clock.now())
    return [row | {"here": row["id"] == caller.session} for row in found]


def people_fields() -> dict[str, tuple[Any, Any]]:
    """The fields of the root query, each with its resolver."""
    return {
        "sign_in_options": (
            graphene.Field(graphene.NonNull(SignInOptions), description="What the page of the sign-in offers."),
            lambda _root, info: {"mail": info.context.post.is_set_up},
        ),
        "me": (graphene.Field(graphene.NonNull(Me), description="Who is signed in."), _me),
        "sign_ins": (
            graphene.Field(many(SignIn), description="Where you are signed in, the newest first."),
            _sign_ins,
        ),
        "users": (graphene.Field(many(User), description="The users of an MSP, by name.", **MSP), _users),
        "api_keys": (
            graphene.Field(many(ApiKey), description="The API keys of an MSP, the newest first.", **MSP),
            _api_keys,
        ),
    }


_EMAIL = {"email": graphene.String(required=True, description="The e-mail, in small or capital letters.")}
_NEW = {"new_password": graphene.String(required=True, description="12 to 200 characters, not easily guessed.")}
_USER = {"user_id": graphene.String(required=True, description="Which one.")}


class PeopleMutations:
    """What can be changed about who comes in."""

    sign_in = graphene.Field(
        graphene.NonNull(SignedIn),
        password=graphene.String(required=True, description="The password."),
        description="Sign in; the session is set as a cookie.",
        **_EMAIL,
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
    invite_user = graphene.Field(
        graphene.NonNull(UserOutcome),
        name=graphene.String(required=True, description="What the user is called."),
        role=graphene.Argument(RoleName, required=True, description="What it shall be."),
        description="Let somebody come in: who has no password yet gets a link that works for a day.",
        **MSP,
        **_EMAIL,
        **OPERATION,
    )
    set_role = graphene.Field(
        graphene.NonNull(UserOutcome),
        role=graphene.Argument(RoleName, required=True, description="What it shall be."),
        description="Give a user another role, from its next request on; who was disabled may come in again.",
        **MSP,
        **_USER,
        **OPERATION,
    )
    disable_user = graphene.Field(
        graphene.NonNull(UserOutcome),
        description="Take the role away: the user is signed out everywhere; what it did stays.",
        **MSP,
        **_USER,
        **OPERATION,
    )
    send_reset_link = graphene.Field(
        graphene.NonNull(UserOutcome),
        description="Send a user a link by which it chooses a new password.",
        **MSP,
        **_USER,
        **OPERATION,
    )
    create_api_key = graphene.Field(
        graphene.NonNull(ApiKeyOutcome),
        name=graphene.String(required=True, description="What it is for."),
        scopes=graphene.Argument(many(ScopeName), description="What it may be used for."),
        ends_on=Date(
            required=True, description="The last day on which it works, in the MSP's time zone; within a year."
        ),
        description="Make a key for a program. It is shown once.",
        **MSP,
        **OPERATION,
    )
    revoke_api_key = graphene.Field(
        graphene.NonNull(ApiKeyOutcome),
        key_id=graphene.String(required=True, description="Which one."),
        description="Calls with the key fail from now on.",
        **MSP,
        **OPERATION,
    )

    @staticmethod
    def resolve_sign_in(_root: object, info: GraphQLResolveInfo, email: str, password: str) -> dict[str, Any]:
        """Whatever session the browser had ends: nobody can slip it one of theirs."""
        context: Context = info.context
        visit = context.visit
        signed = sign_in(context.engine, context.clock, email, password, visit.place, visit.device)
        if context.caller.is_user:
            _end(context, context.caller.session)
        visit.new_cookies |= {SESSION_COOKIE: signed.session, DEVICE_COOKIE: signed.device}
        return {"must_change_password": signed.must_change}

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
        chosen = choose_password(context.engine, context.clock, token, new_password)
        context.visit.new_cookies[DEVICE_COOKIE] = chosen.device
        context.post.send_if_set_up(chosen.email, "Your Trueup password was changed", _CHANGED)
        return {"ok": True}

    @staticmethod
    def resolve_change_password(
        _root: object, info: GraphQLResolveInfo, current: str, new_password: str
    ) -> dict[str, Any]:
        """Whoever sits at an open session cannot do it without the password."""
        context: Context = info.context
        caller = context.caller
        with context.reading() as connection:
            user = connection.execute(
                text("SELECT password_hash, name FROM people.users WHERE user_id = :id"), {"id": caller.user_id}
            ).one()
        # A first password was used up by the sign-in that opened this session, which can do nothing else.
        if not caller.must_change and not passwords.is_right(current[: passwords.LONGEST + 1], user.password_hash):
            _end(context, caller.session)
            context.visit.new_cookies[SESSION_COOKIE] = ""
            raise Refusal("SIGN_IN_REFUSED", "The password until now is wrong.", "Sign in again.")
        if new_password == current:
            raise Refusal("WEAK_PASSWORD", "This is the password until now.", "Choose another one.")
        passwords.refuse_weak(new_password, caller.name, user.name)
        hashed = passwords.hashed(new_password)
        with context.engine.begin() as connection:
            set_password(connection, caller.user_id, hashed, context.clock.now())
            sessions.end(connection, caller.user_id, but=caller.session)
        context.post.send_if_set_up(caller.name, "Your Trueup password was changed", _CHANGED)
        return {"ok": True}

    @staticmethod
    def resolve_invite_user(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str, email: str, name: str, role: Any
    ) -> dict[str, Any]:
        """Who is a user of another MSP already keeps its password."""

        def act(context: Context, users: Users) -> tuple[str, str | None]:
            invited = users.invite(MspId(msp_id), email, name, _role(role))
            if not invited.link:
                return invited.user_id, None
            link = context.post.link("first-sign-in", invited.link)
            return invited.user_id, _mailed(context, email, "You may sign in to Trueup", _INVITED, name, link)

        return _on_users(info, msp_id, operation_id, email, act)

    @staticmethod
    def resolve_set_role(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str, user_id: str, role: Any
    ) -> dict[str, Any]:
        """The last admin stays one."""
        wanted = _role(role)
        return _on_users(
            info, msp_id, operation_id, user_id, lambda _, users: (users.set_role(MspId(msp_id), user_id, wanted), None)
        )

    @staticmethod
    def resolve_disable_user(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str, user_id: str
    ) -> dict[str, Any]:
        """The last admin stays."""
        return _on_users(
            info, msp_id, operation_id, user_id, lambda _, users: (users.disable(MspId(msp_id), user_id), None)
        )

    @staticmethod
    def resolve_send_reset_link(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str, user_id: str
    ) -> dict[str, Any]:
        """Nobody gets a link to hand over that opens another MSP as well."""

        def act(context: Context, users: Users) -> tuple[None, str | None]:
            email, token, alone = users.reset_link(MspId(msp_id), user_id)
            if not alone and not context.post.is_set_up:
                said = "The user belongs to other MSPs too, and no mail can be sent."
                raise Refusal("NO_MAIL", said, "Ask who runs the installation to set TRUEUP_SMTP_URL.")
            link = context.post.link("reset-password", token)
            return None, _mailed(context, email, "Choose a new Trueup password", BODY, email, link)

        return _on_users(info, msp_id, operation_id, user_id, act)

    @staticmethod
    def resolve_create_api_key(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        operation_id: str,
        name: str,
        scopes: list[Any],
        ends_on: Any,
    ) -> dict[str, Any]:
        """It works until the end of its last day."""
        _, context = checked(info, msp_id, operation_id, 1)
        with context.reading() as connection:
            zone = ZoneInfo(setup.msp(connection, MspId(msp_id)).time_zone)
        ends_at = datetime.combine(ends_on, time.max, zone)
        keys = ApiKeys(context.engine, context.clock, context.caller.name)
        try:
            wanted = [Scope(value_of(scope)) for scope in scopes]
            key_id, key = keys.make(MspId(msp_id), name, wanted, ends_at, operation_id)
        except Refusal as refusal:
            return _answer(operation_id, name, refusal)
        return _answer(operation_id, key_id) | {"key": key}

    @staticmethod
    def resolve_revoke_api_key(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str, key_id: str
    ) -> dict[str, Any]:
        """Once more does nothing."""
        _, context = checked(info, msp_id, operation_id, 1)
        try:
            ApiKeys(context.engine, context.clock, context.caller.name).revoke(MspId(msp_id), key_id)
        except Refusal as refusal:
            return _answer(operation_id, key_id, refusal)
        return _answer(operation_id, key_id)


def _on_users(
    info: GraphQLResolveInfo,
    msp_id: str,
    operation_id: str,
    given: str,
    act: Callable[[Context, Users], tuple[str | None, str | None]],
) -> dict[str, Any]:
    _, context = checked(info, msp_id, operation_id, 1)
    try:
        user_id, link = act(context, Users(context.engine, context.clock, context.caller.name))
    except Refusal as refusal:
        return _answer(operation_id, given, refusal)
    return _answer(operation_id, user_id or given) | {"link": link}


def _answer(operation_id: str, row: str, refusal: Refusal | None = None) -> dict[str, Any]:
    result: dict[str, Any] = {"id": row, "ok": refusal is None}
    if refusal:
        result["refusal"] = vars(refusal)
    return {"operation_id": operation_id, "results": [result]}


def _mailed(context: Context, email: str, subject: str, body: str, name: str, link: str) -> str | None:
    """None when the link was mailed; else the link."""
    if not context.post.is_set_up:
        return link
    context.post.send(email, subject, body.format(name=name, link=link))
    return None


def _end(context: Context, session_id: str) -> None:
    with context.engine.begin() as connection:
        sessions.end(connection, context.caller.user_id, session_id)


_CHANGED = """Your password for Trueup was changed just now.

If it was not you: ask for a reset link on the sign-in page, and tell an admin of your MSP.
"""
_INVITED = """Hello {name},

you may sign in to Trueup. Choose a password within 24 hours at

{link}

The link works once.
"""
