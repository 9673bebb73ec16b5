"""The gateway's GraphQL schema; gateway/schema.graphql is its text, which a test holds equal."""

import graphene
from graphql import GraphQLSchema, print_schema

from gateway.schema.billing import BillingMutations
from gateway.schema.closing import CloseMutations
from gateway.schema.connections import ConnectionMutations
from gateway.schema.deciding import DecidingMutations
from gateway.schema.drifting import DriftMutations
from gateway.schema.guard import guarded
from gateway.schema.left_out import null_is_left_out
from gateway.schema.linking import LinkingMutations
from gateway.schema.mutations import AdjustmentMutations
from gateway.schema.notifying import NotificationMutations
from gateway.schema.pausing import PausingMutations
from gateway.schema.profile import ProfileMutations
from gateway.schema.query import Query
from gateway.schema.questions import QuestionMutations
from gateway.schema.saving_policies import PolicyMutations
from gateway.schema.settling import SettlingMutations
from gateway.schema.signing_in import SigningInMutations
from gateway.schema.subscription import Subscription
from gateway.schema.users import UserMutations
from gateway.schema.views import ViewMutations


class Mutation(
    AdjustmentMutations,
    BillingMutations,
    DecidingMutations,
    CloseMutations,
    ConnectionMutations,
    DriftMutations,
    LinkingMutations,
    NotificationMutations,
    PausingMutations,
    PolicyMutations,
    ProfileMutations,
    QuestionMutations,
    SettlingMutations,
    SigningInMutations,
    UserMutations,
    ViewMutations,
    graphene.ObjectType,
):
    """What can be changed here."""


def build() -> GraphQLSchema:
    """The schema, as graphql-core runs it, with a guard at each root field."""
    built: GraphQLSchema = graphene.Schema(query=Query, mutation=Mutation, subscription=Subscription).graphql_schema
    return guarded(null_is_left_out(built))


def as_text() -> str:
    """The schema in the words of GraphQL, as it is kept in gateway/schema.graphql."""
    return print_schema(build()) + "\n"
