"""URLs, and the joining of a service's base URL with a request's path.

The path is appended to the base's own path as text; doubled slashes stay, because some vendors give
them a meaning. A segment `.` or `..`, also percent-encoded, is refused: servers and proxies resolve
it, so it would lead to another object, or out of the base's path. Percent-encode the segments of a
path that is built from untrusted input. Characters that are not allowed in a URL are
percent-encoded; existing escapes stay.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, urlsplit

from moorage.domain.http.query import encode_pairs
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import is_encodable
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request

Origin: TypeAlias = "tuple[str, str, int]"
"""The scheme, host and port of a URL."""

_ABSOLUTE = late_pattern(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_ORIGIN = late_pattern(
    r"(?P<scheme>https?)://"
    r"(?P<host>[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?#].*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,  # otherwise a long s would match the s of https
)
_UNWANTED_CHARACTERS = late_pattern(r"[\s\x00-\x1f\x7f-\x9f]")
_PLACEHOLDER = late_pattern(r"[{}<>]")
_NUMBER = late_pattern(r"[0-9]+")
_PLAIN_PATH = late_pattern(r"[A-Za-z0-9\-._~/:@!$&'()*+,;=]*")
_PLAIN_BASE = late_pattern(r"https?://[A-Za-z0-9\-._:/]*")
_DOT_SEGMENT = late_pattern(r"(?:^|[/\\])(?:\.|%2e){1,2}(?:[/\\]|$)", re.IGNORECASE)
_STRAY_PERCENT = late_pattern(r"%(?![0-9A-Fa-f]{2})")
_PATH_SAFE = "/%:@!$&'()*+,;="
_QUERY_SAFE = _PATH_SAFE + "?"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535
_LONGEST_HOST = 254
_LONGEST_LABEL = 63


def validate_base_url(url: str) -> str:
    """Return the URL if it can be a service's base URL; otherwise raise an error."""
    if not _is_sendable(url):
        raise _base_url_error("is not a str, or contains white space or a control character")
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise _base_url_error("contains a user name or password")
    if "?" in url or "#" in url:
        raise _base_url_error("contains a query or a fragment")
    origin = origin_of(url)
    if origin is None:
        raise _base_url_error("is not an http or https URL with an ASCII host and a valid port")
    if _PLACEHOLDER.search(url):
        raise _base_url_error(
            "contains a placeholder in braces or angle brackets, but base URLs have no placeholders"
        )
    if not is_host(origin[1]):
        raise _base_url_error("contains a host that is not a valid name or address")
    return url


def validate_private_url(url: str) -> str:
    """Return a base URL that is safe for secrets: with TLS, or on this machine."""
    if is_sent_unencrypted(validate_base_url(url)):
        raise InvalidData(
            "The URL does not use TLS, so it would send secrets unencrypted over the network.",
            field="base_url",
            remedy="Use an https:// URL. Plain HTTP is allowed only on this machine.",
        )
    return url


def is_host(host: str) -> bool:
    """Return whether a string has the form of a host name or an IP address.

    An IPv6 address may be in brackets.
    """
    labels = host.removesuffix(".").split(".")
    if host.startswith("[") or ":" in host or all(map(_NUMBER.fullmatch, labels)):
        try:
            ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True
    return len(host) <= _LONGEST_HOST and all(0 < len(label) <= _LONGEST_LABEL for label in labels)


def validate_path(path: str) -> str:
    """Return a request's path or absolute URL, after checking that it is valid."""
    if not _is_sendable(path):
        raise _path_error("is not a str, or contains white space or a control character")
    if is_absolute(path):
        try:
            netloc = urlsplit(path).netloc
        except ValueError:
            raise _path_error("contains an invalid host") from None
        if "@" in netloc:
            raise _path_error("contains a user name or password")
    if ("." in path or "%2" in path) and _DOT_SEGMENT.search(
        path.partition("?")[0].partition("#")[0]
    ):
        raise InvalidData(
            "The path contains a segment '.' or '..', which leads to another path.",
            field="path",
            remedy="If the segment comes from user input, reject it. Percent-encoding does"
            " not help, because servers decode it. Otherwise write the path that it"
            " leads to.",
        )
    return path


def is_absolute(path: str) -> bool:
    """Return whether a request's path is an absolute URL."""
    return "://" in path and _ABSOLUTE.match(path) is not None


def origin_of(url: str) -> Origin | None:
    """Return the scheme, host and port of a URL; None if the scheme or the host is missing."""
    split_url = _split_origin(url)
    return None if split_url is None else split_url[0]


def same_origin(url: str, other: str) -> bool:
    """Return whether two URLs have the same scheme, host and port."""
    url_origin = origin_of(url)
    return url_origin is not None and url_origin == origin_of(other)


def is_sent_unencrypted(url: str) -> bool:
    """Return whether requests to this URL leave this machine unencrypted."""
    origin = origin_of(url)
    if origin is None or origin[0] == "https":
        return False
    host = origin[1].strip("[]").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def join_url(base_url: str, request: Request) -> str:
    """Return the URL of a request: base URL, path, and the queries of both.

    An absolute URL, such as a vendor's link to the next page, must have the base's origin, and
    replaces the base's path. A fragment is dropped.
    """
    if (
        not request.query
        and request.path[:1] == "/"
        and _PLAIN_PATH.fullmatch(request.path)
        and (plain_base := _plain_base(base_url)) is not None
    ):
        # A fast path for the usual case, in which nothing has to be encoded.
        return plain_base + request.path
    path = request.path.partition("#")[0]
    if is_absolute(path):
        split_url = _same_origin(base_url, path)
        if split_url is None:
            # The frame that raises the error must not show secrets in the URL's query.
            del path
            raise InvalidData(
                "The request's URL has another origin. It must have the origin of the base URL.",
                field="path",
                remedy="Pass a path, or declare the other host as a separate service.",
            )
        prefix, path = split_url
    else:
        prefix = base_url.rstrip("/") if path else base_url
    path, _, query = path.partition("?")
    if path and path[0] != "/":
        path = f"/{path}"
    parts = [_escape(query, _QUERY_SAFE), encode_pairs(request.query)]
    query = "&".join(part for part in parts if part)
    url = _escape(prefix, _PATH_SAFE + "[]") + _escape(path, _PATH_SAFE)
    return f"{url}?{query}" if query else url


@lru_cache(maxsize=256)
def _plain_base(base_url: str) -> str | None:
    """Return a base URL without slashes at its end; None if it has something to encode."""
    return base_url.rstrip("/") if _PLAIN_BASE.fullmatch(base_url) else None


def _same_origin(base_url: str, url: str) -> tuple[str, str] | None:
    """Return the base URL's origin and the URL's rest; None if the two origins differ."""
    own_pair, foreign_pair = _split_origin(base_url), _split_origin(url)
    if own_pair is None or foreign_pair is None or own_pair[0] != foreign_pair[0]:
        return None
    return base_url[: len(base_url) - len(own_pair[1])], foreign_pair[1]


def _split_origin(url: str) -> tuple[Origin, str] | None:
    """Split a URL into its origin (scheme, host, port) and the rest of its text."""
    match = _ORIGIN.fullmatch(url)
    if match is None:
        return None
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
    if not 0 < port <= _LAST_PORT:
        return None
    return (scheme, match["host"].lower(), port), match["rest"] or ""


def _is_sendable(text: object) -> bool:
    if not isinstance(text, str):
        return False
    if text.isascii():
        return text.isprintable() and " " not in text
    return is_encodable(text) and not _UNWANTED_CHARACTERS.search(text)


def _escape(text: str, safe: str) -> str:
    if _PLAIN_PATH.fullmatch(text):
        return text
    return quote(_STRAY_PERCENT.sub("%25", text), safe=safe)


def _base_url_error(reason: str) -> InvalidData:
    return InvalidData(
        f"The base URL {reason}.",
        field="base_url",
        remedy="Use only a scheme, a host and a path, such as 'https://api.example/v1'."
        " Configure credentials and parameters in their own settings.",
    )


def _path_error(why: str) -> InvalidData:
    return InvalidData(
        f"The path {why}.",
        field="path",
        remedy="Percent-encode the parts of the path, and pass parameters as query=....",
    )
