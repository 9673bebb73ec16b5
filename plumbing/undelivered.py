"""Why something could not be delivered this time."""


class Undelivered(Exception):
    """It was not taken, or may not have been; the message says why, for people. It is tried again."""
