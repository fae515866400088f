"""The redacted request and response of a call, for the integration log.

Every value goes through the rules of the service's `Redaction`, and through the mask of the
credentials that were sent. Vendors' keys with a known prefix are masked everywhere. Values of
headers are shown only for headers on a list of harmless ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.domain.http.log_content import LARGEST_BODY
from moorage.domain.http.media_type import decode_body, essence
from moorage.domain.http.redaction import is_text, mask_keys
from moorage.domain.http.requests import join_url
from moorage.domain.secrets.sensitive import MASK
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.auth.sent_values import SentCredentials
    from moorage.domain.http.headers import Headers
    from moorage.domain.http.log_content import LogContent
    from moorage.domain.http.redaction import Redaction
    from moorage.domain.http.requests import Request, Response

_HEAD: Final = 4_096
"""The maximum number of bytes of a logged first line and headers."""

LONGEST_CONTENT: Final = LARGEST_BODY + _HEAD + 512
"""The maximum number of bytes of a stored request or response."""

_LINE: Final = 1_024
_VALUE: Final = 200
_MARGIN: Final = 4_096
_LONGEST_CHARACTER: Final = 4
_SAMPLE: Final = 65_536

_SHOWN_HEADERS: Final = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "age", "allow", "cache-control"),
        *("content-encoding", "content-language", "content-length", "content-range"),
        *("content-type", "date", "deprecation", "etag", "expires", "idempotency-key"),
        *("last-modified", "range", "ratelimit", "ratelimit-limit", "ratelimit-policy"),
        *("ratelimit-remaining", "ratelimit-reset", "request-id", "retry-after", "server"),
        *("sunset", "traceparent", "transfer-encoding", "user-agent", "vary", "via"),
        *("x-correlation-id", "x-ratelimit-limit", "x-ratelimit-remaining"),
        *("x-ratelimit-reset", "x-request-id"),
    }
)
"""The headers whose values the log shows; of others it shows only the name."""

_ID_HEADERS: Final = frozenset({"request-id", "traceparent", "x-correlation-id", "x-request-id"})
"""The shown headers whose value is an id that people give to the vendor or look up."""

_ID: Final = late_pattern(r"[\w.:/+=\-]{1,64}", re.ASCII)
"""The form of such an id, which is shorter than a signed token."""


class CallContent:
    """The latest request of a call and the response to it.

    The reader that stores them redacts them once, and then drops the originals. No `repr` shows
    them, and they cannot be pickled.

    Args:
        rules: the setting of the service.
        redaction: the redaction rules of the service.
        request: the request, without credentials.
        base_url: the base URL of the request's path.
        sent: masks the credentials that were sent with the request.

    Attributes:
        request, response: the redacted strings; None before `redact`, or without a response.
    """

    __slots__ = ("_originals", "_redaction", "_response", "_rules", "request", "response")

    def __init__(
        self,
        rules: LogContent,
        redaction: Redaction,
        request: Request,
        base_url: str,
        sent: SentCredentials,
    ) -> None:
        self._rules = rules
        self._redaction = redaction
        self._originals: tuple[Request, str, SentCredentials] | None = (request, base_url, sent)
        self._response: Response | None = None
        self.request: str | None = None
        self.response: str | None = None

    def __reduce__(self) -> str:
        raise TypeError("The content of a call cannot be pickled.")

    def includes(self, *, failed: bool) -> bool:
        """Return whether the log stores the content of a call with this outcome."""
        return self._rules.includes(failed=failed)

    def receive(self, response: Response) -> None:
        """Add the response of the call, without the body of a streamed response."""
        self._response = response

    def redact(self) -> None:
        """Turn the request and the response into redacted strings, and drop the originals."""
        if self._originals is None:
            return
        (request, base_url, sent_parts), response = self._originals, self._response
        self._originals = self._response = None
        url = self._redaction.query(mask_keys(sent_parts.text(join_url(base_url, request))))
        line = f"{request.method.value} {url}"
        self.request = self._text(line, request.headers, request.body, sent_parts)
        if response is not None:
            reason = self._redaction.words(sent_parts.text(response.reason or ""), _VALUE)
            line = f"HTTP {response.status} {reason}".rstrip()
            self.response = self._text(line, response.headers, response.body, sent_parts)

    def _text(self, line: str, headers: Headers, body: object, sent: SentCredentials) -> str:
        head = _cut_to_bytes(
            "\n".join((_cut_to_bytes(line, _LINE)[0], *self._headers(headers, sent))), _HEAD
        )[0]
        body_text = self._body(headers, body, sent)
        return f"{head}\n\n{body_text}" if body_text else head

    def _headers(self, headers: Headers, sent: SentCredentials) -> Iterator[str]:
        for name, value in self._redaction.headers(headers).pairs:
            lower_name, masked_value = name.lower(), MASK
            if lower_name in _SHOWN_HEADERS and value != MASK:
                unsent_value = sent.text(value)
                is_id = lower_name in _ID_HEADERS and _ID.fullmatch(unsent_value) is not None
                # The rules for free text would take a long id for a token.
                masked_value = (
                    mask_keys(unsent_value)
                    if is_id
                    else self._redaction.words(unsent_value, _VALUE)
                )
            yield f"{name}: {masked_value}"

    def _body(self, headers: Headers, body: object, sent: SentCredentials) -> str:
        if not isinstance(body, bytes):
            return "<a body that is streamed>"
        kind, limit = headers.get("content-type"), self._rules.max_body
        if not (is_text(kind) and _is_readable(body, kind)):
            return f"<{len(body)} bytes of {essence(kind)[:80] or 'an unknown type'}>"
        # A secret at the cut is found because the mask also reads some bytes beyond the cut.
        window = body[: (limit + _MARGIN) * _LONGEST_CHARACTER]
        text = mask_keys(sent.text(decode_body(window, kind).replace("\0", "")))
        body_bytes = text.encode(errors="replace")
        charset = f"{essence(kind)}; charset=utf-8" if kind else None
        redacted_text = self._redaction.body(body_bytes, charset, limit)
        shown_body, is_cut = _cut_to_bytes(redacted_text, limit)
        if is_cut or len(body_bytes) > limit:
            shown_body += f"\n[cut: the body has {len(body)} bytes]"
        return shown_body


def _is_readable(body: bytes, content_type: str | None) -> bool:
    """Return whether a body seems to be readable text, and not compressed."""
    text = decode_body(body[:_SAMPLE], content_type)
    return "\0" not in text and "\ufffd" not in text[:-_LONGEST_CHARACTER]


def _cut_to_bytes(text: str, limit: int) -> tuple[str, bool]:
    """Return a string cut to a number of bytes, and True if anything was cut off."""
    encoded = text.encode("utf-8", "backslashreplace")
    return encoded[:limit].decode("utf-8", "ignore"), len(encoded) > limit
