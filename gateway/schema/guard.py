"""A built schema -> the same schema, each root field of which first looks whether its caller may have it.

What a field needs stands in people/permissions.py; a field that does not stand there is not served. Below a root field nothing
is looked at: all that stands there is of the MSP that the root field names.
"""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLResolveInfo, GraphQLSchema, default_field_resolver

from gateway.door import unauthenticated
from gateway.people.callers import Caller
from gateway.people.permissions import INSTALLATION, OPEN, OWN, OWN_LATER, OWN_PROVEN, PERMISSIONS, needs_password


def guarded(schema: GraphQLSchema) -> GraphQLSchema:
    """Every root field with its guard; LookupError names one that nobody has given a permission."""
    for kind in (schema.query_type, schema.mutation_type, schema.subscription_type):
        for name, field in kind.fields.items() if kind else ():
            wanted = f"{kind.name}.{name}" if kind else name
            if field.subscribe:
                field.subscribe = _guard(wanted, field.subscribe)
            else:
                field.resolve = _guard(wanted, field.resolve or default_field_resolver)
    return schema


def _guard(wanted: str, resolve: Callable[..., Any]) -> Callable[..., Any]:
    refuse, proven = _judge(wanted), needs_password(wanted)

    def guard(root: Any, info: GraphQLResolveInfo, **given: Any) -> Any:
        refuse(info.context.caller, given.get("msp_id", ""))
        if proven:
            info.context.caller.refuse_unproven(info.context.clock.now())
        return resolve(root, info, **given)

    return guard


def _judge(wanted: str) -> Callable[[Caller, str], None]:
    if wanted in OPEN:
        return lambda _caller, _msp_id: None
    if wanted in OWN | OWN_LATER | OWN_PROVEN:
        return _refuse_but_users
    if wanted in PERMISSIONS or wanted in INSTALLATION:
        return lambda caller, msp_id: caller.refuse(wanted, msp_id)
    raise LookupError(f"{wanted} stands in no list of gateway/people/permissions.py")


def _refuse_but_users(caller: Caller, _msp_id: str) -> None:
    if not caller.is_user:
        raise unauthenticated()
