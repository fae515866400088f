"""Names of headers, parameters and keys whose values are likely to be credentials."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "***"

_SENSITIVE_NAME = late_pattern(
    r"auth(?!or)|authori[sz]|cookie|token|secret|signature|passw|passphrase|credential|session"
    r"|appid|apikey|accesskey|privatekey|jwt|pwd|dpop"
    r"|key(?![a-z])|(?<![a-z])(?:sig|sid|otp|pin|cvv|cvc)(?![a-z])",
)
_IDEMPOTENCY = late_pattern(r"idempoten(?:cy|t)[-_]?key")

_SHORTEST_KEY: Final = 6

_BOT: Final = late_pattern(r"bot([0-9]+:([^/]{8,}))")
"""A pattern for a path segment with a bot's token, as Telegram has it."""

_SEGMENT: Final = late_pattern(
    r"bot[0-9]+:.+"
    r"|[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
    r"|.*(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{12,}.*"
)
"""A pattern for path segments that are more likely keys than names, such as a UUID."""


def is_sensitive(name: str) -> bool:
    """Return whether the value of a header, parameter or key of this name is likely a credential.

    In doubt, the answer is yes. An idempotency key is not a credential, because people look for it
    in logs.
    """
    lower_name = name.lower()
    return (
        _SENSITIVE_NAME.search(lower_name) is not None and _IDEMPOTENCY.search(lower_name) is None
    )


def is_secret_segment(segment: str, before: str = "") -> bool:
    """Return whether a segment of a URL's path is likely to be a credential.

    Args:
        segment: the segment as it appears in the URL.
        before: the segment before it, which may announce a credential, as in `/token/<value>`.
    """
    decoded_segment = unquote(segment)
    if (
        is_sensitive(before)
        and len(decoded_segment) >= _SHORTEST_KEY
        and any(map(str.isdigit, decoded_segment))
    ):
        return True
    return _SEGMENT.fullmatch(decoded_segment) is not None


def secret_segments(base_url: str) -> Iterator[str]:
    """Yield the credentials in the path of a service's URL."""
    segments = urlsplit(base_url).path.split("/")
    for previous_segment, segment in pairwise(segments):
        if is_secret_segment(segment, previous_segment):
            yield unquote(segment)


def bot_tokens(path: str) -> Iterator[str]:
    """Yield the bot tokens in a URL's path, and their secret parts."""
    for segment in unquote(path).split("/"):
        if match := _BOT.fullmatch(segment):
            yield from (match[0], match[1], match[2])
