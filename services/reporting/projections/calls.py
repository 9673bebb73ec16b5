"""CallsCounted -> how many calls went to each endpoint of an outside API, when, how they ended and how long they took."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import api_calls

CALLS = ReadModel("calls", (api_calls,), ("CallsCounted",))
