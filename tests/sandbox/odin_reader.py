"""(an account of the sandbox ODIN) -> a plain HTTP client that reads it, as a poller would."""

from typing import Any

import requests

from deploy.sandbox.odin import OdinAccount


class Reader:
    """Reads one account with requests; a token is taken at the start."""

    def __init__(self, odin: OdinAccount, *, log_in: bool = True) -> None:
        self.odin = odin
        self.http = requests.Session()
        self.http.headers["X-Subscription-Key"] = odin.secret
        if log_in:
            self.log_in()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def token(self, **changes: Any) -> requests.Response:
        """The answer to POST /token with the right credentials, or with some of them changed."""
        wanted = {"auth": (self.odin.user, self.odin.password), "json": {"marketplace": self.odin.marketplace}}
        return self.http.post(f"{self.odin.url}token", **(wanted | changes), timeout=5)

    def log_in(self) -> None:
        self.http.headers["Authorization"] = f"Bearer {self.token().json()['token']}"

    def ask(self, path: str, timeout: float = 5, **query: Any) -> requests.Response:
        return self.http.get(f"{self.odin.url}{path}", params=query, timeout=timeout)

    def read(self, path: str, **query: Any) -> Any:
        answer = self.ask(path, **query)
        answer.raise_for_status()
        return answer.json()

    def product(self, subscription_id: str = "1000823", place: int = 0) -> dict[str, Any]:
        return self.read(f"subscriptions/{subscription_id}")["products"][place]


def ids(page: dict[str, Any]) -> list[str]:
    """The ids of a page's rows, in order."""
    return [row["id"] for row in page["data"]]
