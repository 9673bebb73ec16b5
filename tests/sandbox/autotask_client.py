"""A bare SOAP 1.1 client for the tests of the sandbox: it sends what it is told and shows what came, errors included."""

import http.client
from dataclasses import dataclass
from xml.sax.saxutils import escape

import requests
from lxml import etree

from deploy.sandbox.autotask import Desk

NS = "http://autotask.net/ATWS/v1_6/"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
_ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:i="{xsi}"'
    ' xmlns:t="{ns}" xmlns="{ns}"><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>'
)


@dataclass
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def root(self) -> etree._Element:
        return etree.fromstring(self.body)

    def texts(self, name: str) -> list[str]:
        return [each.text or "" for each in self.root.iter(f"{{{NS}}}{name}", name)]

    def text(self, name: str) -> str:
        return self.texts(name)[0]

    @property
    def code(self) -> str:
        return self.text("ReturnCode")

    @property
    def errors(self) -> list[str]:
        return self.texts("Message")

    @property
    def entities(self) -> list[dict[str, str]]:
        return [
            {etree.QName(each).localname: each.text or "" for each in entity}
            for entity in self.root.iter(f"{{{NS}}}Entity")
        ]


@dataclass
class Client:
    """Speaks to one database; every part may be set wrong."""

    desk: Desk
    url: str = ""
    user: str = ""
    password: str = ""
    code: str | None = ""
    content_type: str = "text/xml; charset=utf-8"

    def call(self, operation: str, inner: str = "", timeout: float = 10) -> Answer:
        with requests.Session() as session:
            response = session.send(self.prepared(operation, inner), timeout=timeout)
            return Answer(response.status_code, response.content)

    def begin(self, operation: str, inner: str = "") -> http.client.HTTPConnection:
        """A call that is sent and not waited for; closing the line gives it up."""
        call = self.prepared(operation, inner)
        line = http.client.HTTPConnection(self.desk.base_url.removeprefix("http://"), timeout=10)
        line.request("POST", call.path_url, call.body, dict(call.headers))
        return line

    def prepared(self, operation: str, inner: str = "") -> requests.PreparedRequest:
        code = self.desk.tracking_identifier if self.code == "" else self.code
        header = (
            ""
            if code is None
            else f"<AutotaskIntegrations><IntegrationCode>{code}</IntegrationCode></AutotaskIntegrations>"
        )
        body = _ENVELOPE.format(xsi=XSI, ns=NS, header=header, body=f"<{operation}>{inner}</{operation}>")
        return requests.Request(
            "POST",
            self.url or self.desk.zone_url,
            data=body.encode(),
            auth=(self.user or self.desk.user, self.password or self.desk.password),
            headers={"SOAPAction": f'"{NS}{operation}"', "Content-Type": self.content_type},
        ).prepare()

    def query(self, entity: str, conditions: str = "", timeout: float = 10) -> Answer:
        return self.call("query", query_text(entity, conditions), timeout)

    def write(self, operation: str, entity: str, *rows: dict[str, object], timeout: float = 10) -> Answer:
        entities = "".join(
            f'<Entity i:type="t:{entity}"><id>{row.get("id", 0)}</id>'
            + "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in row.items() if name != "id")
            + "</Entity>"
            for row in rows
        )
        return self.call(operation, f"<Entities>{entities}</Entities>", timeout)

    def adjust(self, line_id: int, change: int, day: str = "2026-07-11", timeout: float = 10, **more: object) -> Answer:
        row = {"ContractServiceID": line_id, "EffectiveDate": f"{day}T00:00:00", "UnitChange": change, **more}
        return self.write("create", "ContractServiceAdjustment", row, timeout=timeout)


def query_text(entity: str, conditions: str = "") -> str:
    """The argument of a query."""
    text = f"<queryxml><entity>{entity}</entity><query>{conditions}</query></queryxml>"
    return f"<sXML>{escape(text)}</sXML>"


def where(field: str, op: str, value: object = "", join: str = "AND") -> str:
    """One condition of a query."""
    return f'<condition operator="{join}"><field>{field}<expression op="{op}">{escape(str(value))}</expression></field></condition>'
