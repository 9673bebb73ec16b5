"""`python -m gateway.schema > gateway/schema.graphql`: the schema's text, for clients and for the test that holds it equal."""

import sys

from gateway.schema import as_text

sys.stdout.write(as_text())
