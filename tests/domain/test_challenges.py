"""Parsing of `WWW-Authenticate` challenges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.challenges import Challenge, read_challenges, read_parameters
from moorage.domain.http.headers import Headers

latin = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]))


def read_challenges_in(*values: str) -> tuple[Challenge, ...]:
    """Return the challenges in these header fields."""
    return read_challenges(Headers([("WWW-Authenticate", value) for value in values]))


@pytest.mark.parametrize(
    "values, challenges",
    [
        ((), ()),
        (("",), ()),
        (("Negotiate",), (Challenge("negotiate", {}),)),
        (("Negotiate oRQwEqADCgEB==",), (Challenge("negotiate", {}, "oRQwEqADCgEB=="),)),
        (('Basic realm="a, b"',), (Challenge("basic", {"realm": "a, b"}),)),
        (
            ('Digest Realm = "say \\"hi\\"" , nonce=abc, Negotiate , Basic realm=x',),
            (
                Challenge("digest", {"realm": 'say "hi"', "nonce": "abc"}),
                Challenge("negotiate", {}),
                Challenge("basic", {"realm": "x"}),
            ),
        ),
        (
            ("Digest nonce=1", "Digest nonce=2"),
            (Challenge("digest", {"nonce": "1"}), Challenge("digest", {"nonce": "2"})),
        ),
        (("Digest nonce=1, nonce=2",), (Challenge("digest", {"nonce": "1"}),)),
        ((",, Digest nonce=1,, ,",), (Challenge("digest", {"nonce": "1"}),)),
    ],
)
def test_challenges_are_read_in_order(
    values: tuple[str, ...], challenges: tuple[Challenge, ...]
) -> None:
    """Each challenge's scheme is returned with its parameters or its token, in order."""
    assert challenges == read_challenges_in(*values)


def test_malformed_challenge_ends_the_reading() -> None:
    """Challenges before a malformed one are returned."""
    assert (Challenge("basic", {"realm": "x"}),) == read_challenges_in(
        'Basic realm=x, "stray", Digest nonce=1'
    )
    assert (Challenge("digest", {}),) == read_challenges_in('Digest "open')


@given(latin)
def test_any_value_can_be_read(value: str) -> None:
    """No `WWW-Authenticate` value makes parsing raise an error."""
    for challenge in read_challenges_in(value.strip()):
        assert challenge.scheme == challenge.scheme.lower()
    read_parameters(value)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), latin, max_size=4))
def test_escaped_quotes_and_backslashes_in_challenge_value_do_not_end_parameter(
    parameters: dict[str, str],
) -> None:
    """Escaped quotes and backslashes in a challenge's value do not end the parameter."""
    challenge_parameters = ", ".join(
        '{}="{}"'.format(name, text.replace("\\", "\\\\").replace('"', '\\"'))
        for name, text in parameters.items()
    )
    assert parameters == read_parameters(challenge_parameters)


def test_very_long_value_is_cut() -> None:
    """Only the first 16,384 characters of a `WWW-Authenticate` value are parsed."""
    assert () == read_challenges_in("," * 16_384 + "Basic realm=x")
