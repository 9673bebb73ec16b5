"""A browser's part in signing in: it keeps cookies, sends its Origin, and asks by POST."""

from dataclasses import dataclass, field
from typing import Any

import requests
from sqlalchemy import Engine

from domain.keys import MspId
from gateway.people.breached import Breached
from gateway.people.links import choose_password
from gateway.people.permissions import Role
from gateway.people.users import Users
from plumbing.clock import Clock

PASSWORD = "four tall unusual giraffes"
SESSION = "__Host-trueup"
SIGN_IN = """mutation ($email: String!, $password: String!) {
    signIn(email: $email, password: $password) { mustChangePassword codeNeeded } }"""
ME = "{ me { email mustChangePassword msps { mspId role } } }"


@dataclass
class Browser:
    """One person's browser at a gateway."""

    url: str
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)
    origin: str = ""

    def post(self, query: str, **variables: Any) -> requests.Response:
        headers = {"origin": self.origin or self.url}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = {"query": query, "variables": variables}
        answer = requests.post(f"{self.url}/graphql", json=body, headers=headers, timeout=60)
        self.set_cookies = answer.raw.headers.getlist("set-cookie")
        for line in self.set_cookies:
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        return answer

    def data(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = self.post(query, **variables)
        assert answer.status_code == 200, answer.text
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]

    def refusal(self, query: str, **variables: Any) -> dict[str, Any]:
        """The first error's extensions, with its message and the answer's status."""
        answer = self.post(query, **variables)
        error = answer.json()["errors"][0]
        return error["extensions"] | {"message": error["message"], "status": answer.status_code}

    def code(self, query: str, **variables: Any) -> str:
        return self.refusal(query, **variables)["code"]

    def sign_in(self, email: str, password: str = PASSWORD) -> None:
        self.data(SIGN_IN, email=email, password=password)


def add_user(engine: Engine, msp_id: MspId, email: str, role: Role, password: str = PASSWORD) -> str:
    """The id of a user who has chosen a password."""
    invited = Users(engine, Clock(), "test").invite(msp_id, email, email.partition("@")[0], role)
    if invited.link:
        choose_password(engine, Clock(), Breached(""), invited.link, password)
    return invited.user_id
