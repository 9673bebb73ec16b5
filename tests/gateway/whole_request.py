"""The schema's text -> a request for everything that a root field can say: who may see it sees all of it."""

from graphql import GraphQLObjectType, GraphQLOutputType, GraphQLSchema, get_named_type, is_leaf_type

from tests.gateway.asking_all import given_arguments

# Below that, lists in lists cost more than the gateway lets anybody ask.
DEEPEST = 5


def whole_request(known: GraphQLSchema, wanted: str, msp_id: str) -> str:
    """A valid request about the MSP for all fields that need no argument, of a few rows."""
    kind, _, name = wanted.partition(".")
    field = known.type_map[kind].fields[name]
    return f"{kind.lower()} {{ {name}{given_arguments(field, msp_id)}{_selection(field.type, DEEPEST)} }}"


def _selection(kind: GraphQLOutputType, depth: int) -> str:
    named = get_named_type(kind)
    if is_leaf_type(named):
        return ""
    inner = ["__typename"]
    if isinstance(named, GraphQLObjectType) and depth:
        for name, field in named.fields.items():
            leaf = is_leaf_type(get_named_type(field.type))
            if not field.args and (leaf or depth > 1):
                inner.append(name + _selection(field.type, depth - 1))
    return " { " + " ".join(inner) + " }"
