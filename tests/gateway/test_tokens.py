"""Counting the tokens of a request without reading it: as many as GraphQL's own reader finds, as quick as it is long."""

import pytest
from graphql import GraphQLSyntaxError, Lexer, Source, TokenKind
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.errors import Refusal
from gateway.limits import _TOKENS, MOST_TOKENS, refuse_long

PIECES = st.sampled_from(
    [
        *("{", "}", "(", ")", "[", "]", ":", "=", "!", "$", "&", "|", "@", "...", "name", "_x1", "-1", "1.5e-3", "0"),
        *('"text"', '""', '"a \\" # b"', '"""block"""', '""""""', '"""a "quoted" \\""" # b"""', '"é\\u0041"'),
        *("# a comment\n", "#\n", " ", ",", "\n", "\r\n", "\t", "\ufeff"),
    ]
)


def counted(text: str) -> int:
    return sum(1 for token in _TOKENS.findall(text) if token)


@given(st.lists(PIECES, max_size=40).map(" ".join))
def test_as_many_as_the_reader_finds(text: str) -> None:
    reader, found = Lexer(Source(text)), 0
    try:
        while reader.advance().kind is not TokenKind.EOF:
            found += reader.token.kind is not TokenKind.COMMENT
    except GraphQLSyntaxError:
        assume(False)

    assert counted(text) == found


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ['"""', '"\\', '\\"""', '"', '""" \\"""', "#", '"\n', "-", "x", "\\", " "])
def test_no_text_takes_long_to_count(piece: str) -> None:
    # Thirty times what a request may have: whoever looks again from each place is at it for hours.
    counted(piece * (2**20 // len(piece)))


def test_so_many_and_no_more() -> None:
    refuse_long("x " * MOST_TOKENS)

    with pytest.raises(Refusal, match=f"at most {MOST_TOKENS} tokens"):
        refuse_long("x " * (MOST_TOKENS + 1))
