"""Functions that make HTTP adapters over clients of requests, httpx2 and aiohttp, for the tests."""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import httpx2
import requests
from requests.adapters import HTTPAdapter

from moorage.adapters.http.borrowed.aiohttp import AsyncAiohttpHttpClient
from moorage.adapters.http.borrowed.httpx2 import AsyncHttpx2HttpClient, Httpx2HttpClient
from moorage.adapters.http.borrowed.requests import RequestsHttpClient

if TYPE_CHECKING:
    from collections.abc import Callable

UNSUPPORTED: Final = {
    ("aiohttp", "a_flood_is_refused"): "it reads past a chunk's extension, however long that is",
    ("aiohttp", "fields_beyond_ascii_are_kept"): "it sends fields as UTF-8, and ours are Latin-1",
}
"""The checks that a library cannot pass, with the reason, which the documentation states too."""


@cache
def system_context() -> ssl.SSLContext:
    """Return a TLS context that trusts the system's authorities, loaded before timeouts begin."""
    return ssl.create_default_context()


class _TlsContextAdapter(HTTPAdapter):
    """A transport adapter for requests that uses the given TLS context."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Do nothing, so that requests does not change the TLS context."""


def session(context: ssl.SSLContext | None = None) -> requests.Session:
    """Return a requests session that uses this TLS context."""
    new_session = requests.Session()
    new_session.mount("https://", _TlsContextAdapter(context or system_context()))
    return new_session


def client(context: ssl.SSLContext | None = None) -> httpx2.Client:
    """Return a synchronous httpx2 client that uses this TLS context."""
    return httpx2.Client(verify=context or system_context())


def async_client(context: ssl.SSLContext | None = None) -> httpx2.AsyncClient:
    """Return an asynchronous httpx2 client that uses this TLS context."""
    return httpx2.AsyncClient(verify=context or system_context())


def async_session(context: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """Return an aiohttp session that uses this TLS context."""
    connector = aiohttp.TCPConnector(ssl=context or system_context(), limit=0)
    return aiohttp.ClientSession(connector=connector)


SYNC: Final[dict[str, Callable[..., Any]]] = {
    "httpx2": Httpx2HttpClient,
    "requests": RequestsHttpClient,
}
ASYNC: Final[dict[str, Callable[..., Any]]] = {
    "httpx2": AsyncHttpx2HttpClient,
    "aiohttp": AsyncAiohttpHttpClient,
}


def on_client(context: ssl.SSLContext | None = None) -> Httpx2HttpClient:
    """Return an HTTP adapter for an httpx2 client that an application's function creates."""
    return Httpx2HttpClient(client=lambda: client(context))


def on_session(context: ssl.SSLContext | None = None) -> RequestsHttpClient:
    """Return an HTTP adapter for a requests session that an application's function creates."""
    return RequestsHttpClient(session=lambda: session(context))


def on_async_client(context: ssl.SSLContext | None = None) -> AsyncHttpx2HttpClient:
    """Return an HTTP adapter for an httpx2 AsyncClient that an application's function creates."""
    return AsyncHttpx2HttpClient(client=lambda: async_client(context))


def on_async_session(context: ssl.SSLContext | None = None) -> AsyncAiohttpHttpClient:
    """Return an HTTP adapter for an aiohttp session that an application's function creates."""
    return AsyncAiohttpHttpClient(session=lambda: async_session(context))


SYNC_BORROWED: Final[dict[str, Callable[..., Any]]] = {"httpx2": on_client, "requests": on_session}
ASYNC_BORROWED: Final[dict[str, Callable[..., Any]]] = {
    "httpx2": on_async_client,
    "aiohttp": on_async_session,
}
