"""What the tests of connections ask."""

from collections.abc import Mapping

_STEPS = "steps { step ok milliseconds message fix }"
_ROWS = "operationId results { id ok refusal { code message fix } } version"
ASK = f"""{{ connections(mspId: "acme") {{
  kinds {{ kind fields {{ key default needed secret }} }}
  saved {{ id kind version savedAt savedBy settings {{ key value }} secrets {{ key isSet setAt setBy }}
    lastTest {{ version begunAt begunBy {_STEPS} }} }} }} }}"""
HISTORY = """query($id: String!) { connectionHistory(mspId: "acme", id: $id) {
  version savedAt savedBy changes { key before after } replacedSecrets settings { key value } } }"""
SAVE = f"""mutation($id: String!, $kind: ConnectionKindName!, $settings: [KeyAndValue!], $secrets: [KeyAndValue!],
  $version: Int!, $operation: String!) {{
  saveConnection(mspId: "acme", id: $id, kind: $kind, settings: $settings, secrets: $secrets, version: $version,
    operationId: $operation) {{ {_ROWS} }} }}"""
RESTORE = f"""mutation($id: String!, $toVersion: Int!, $version: Int!, $operation: String!) {{
  restoreConnection(mspId: "acme", id: $id, toVersion: $toVersion, version: $version, operationId: $operation) {{
    {_ROWS} }} }}"""
TEST = f"""mutation($id: String!, $kind: ConnectionKindName!, $settings: [KeyAndValue!], $secrets: [KeyAndValue!],
  $operation: String!) {{
  testConnection(mspId: "acme", id: $id, kind: $kind, settings: $settings, secrets: $secrets, operationId: $operation) {{
    {_ROWS} {_STEPS} }} }}"""


def pairs(given: Mapping[str, str]) -> list[dict[str, str]]:
    """As GraphQL takes settings and secrets."""
    return [{"key": key, "value": value} for key, value in given.items()]
