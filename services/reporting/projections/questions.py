"""What became of a subscription or an agreement that ended, where only a person can say -> a row a question, open or settled."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import questions

QUESTIONS = ReadModel(
    "questions",
    (questions,),
    ("SubscriptionRenewalUnclear", "SubscriptionRenewalSettled", "AgreementMoveUnclear", "AgreementMoveSettled"),
)
