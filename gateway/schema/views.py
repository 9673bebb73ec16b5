"""Saved views -> GraphQL: the list of them, and saving, deleting and choosing one.

A view is kept in the words of a page's URL and checked by the code that reads such a URL (exports/asked.py), so that whatever can
be saved can also be opened, sent as a link and exported.
"""

from collections.abc import Callable
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from gateway.errors import Refusal
from gateway.exports import asked as urls
from gateway.schema.context import Context
from gateway.schema.making import many, value_of
from gateway.schema.outcomes import MSP, OPERATION, RowResult, checked
from gateway.schema.scalars import DateTime
from gateway.schema.subscription import ReportName
from gateway.views import By, Settings, Wish, delete, save, saved_views, set_default
from plumbing.clock import Clock
from services.reporting.queries import REPORTS, Kind, Report

LONGEST_NAME = 80
LONGEST_VALUE = 4000
MOST_FILTERS = 30

_REPORT = {"report": graphene.Argument(ReportName, required=True, description="Of which report.")}
_VALUE = "As in a page's URL: 1200000501,1200000503 or ~exchange or gte:1,lte:5 or empty:true."


class ViewFilter(graphene.ObjectType):
    """What a view asks of one column."""

    column = graphene.String(required=True, description="The column, as it is called in the schema.")
    value = graphene.String(required=True, description=_VALUE)


class ViewFilterWish(graphene.InputObjectType):
    """What a view shall ask of one column."""

    column = graphene.String(required=True, description="The column, as it is called in the schema.")
    value = graphene.String(required=True, description=_VALUE)


class SavedView(graphene.ObjectType):
    """How somebody likes to see a report."""

    view_id = graphene.String(required=True, name="id", description="Which one.")
    name = graphene.String(required=True, description="What it is called.")
    report = graphene.Field(ReportName, required=True, description="The report.")
    shared = graphene.Boolean(required=True, description="Whether everybody of the MSP sees it.")
    owner = graphene.String(required=True, description="Who made it.")
    mine = graphene.Boolean(required=True, description="Whether that is who asks.")
    is_default = graphene.Boolean(required=True, description="Whether the report opens with it for who asks.")
    version = graphene.Int(required=True, description="Rises with every change; give it when you save a change.")
    saved_by = graphene.String(required=True, description="Who changed it last.")
    saved_at = DateTime(required=True, description="When that was.")
    columns = graphene.Field(
        many(graphene.String), description="Its columns in their order; none: the report's usual ones."
    )
    sort = graphene.Field(many(graphene.String), description="Its order, such as -adjustmentDate; none: the report's.")
    filters = graphene.Field(many(ViewFilter), description="What is asked of columns.")
    group = graphene.Field(many(graphene.String), description="The columns it is grouped by, at most two.")
    range = graphene.String(description="Its range of days up to today, such as 30d; null: all.")


class ViewOutcome(graphene.ObjectType):
    """The answer to a change of views."""

    operation_id = graphene.String(required=True, description="As it was given: the same one again acts once.")
    results = graphene.Field(many(RowResult), description="One row: the view.")
    view = graphene.Field(SavedView, description="The view as it is saved; null when nothing was.")


def _columns_argument(says: str) -> Any:
    return graphene.Argument(graphene.List(graphene.NonNull(graphene.String)), default_value=[], description=says)


def views_field() -> tuple[Any, Any]:
    """The field of the root query, and its resolver."""
    field = graphene.Field(
        many(SavedView), description="Your own views of a report and the shared ones, by name.", **MSP, **_REPORT
    )
    return field, _resolve


def _resolve(_root: object, info: GraphQLResolveInfo, msp_id: str, report: Any) -> list[dict[str, Any]]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        return saved_views(connection, msp_id, context.caller.name, value_of(report))


class ViewMutations:
    """What can be changed about saved views."""

    save_view = graphene.Field(
        graphene.NonNull(ViewOutcome),
        id=graphene.String(description="The view that is changed; null: a new one."),
        version=graphene.Int(description="The version that you changed."),
        name=graphene.String(required=True, description="What it is called."),
        shared=graphene.Boolean(default_value=False, description="Whether everybody of the MSP shall see it."),
        columns=_columns_argument("Its columns in their order; none: the report's usual ones."),
        sort=_columns_argument("Its order, such as -adjustmentDate; at most three."),
        filters=graphene.Argument(
            graphene.List(graphene.NonNull(ViewFilterWish)), default_value=[], description="What is asked of columns."
        ),
        group=_columns_argument("The columns it is grouped by, at most two."),
        range=graphene.String(description="Its range of days up to today, such as 30d; null: all."),
        description="Save a view of a report: a new one, or a change to one that nobody else has changed meanwhile.",
        **MSP,
        **_REPORT,
        **OPERATION,
    )
    delete_view = graphene.Field(
        graphene.NonNull(ViewOutcome),
        id=graphene.String(required=True, description="Which one."),
        description="Delete a view of your own, also for those whose default it is.",
        **MSP,
        **OPERATION,
    )
    set_default_view = graphene.Field(
        graphene.NonNull(ViewOutcome),
        id=graphene.String(description="Which one; null: none, the report opens as it comes."),
        description="Choose the view with which a report opens for you.",
        **MSP,
        **_REPORT,
        **OPERATION,
    )

    @staticmethod
    def resolve_save_view(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        report: Any,
        operation_id: str,
        filters: list[dict[str, str]],
        **given: Any,
    ) -> dict[str, Any]:
        """A page's URL could say the same."""
        asked = {each["column"]: each["value"] for each in filters}
        settings = Settings(given["columns"], given["sort"], asked, given["group"], given.get("range"))
        wish = Wish(given.get("id"), given.get("version"), given["name"], given["shared"], settings)

        def act(context: Context, by: By) -> dict[str, Any]:
            if len(asked) < len(filters):
                raise Refusal("BAD_VIEW", "A column is filtered twice.", "Ask all of a column in one filter.")
            _refuse_bad(_viewed(report), msp_id, context.clock, wish)
            return save(context.engine, context.clock, _viewed(report), by, wish)

        return _outcome(info, msp_id, operation_id, wish.view_id or "", act)

    @staticmethod
    def resolve_delete_view(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        operation_id: str,
        id: str,  # noqa: A002
    ) -> dict[str, Any]:
        """Only the owner may."""
        return _outcome(info, msp_id, operation_id, id, lambda context, by: delete(context.engine, by, id))

    @staticmethod
    def resolve_set_default_view(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        report: Any,
        operation_id: str,
        id: str | None = None,  # noqa: A002
    ) -> dict[str, Any]:
        """One a person and report."""

        def act(context: Context, by: By) -> None:
            set_default(context.engine, by, _viewed(report), id)

        return _outcome(info, msp_id, operation_id, id or "", act)


def _viewed(report: Any) -> Report:
    name = value_of(report)
    if name not in REPORTS:
        raise Refusal("BAD_VIEW", f"There are no views of the {name}.", "Choose a report.")
    return REPORTS[name]


def _outcome(
    info: GraphQLResolveInfo,
    msp_id: str,
    operation_id: str,
    view_id: str,
    act: Callable[[Context, By], dict[str, Any] | None],
) -> dict[str, Any]:
    _, context = checked(info, msp_id, operation_id, 1)
    result: dict[str, Any] = {"id": view_id, "ok": True}
    view = None
    try:
        view = act(context, By(msp_id, context.caller.name, operation_id))
    except Refusal as refusal:
        result |= {"ok": False, "refusal": vars(refusal)}
    if view is not None:
        result["id"] = view["view_id"]
    return {"operation_id": operation_id, "results": [result], "view": view}


def _refuse_bad(report: Report, msp_id: str, clock: Clock, wish: Wish) -> None:
    """Refusal BAD_VIEW or BAD_PARAMETER when a page could not show it."""
    settings = wish.settings
    if not 1 <= len(wish.name.strip()) <= LONGEST_NAME:
        raise Refusal("BAD_VIEW", f"A view's name has 1 to {LONGEST_NAME} characters.", "Choose another name.")
    if len(settings.filters) > MOST_FILTERS or any(len(v) > LONGEST_VALUE for v in settings.filters.values()):
        said = f"A view has at most {MOST_FILTERS} filters of at most {LONGEST_VALUE} characters."
        raise Refusal("BAD_VIEW", said, "Leave some out.")
    parameters = [("msp", msp_id), *((f"f.{column}", value) for column, value in settings.filters.items())]
    lists = {"cols": settings.columns, "sort": settings.sort, "group": settings.group}
    parameters += [(name, ",".join(values)) for name, values in lists.items() if values]
    parameters += [("range", settings.range)] if settings.range else []
    export = urls.asked(report, "csv", parameters, lambda: clock.today("UTC")).export
    if any(report.columns[key.name].kind is Kind.MONEY for key in export.order[: len(settings.group)]):
        raise urls.refused("group", "names money", "Group by another column.")
