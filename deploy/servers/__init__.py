"""The servers Trueup needs, found or started: PostgreSQL and RabbitMQ, for one machine and for the tests."""


class ServerError(RuntimeError):
    """A server could not be found, started or stopped; the message says what to do about it."""
