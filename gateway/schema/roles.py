"""Roles of users and scopes of API keys -> GraphQL enums."""

from typing import Any

import graphene

from gateway.people.permissions import Role, Scope
from gateway.schema.making import value_of

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


def role_of(given: Any) -> Role:
    """The role that an argument of the enum names."""
    return Role[value_of(given).upper()]


RoleName = graphene.Enum(
    "Role",
    [(role.name, role.name.lower()) for role in Role],
    description=lambda value: _ROLES[role_of(value)] if value else "What a user is for an MSP.",
)
ScopeName = graphene.Enum(
    "Scope",
    [(scope.name, str(scope)) for scope in Scope],
    description=lambda value: _SCOPES[Scope(value_of(value))] if value else "What an API key is for.",
)
