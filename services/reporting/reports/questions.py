"""Questions that only a person can answer: what became of a subscription or an agreement that ended."""

from sqlalchemy import func

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, living, of
from services.reporting.tables import questions

QUESTIONS = Report(
    "questions",
    "Question",
    "What became of a subscription or an agreement that ended, where only a person can say. Until then nothing is changed.",
    "questions",
    questions,
    living(questions, "questions"),
    columns(
        of(
            questions,
            "question_id",
            Kind.ID,
            "What tells it from all others: what answerQuestion takes.",
            nullable=False,
        ),
        of(
            questions,
            "kind",
            Kind.ID,
            "renewal (a subscription ended in ODIN) or agreement (one with relations ended in the PSA).",
        ),
        of(questions, "connection_id", Kind.ID, "The marketplace or PSA connection."),
        of(questions, "customer_id", Kind.ID, "The company in ODIN, or the customer in the PSA."),
        of(questions, "customer_name", Kind.TEXT, "Its name."),
        of(questions, "subject_id", Kind.ID, "The subscription or agreement that ended."),
        of(questions, "subject_name", Kind.TEXT, "Its name."),
        Column(
            "candidates",
            Kind.TEXT,
            func.reporting.candidates_in_words(questions.c.candidates),
            nullable=False,
            help="What could continue it, each with its id and what speaks for and against it.",
        ),
        of(questions, "state", Kind.ID, "open or settled."),
        of(questions, "asked_at", Kind.MOMENT, "Since when it is a question."),
        of(questions, "settled_at", Kind.MOMENT, "When it was settled."),
        of(
            questions,
            "settled_by",
            Kind.TEXT,
            "Who settled it: a person, or the service when it became clear by itself.",
        ),
        of(questions, "answer_id", Kind.ID, "What continues it. Null: nothing does."),
        of(questions, "answer_name", Kind.TEXT, "Its name."),
        of(questions, "reason", Kind.TEXT, "Why, as told."),
    ),
    "question_id",
    (Order("asked_at", descending=True),),
)
