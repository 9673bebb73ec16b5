"""The rows of the reliability tables, a test each, named after its row."""

QUEUE = "test.work"
