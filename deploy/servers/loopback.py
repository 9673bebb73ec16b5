"""(address on this machine) -> its answer, asked for directly: a proxy that the user has set knows nothing of our ports."""

import requests


def get(url: str, seconds: float) -> requests.Response:
    """The answer; requests.RequestException when there is none within so many seconds."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=seconds)
