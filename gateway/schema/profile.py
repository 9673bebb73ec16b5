"""One's own profile, proof and one-time codes -> GraphQL: what who is signed in can change about itself."""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from gateway.errors import Refusal
from gateway.people import codes, sessions
from gateway.people.profile import save_name
from gateway.people.proving import prove
from gateway.schema.context import Context
from gateway.schema.making import many
from gateway.schema.signing_in import Done


class BegunCodes(graphene.ObjectType):
    """What an authenticator app needs. You will not see it again."""

    secret = graphene.String(required=True, description="To type into the app, base32.")
    uri = graphene.String(required=True, description="To show as a picture that the app reads: otpauth://totp/...")


class RecoveryCodes(graphene.ObjectType):
    """The answer to switching one-time codes on. You will not see it again."""

    recovery_codes = graphene.Field(
        many(graphene.String), description="Ten codes for when the app is lost; each is good once."
    )


_PASSWORD = {"password": graphene.String(required=True, description="Your password.")}
_CODE = "A one-time code of the app, or a recovery code."


class ProfileMutations:
    """What whoever is signed in can change about itself."""

    confirm_password = graphene.Field(
        graphene.NonNull(Done),
        code=graphene.String(description=f"{_CODE} Needed by who has codes on."),
        description="Give your password once more, for what needs it; good for 15 minutes.",
        **_PASSWORD,
    )
    save_profile = graphene.Field(
        graphene.NonNull(Done),
        name=graphene.String(required=True, description="What you are called, 1 to 100 characters."),
        description="Change what you are called.",
    )
    begin_codes = graphene.Field(
        graphene.NonNull(BegunCodes),
        description="Get a secret for an authenticator app. Nothing changes before switchOnCodes.",
    )
    switch_on_codes = graphene.Field(
        graphene.NonNull(RecoveryCodes),
        code=graphene.String(required=True, description="The first code that the app shows."),
        description="From now on a one-time code is asked after your password; your other sessions end.",
    )
    switch_off_codes = graphene.Field(
        graphene.NonNull(Done),
        code=graphene.String(required=True, description=_CODE),
        description="Sign in by your password alone again.",
        **_PASSWORD,
    )

    @staticmethod
    def resolve_confirm_password(
        _root: object, info: GraphQLResolveInfo, password: str, code: str | None = None
    ) -> dict[str, Any]:
        """Tries are counted as at the sign-in."""
        _prove(info.context, password, code or "")
        return {"ok": True}

    @staticmethod
    def resolve_save_profile(_root: object, info: GraphQLResolveInfo, name: str) -> dict[str, Any]:
        """Pages and mails name the user so from now on."""
        context: Context = info.context
        with context.engine.begin() as connection:
            save_name(connection, context.caller.user_id, name)
        return {"ok": True}

    @staticmethod
    def resolve_begin_codes(_root: object, info: GraphQLResolveInfo) -> dict[str, Any]:
        """Once more gives another secret, until one is confirmed."""
        context: Context = info.context
        with context.engine.begin() as connection:
            secret = context.codes.begin(connection, context.caller.user_id)
        return {"secret": secret, "uri": codes.app_uri(secret, context.caller.name)}

    @staticmethod
    def resolve_switch_on_codes(_root: object, info: GraphQLResolveInfo, code: str) -> dict[str, Any]:
        """Sessions that were opened by the password alone end."""
        context: Context = info.context
        caller = context.caller
        with context.engine.begin() as connection:
            recovery = context.codes.confirm(connection, caller.user_id, code, context.clock.now())
            sessions.end(connection, caller.user_id, but=caller.session)
        context.post.send_if_set_up(caller.name, "One-time codes were switched on", _SWITCHED.format(how="on"))
        return {"recovery_codes": recovery}

    @staticmethod
    def resolve_switch_off_codes(_root: object, info: GraphQLResolveInfo, password: str, code: str) -> dict[str, Any]:
        """Whoever sits at an open session cannot do it without both."""
        context: Context = info.context
        caller = context.caller
        with context.reading() as connection:
            if not codes.are_on(connection, caller.user_id):
                raise Refusal("NO_CODES", "You have no one-time codes on.", "There is nothing to do.")
        _prove(context, password, code)
        with context.engine.begin() as connection:
            codes.switch_off(connection, caller.user_id)
        context.post.send_if_set_up(caller.name, "One-time codes were switched off", _SWITCHED.format(how="off"))
        return {"ok": True}


def _prove(context: Context, password: str, code: str) -> None:
    visit = context.visit
    prove(context.engine, context.clock, context.codes, context.caller, visit.place, visit.device, password, code)


_SWITCHED = """One-time codes for your sign-in to Trueup were switched {how} just now.

If it was not you: ask for a reset link on the sign-in page, and tell an admin of your MSP.
"""
