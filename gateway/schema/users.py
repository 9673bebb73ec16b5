"""An MSP's users and API keys -> GraphQL: the lists of them, and what an admin can change."""

from collections.abc import Callable
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.people.api_keys import ApiKeys, keys_of
from gateway.people.forgotten import BODY
from gateway.people.permissions import Scope
from gateway.people.users import Users, users_of
from gateway.schema.context import Context
from gateway.schema.making import made_type, many, value_of
from gateway.schema.outcomes import MSP, OPERATION, RowResult, checked
from gateway.schema.roles import RoleName, ScopeName, role_of
from gateway.schema.scalars import Date, DateTime
from plumbing import setup

User = made_type(
    "User",
    "Somebody who may come in.",
    {
        "user_id": graphene.String(required=True, name="id", description="Which one."),
        "name": graphene.String(required=True, description="What it is called."),
        "email": graphene.String(required=True, description="By which it signs in."),
        "role": graphene.Field(RoleName, required=True, description="What it is for the MSP."),
        "state": graphene.String(
            required=True,
            description="active, invited (has chosen no password yet, nor come by single sign-on) or disabled.",
        ),
        "codes_on": graphene.Boolean(required=True, description="Whether a one-time code is asked after its password."),
        "single_sign_on": graphene.Boolean(
            required=True, description="Whether it has signed in by single sign-on and may do so again."
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
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
    return context.reading(msp_id)


def users_fields() -> dict[str, tuple[Any, Any]]:
    """The fields of the root query, each with its resolver."""
    return {
        "users": (graphene.Field(many(User), description="The users of an MSP, by name.", **MSP), _users),
        "api_keys": (
            graphene.Field(many(ApiKey), description="The API keys of an MSP, the newest first.", **MSP),
            _api_keys,
        ),
    }


_EMAIL = {"email": graphene.String(required=True, description="The e-mail, in small or capital letters.")}
_USER = {"user_id": graphene.String(required=True, description="Which one.")}


class UserMutations:
    """What an admin can change about who comes in."""

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
    reset_codes = graphene.Field(
        graphene.NonNull(UserOutcome),
        description="Let a user who lost app and recovery codes sign in without one-time codes; it is signed out and told by mail.",
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
    def resolve_invite_user(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str, email: str, name: str, role: Any
    ) -> dict[str, Any]:
        """Who is a user of another MSP already keeps its password."""

        def act(context: Context, users: Users) -> tuple[str, str | None]:
            invited = users.invite(MspId(msp_id), email, name, role_of(role))
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
        wanted = role_of(role)
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
    def resolve_reset_codes(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str, user_id: str
    ) -> dict[str, Any]:
        """Of a user of other MSPs too only the installation's operator may do it."""

        def act(context: Context, users: Users) -> tuple[None, None]:
            email = users.reset_codes(MspId(msp_id), user_id, other_msps=context.caller.everything)
            context.post.send_if_set_up(email, "Your one-time codes were reset", _RESET)
            return None, None

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
        with context.reading(msp_id) as connection:
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


_RESET = """An admin has switched your one-time codes for Trueup off, so that you can sign in by your password alone.

Switch them on again in your profile. If you did not ask for it: tell an admin of your MSP.
"""
_INVITED = """Hello {name},

you may sign in to Trueup. Choose a password within 24 hours at

{link}

The link works once.
"""
