"""A parser of the challenges in `WWW-Authenticate` headers (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.http.headers import Headers

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - a grammar's word
_SEPARATORS: Final = re.compile(r"[ \t,]*")
_SCHEME: Final = re.compile(rf"({_TOKEN})(?:[ \t]+|(?=,)|\Z)")
_QUOTED: Final = r"(?:[^\"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~\x80-\xff])*"
_PARAMETER: Final = re.compile(
    rf"({_TOKEN})[ \t]*=[ \t]*(?:\"({_QUOTED})\"|({_TOKEN}))(?=[ \t]*(?:,|\Z))"
)
_TOKEN68: Final = re.compile(r"([A-Za-z0-9\-._~+/]+=*)[ \t]*(?=,|\Z)")
_ESCAPE: Final = re.compile(r"\\(.)")

LONGEST: Final = 16_384
"""The maximum number of characters of a header that are parsed."""


class Challenge(NamedTuple):
    """An authentication challenge in a server's response, such as `Digest realm="shop"`.

    Attributes:
        scheme: the name of the authentication scheme, in lower case.
        parameters: the parameters by name in lower case, without quotes.
        token: the value of a challenge that consists of one value instead of parameters.
    """

    scheme: str
    parameters: dict[str, str]
    token: str | None = None


def read_challenges(headers: Headers) -> tuple[Challenge, ...]:
    """Return the authentication challenges of a response, up to the first malformed one."""
    return tuple(
        challenge
        for value in headers.get_all("www-authenticate")
        for challenge in _challenges(value[:LONGEST])
    )


def read_parameters(value: str) -> dict[str, str]:
    """Return the parameters in a header value, up to the first invalid one."""
    parameters, _ = _parameters(value[:LONGEST], 0)
    return parameters


def _challenges(value: str) -> Iterator[Challenge]:
    position = _after_separators(value, 0)
    while position < len(value):
        scheme = _SCHEME.match(value, position)
        if scheme is None:
            return
        position = scheme.end()
        parameters, end = _parameters(value, position)
        token = None
        if not parameters and (word := _TOKEN68.match(value, position)) is not None:
            token, end = word[1], word.end()
        yield Challenge(scheme[1].lower(), parameters, token)
        position = _after_separators(value, end)


def _parameters(value: str, position: int) -> tuple[dict[str, str], int]:
    """Return the parameters that begin at a position, and the position after them.

    The first value of a repeated parameter counts.
    """
    parameters: dict[str, str] = {}
    while True:
        parameter_start = _after_separators(value, position)
        match = _PARAMETER.match(value, parameter_start)
        if match is None:
            return parameters, position
        name, quoted_string, word = match.groups()
        text = word if quoted_string is None else _ESCAPE.sub(r"\1", quoted_string)
        parameters.setdefault(name.lower(), text)
        position = match.end()


def _after_separators(value: str, position: int) -> int:
    match = _SEPARATORS.match(value, position)
    return position if match is None else match.end()
