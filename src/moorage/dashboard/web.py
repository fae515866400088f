"""Requests and responses of the operations page, as values without a server."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import attrs

from moorage.dashboard.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.dashboard.markup import Html

LARGEST_BODY: Final = 65_536
"""Bytes that a form may have."""

_MOST_FIELDS: Final = 50
_SAFE_IN_PATHS: Final = "/~!$&'()*+,;=:@-._"
_OWN_SITES: Final = frozenset({"", "same-origin", "none"})
_STYLE_HASH: Final = b64encode(sha256(STYLE.encode()).digest()).decode()
_POLICY: Final = "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_SECURITY_HEADERS: Final = (
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; {_POLICY}",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)


class BadFormError(Exception):
    """Raised for a query or form that no page of the dashboard sends."""


def fields_of(text: str) -> dict[str, str]:
    """Return the fields of a query or a form.

    Raises:
        BadFormError: the text is malformed, a field appears twice, or a field has the character
            NUL, which no browser sends and PostgreSQL cannot compare.
    """
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise BadFormError from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or any("\0" in text for pair in pairs for text in pair):
        raise BadFormError
    return fields


def complete_body(body: bytes, content_length: str) -> bytes:
    """Return a body of which at most one byte over the limit was read; empty if it is incomplete.

    The sender of an incomplete form left before its end, which may be a shortened value.

    Args:
        body: the bytes that were read.
        content_length: the header Content-Length; "" without one.
    """
    if not (content_length.isascii() and content_length.isdigit()):
        return body
    is_too_large = len(content_length) > len(str(LARGEST_BODY))
    length = LARGEST_BODY + 1 if is_too_large else min(int(content_length), LARGEST_BODY + 1)
    return body if len(body) >= length else b""


@attrs.frozen(kw_only=True)
class PageRequest:
    """A request for a page.

    Attributes:
        method: the HTTP method, in upper case.
        root: the path at which the dashboard is mounted, without a slash at its end.
        path: the path below the root.
        query: the fields of the query.
        body: the body; a body of more than `LARGEST_BODY` bytes is refused.
        content_type: the media type of the body.
        host: the Host header.
        headers: the other headers that are used, in lower case: cookie, origin, sec-fetch-site.
        secure: True if the browser uses HTTPS.
    """

    method: str
    root: str = ""
    path: str
    query: str = ""
    body: bytes = attrs.field(default=b"", repr=False)
    content_type: str = ""
    host: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    secure: bool = False

    def form(self) -> dict[str, str]:
        """Return the fields of the form.

        Raises:
            BadFormError: the body is not a form, or too large.
        """
        kind = self.content_type.partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded" or len(self.body) > LARGEST_BODY:
            raise BadFormError
        return fields_of(self.body.decode("utf-8", "replace"))

    def cookie(self, name: str) -> str:
        """Return the value of a cookie; "" if it is missing."""
        pairs = (pair.partition("=") for pair in self.headers.get("cookie", "").split(";"))
        return next((value.strip() for key, _, value in pairs if key.strip() == name), "")

    def is_from_our_page(self) -> bool:
        """Return whether a form was sent from a page of this host, according to the browser."""
        origin = self.headers.get("origin")
        if self.headers.get("sec-fetch-site", "") not in _OWN_SITES:
            return False
        try:
            return origin is None or (bool(self.host) and urlsplit(origin).netloc == self.host)
        except ValueError:
            return False

    def link(self, path: str, /, **fields: object) -> str:
        """Return the URL of a page with query fields, except those that are None or empty."""
        query = urlencode(
            {name: str(value) for name, value in fields.items() if value not in {None, ""}},
            errors="replace",
        )
        return f"{quote(self.root, safe=_SAFE_IN_PATHS)}{path}{'?' if query else ''}{query}"


@attrs.frozen(kw_only=True)
class PageResponse:
    """A response of the operations page.

    Attributes:
        status: the status code.
        headers: all headers except Content-Length.
        body: the body.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = attrs.field(repr=False)


def html_page(document: Html, *, status: int = 200, cookies: Iterable[str] = ()) -> PageResponse:
    """Return a page of HTML."""
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        *_SECURITY_HEADERS,
        *(("Set-Cookie", cookie) for cookie in cookies),
    )
    return PageResponse(status=status, headers=headers, body=document.text.encode())


def see_other(url: str, *, cookies: Iterable[str] = ()) -> PageResponse:
    """Return the redirect (303) after a form, so that a reload does not send it again."""
    headers = (
        ("Location", url),
        ("Content-Type", "text/plain; charset=utf-8"),
        *_SECURITY_HEADERS,
        *(("Set-Cookie", cookie) for cookie in cookies),
    )
    return PageResponse(status=303, headers=headers, body=b"")


def cookie(request: PageRequest, name: str, value: str, *, seconds: int) -> str:
    """Return a Set-Cookie header with the attributes HttpOnly and SameSite."""
    path = quote(request.root, safe=_SAFE_IN_PATHS) or "/"
    secure = "; Secure" if request.secure else ""
    return f"{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
