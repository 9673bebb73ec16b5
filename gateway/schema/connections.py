"""An MSP's connections -> GraphQL: what they are and were, and what an admin can change and try. No field tells a secret."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.connection_kinds import KINDS
from gateway.connections import TEST_SECONDS, Connections, history, saved_connections
from gateway.draft_connection import Given
from gateway.errors import BadSetup, Refusal
from gateway.schema.context import Context
from gateway.schema.making import made_type, many, value_of
from gateway.schema.outcomes import MSP, OPERATION, RowResult, checked, outcome
from gateway.schema.scalars import DateTime
from gateway.set_up import Upon
from plumbing.addresses import PrivateAddress

KindName = graphene.Enum(
    "ConnectionKindName",
    [(kind.upper(), kind) for kind in KINDS],
    description=lambda value: f"A connection of the kind {value_of(value)}." if value else "What is connected.",
)
ConnectionSetting = made_type(
    "ConnectionSetting",
    "A setting of a connection.",
    {
        "key": graphene.String(required=True, description="Which one."),
        "value": graphene.String(required=True, description="Its value; empty: it was left out."),
    },
)
ConnectionSecret = made_type(
    "ConnectionSecret",
    "A secret of a connection; it is never shown.",
    {
        "key": graphene.String(required=True, description="Which one."),
        "is_set": graphene.Boolean(required=True, description="Whether there is one."),
        "set_at": DateTime(description="When it was given; null: there is none."),
        "set_by": graphene.String(description="Who gave it; null: there is none."),
    },
)
ConnectionStep = made_type(
    "ConnectionStep",
    "One step of trying a connection.",
    {
        "step": graphene.String(required=True, description="What was tried."),
        "ok": graphene.Boolean(required=True, description="Whether it went well."),
        "milliseconds": graphene.Int(required=True, description="How long it took."),
        "message": graphene.String(required=True, description="For people: what came of it."),
        "fix": graphene.String(description="For people: what to do; null: nothing."),
    },
)
ConnectionTest = made_type(
    "ConnectionTest",
    "What came of trying a saved connection.",
    {
        "version": graphene.Int(required=True, description="Which version was tried."),
        "begun_at": DateTime(required=True, description="When."),
        "begun_by": graphene.String(required=True, description="Who wished it."),
        "steps": graphene.Field(many(ConnectionStep), description="In order; it ends where going on makes no sense."),
    },
)
SavedConnection = made_type(
    "SavedConnection",
    "A marketplace or PSA account with its settings.",
    {
        "connection_id": graphene.String(required=True, name="id", description="Which one."),
        "kind": graphene.Field(KindName, required=True, description="What it connects."),
        "version": graphene.Int(required=True, description="Rises with every change; give it when you save one."),
        "saved_at": DateTime(required=True, description="When this version was saved."),
        "saved_by": graphene.String(description="Who saved it; null: the log does not tell."),
        "settings": graphene.Field(many(ConnectionSetting), description="All of its kind."),
        "secrets": graphene.Field(many(ConnectionSecret), description="All of its kind, set or not."),
        "last_test": graphene.Field(
            ConnectionTest,
            description="The last test of saved values, maybe of an older version; null: there was none.",
        ),
    },
)
ConnectionField = made_type(
    "ConnectionField",
    "What a kind of connection takes.",
    {
        "key": graphene.String(required=True, description="Its name."),
        "default": graphene.String(required=True, description="What it is when it is not given."),
        "needed": graphene.Boolean(required=True, description="Whether it must be given, once."),
        "secret": graphene.Boolean(required=True, description="Whether it is a secret."),
    },
)
ConnectionKind = made_type(
    "ConnectionKind",
    "A kind of connection that can be made.",
    {
        "kind": graphene.Field(KindName, required=True, description="What it connects."),
        "fields": graphene.Field(many(ConnectionField), description="Its settings, then its secrets."),
    },
)
Made = made_type(
    "Connections",
    "The connections of an MSP, and the kinds that can be made.",
    {
        "saved": graphene.Field(many(SavedConnection), description="Those that there are, by id."),
        "kinds": graphene.Field(many(ConnectionKind), description="Of each kind there may be several."),
    },
)
ConnectionChange = made_type(
    "ConnectionChange",
    "A setting that a version changed.",
    {
        "key": graphene.String(required=True, description="Which one."),
        "before": graphene.String(description="What it was; null: it was not there, or that was not kept."),
        "after": graphene.String(description="What it became; null: that was not kept."),
    },
)
ConnectionVersion = made_type(
    "ConnectionVersion",
    "A version of a connection.",
    {
        "version": graphene.Int(required=True, description="Which one."),
        "saved_at": DateTime(required=True, description="When it was saved."),
        "saved_by": graphene.String(required=True, description="Who saved it."),
        "changes": graphene.Field(many(ConnectionChange), description="The settings that were changed."),
        "replaced_secrets": graphene.Field(many(graphene.String), description="The secrets that were given anew."),
        "settings": graphene.Field(
            graphene.List(graphene.NonNull(ConnectionSetting)),
            description="All its settings, to which one may go back; null: they were not kept.",
        ),
    },
)


class KeyAndValue(graphene.InputObjectType):
    """A setting or a secret as it shall be."""

    key = graphene.String(required=True, description="Which one.")
    value = graphene.String(required=True, description="Its value. A secret that is empty stays what it is.")


class ConnectionOutcome(graphene.ObjectType):
    """The answer to a change of a connection."""

    operation_id = graphene.String(required=True, description="As it was given.")
    results = graphene.Field(many(RowResult), description="One row: the connection.")
    version = graphene.Int(description="The version that was made; null: none was.")


class ConnectionTestOutcome(graphene.ObjectType):
    """The answer to trying a connection."""

    operation_id = graphene.String(required=True, description="As it was given.")
    results = graphene.Field(many(RowResult), description="One row: the connection, ok when each step went well.")
    version = graphene.Int(description="The version that was tried; null: values that are not saved.")
    steps = graphene.Field(many(ConnectionStep), description="What was tried, in order; none: it was refused before.")


def connections_fields() -> dict[str, tuple[Any, Callable[..., Any]]]:
    """The fields of the root query, each with its resolver."""
    return {
        "connections": (
            graphene.Field(graphene.NonNull(Made), description="Marketplaces and PSAs of an MSP, as set up.", **MSP),
            _resolve_connections,
        ),
        "connection_history": (
            graphene.Field(
                many(ConnectionVersion),
                description="Who saved what of a connection and when, the newest first, at most 200 versions.",
                **MSP,
                **_ID,
            ),
            _resolve_history,
        ),
    }


_ID = {"id": graphene.String(required=True, description="The connection.")}
_PARTS = graphene.List(graphene.NonNull(KeyAndValue))
_KIND = {"kind": graphene.Argument(KindName, required=True, description="What it connects.")}
_GIVEN = {
    "settings": graphene.Argument(
        _PARTS, default_value=(), description="Those that shall change, or all; the rest stays, or is the default."
    ),
    "secrets": graphene.Argument(_PARTS, default_value=(), description="Those that shall change; the rest stays."),
}
_VERSION = {
    "version": graphene.Int(
        required=True, description="The version that you changed; 0: there is no such connection yet."
    )
}


class ConnectionMutations:
    """What an admin can change about connections, and try."""

    save_connection = graphene.Field(
        graphene.NonNull(ConnectionOutcome),
        description="Make or change a connection. Secrets are sealed at once for the service that uses them; with another "
        "host to send them to, they must be given anew.",
        **MSP,
        **_ID,
        **_KIND,
        **_GIVEN,
        **_VERSION,
        **OPERATION,
    )
    restore_connection = graphene.Field(
        graphene.NonNull(ConnectionOutcome),
        to_version=graphene.Int(required=True, description="The version whose settings shall be those again."),
        description="Go back to the settings of an older version, as a new one. Secrets stay what they are.",
        **MSP,
        **_ID,
        **_VERSION,
        **OPERATION,
    )
    test_connection = graphene.Field(
        graphene.NonNull(ConnectionTestOutcome),
        description="Try a connection step by step, with values that are not saved too; a wrong password is tried once. "
        "What comes of trying saved values is kept. Takes up to 75 seconds.",
        **MSP,
        **_ID,
        **_KIND,
        **_GIVEN,
        **OPERATION,
    )

    @staticmethod
    def resolve_save_connection(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        id: str,  # noqa: A002 the argument's name in the schema
        kind: Any,
        settings: Any,
        secrets: Any,
        version: int,
        operation_id: str,
    ) -> dict[str, Any]:
        """Of two who changed the same version the second is told."""
        given, upon = _given(id, kind, settings, secrets), Upon(version, operation_id)
        return _answered(
            info, msp_id, operation_id, id, lambda known, _, door: {"version": door.save(known, given, upon)}
        )

    @staticmethod
    def resolve_restore_connection(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        id: str,  # noqa: A002
        to_version: int,
        version: int,
        operation_id: str,
    ) -> dict[str, Any]:
        """Judged and refused as any other save."""
        upon = Upon(version, operation_id)
        return _answered(
            info,
            msp_id,
            operation_id,
            id,
            lambda known, _, door: {"version": door.restore(known, id, to_version, upon)},
        )

    @staticmethod
    def resolve_test_connection(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        id: str,  # noqa: A002
        kind: Any,
        settings: Any,
        secrets: Any,
        operation_id: str,
    ) -> dict[str, Any]:
        """The service that opens the secrets tries it."""
        given = _given(id, kind, settings, secrets)

        def act(known: MspId, context: Context, door: Connections) -> dict[str, Any]:
            patient = replace(context, rpc_seconds=TEST_SECONDS)
            version, steps = door.test(known, given, operation_id, patient.ask)
            row = {"id": id, "ok": all(step["ok"] for step in steps)}
            return {"version": version, "steps": steps, "results": [row]}

        return {"steps": []} | _answered(info, msp_id, operation_id, id, act)


def _resolve_connections(_root: object, info: GraphQLResolveInfo, msp_id: str) -> dict[str, Any]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        saved = saved_connections(connection, MspId(msp_id))
    return {"saved": saved, "kinds": [{"kind": name, "fields": _fields(name)} for name in KINDS]}


def _resolve_history(
    _root: object,
    info: GraphQLResolveInfo,
    msp_id: str,
    id: str,  # noqa: A002
) -> list[dict[str, Any]]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        return history(connection, MspId(msp_id), id)


def _fields(name: str) -> list[dict[str, Any]]:
    kind = KINDS[name]
    fields = [(key, str(default), False) for key, default in kind.settings.items()]
    fields += [(key, "", True) for key in kind.secrets]
    return [
        {"key": key, "default": default, "needed": key in kind.needed, "secret": secret}
        for key, default, secret in fields
    ]


def _given(connection_id: str, kind: Any, settings: Any, secrets: Any) -> Given:
    parts = [{part["key"]: part["value"] for part in given or ()} for given in (settings, secrets)]
    return Given(connection_id, value_of(kind), *parts)


def _answered(
    info: GraphQLResolveInfo,
    msp_id: str,
    operation_id: str,
    row: str,
    act: Callable[[MspId, Context, Connections], dict[str, Any]],
) -> dict[str, Any]:
    """One row; what forbids it is told with the row."""
    known, context = checked(info, msp_id, operation_id, 1)
    door = Connections(
        context.engine,
        context.clock,
        context.caller.name,
        context.public_keys,
        context.private_addresses,
        context.hosts,
    )
    try:
        return outcome(operation_id, [{"id": row, "ok": True}]) | act(known, context, door)
    except Refusal as refusal:
        said = refusal
    except PrivateAddress as fault:
        said = _said("PRIVATE_ADDRESS", fault, "Give an https address on the internet.")
    except BadSetup as fault:
        said = _said("BAD_CONNECTION", fault, "Change it and save it again.")
    return outcome(operation_id, [{"id": row, "ok": False, "refusal": vars(said)}])


def _said(code: str, fault: Exception, fix: str) -> Refusal:
    message = str(fault)
    return Refusal(code, f"{message[:1].upper()}{message[1:]}.", fix)
