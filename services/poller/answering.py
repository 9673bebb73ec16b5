"""A person's answer to an unclear renewal -> rows and events, in one transaction that no poll of the connection cuts into."""

from sqlalchemy import Engine

from domain.keys import CompanyId
from plumbing.clock import Clock
from services.poller import known as rows
from services.poller.answer_renewal import Answer, NoAnswer, answer_renewal
from services.poller.detect_changes import Names
from services.poller.place import Place
from services.poller.record import Record


def take_answer(engine: Engine, clock: Clock, place: Place, answer: Answer) -> None:
    """Answers the question; the same answer again changes nothing. NoAnswer."""
    with engine.begin() as connection:
        # Whatever a poll stores, it first writes this row.
        connection.exec_driver_sql(
            """SELECT 1 FROM poller.connections WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s
               FOR UPDATE""",
            place.key,
        )
        company_id = connection.exec_driver_sql(
            """SELECT company_id FROM poller.subscriptions WHERE msp_id = %(msp_id)s
               AND connection_id = %(connection_id)s AND subscription_id = %(subscription_id)s""",
            place.key | {"subscription_id": answer.subscription_id},
        ).scalar()
        loaded = rows.load(connection, place, company_ids=[CompanyId(company_id)] if company_id else [])
        companies, _ = rows.companies(connection, place)
        names = Names(place.connection_id, {key: company.name for key, company in companies.items()})
        answered = answer_renewal(list(loaded.subscriptions.values()), answer, names)
        record = Record(place, loaded.versions, clock.now())
        record.add(answered.events)
        rows.put_subscriptions(connection, place, answered.subscriptions, loaded.prints, record.versions)
        record.append(connection, clock.now(), answer.by)


def refusal_of(fault: NoAnswer) -> dict[str, str]:
    """The refusal as the caller shows it."""
    return {"code": fault.code, "message": fault.message, "fix": fault.fix}
