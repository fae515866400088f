"""The locations from which a WSDL's documents may be loaded."""

from __future__ import annotations

from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit, urlunsplit

from moorage.domain.http.urls import same_origin

_WEB: Final = frozenset({"http", "https"})


def resolve_location(base: str, location: str) -> str:
    """Return the URL to which a document refers; an invalid location is returned unchanged."""
    try:
        return urldefrag(urljoin(base, location)).url
    except ValueError:
        return location


def may_load(root: str, url: str) -> bool:
    """Return whether a document that a WSDL refers to may be loaded from its URL.

    From the web it must have the origin of the WSDL; a file must be in the folder of the WSDL or
    below it, and no document from the web leads to a file.

    Args:
        root: the URL of the WSDL, as the caller passed it.
        url: the URL of the other document, without symbolic links if it is a file.
    """
    scheme = urlsplit(root).scheme
    if scheme in _WEB:
        return same_origin(root, url)
    folder = root.rpartition("/")[0] + "/"
    return url.startswith(folder) and ".." not in url.split("/")


def with_tls(address: str, root: str) -> str:
    """Return a port's address, with https if the WSDL came from the same host by https.

    Behind a proxy that ends TLS, many services write http into their own addresses.
    """
    if urlsplit(root).scheme != "https":
        return address
    try:
        parts = urlsplit(address)
        is_same_host = parts.hostname == urlsplit(root).hostname
        is_usual = parts.scheme == "http" and parts.port in {None, 80}
    except ValueError:
        return address
    if not is_same_host or not is_usual:
        return address
    return urlunsplit(("https", urlsplit(root).netloc, parts.path, parts.query, ""))
