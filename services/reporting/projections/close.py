"""What people decided at the close of a month -> who accepted, signed off, reopened or invoiced what, when and why."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import close_acts

CLOSE = ReadModel("close", (close_acts,), ("CloseCheckAccepted", "CloseSignedOff", "CloseReopened", "CloseInvoiced"))
