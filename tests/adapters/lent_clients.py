"""The adapters of other libraries' clients, each as its own and on a client of its host's."""

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

LACKS: Final = {
    ("aiohttp", "a_flood_is_refused"): "it reads past a chunk's extension, however long that is",
    ("aiohttp", "fields_beyond_ascii_are_kept"): "it sends fields as UTF-8, and ours are Latin-1",
}
"""What a library cannot do, and why: in their documentation too."""


@cache
def trusting() -> ssl.SSLContext:
    """A context with the system's authorities; loading them may exceed short timeouts."""
    return ssl.create_default_context()


class _Trusting(HTTPAdapter):
    """Connects with a context of its own, as requests has it documented."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Leave the context as it is."""


def session(context: ssl.SSLContext | None = None) -> requests.Session:
    """A session that trusts whom the context trusts."""
    made = requests.Session()
    made.mount("https://", _Trusting(context or trusting()))
    return made


def client(context: ssl.SSLContext | None = None) -> httpx2.Client:
    """A client that trusts whom the context trusts."""
    return httpx2.Client(verify=context or trusting())


def async_client(context: ssl.SSLContext | None = None) -> httpx2.AsyncClient:
    """A client that trusts whom the context trusts."""
    return httpx2.AsyncClient(verify=context or trusting())


def async_session(context: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """A session that trusts whom the context trusts."""
    connector = aiohttp.TCPConnector(ssl=context or trusting(), limit=0)
    return aiohttp.ClientSession(connector=connector)


PLAIN: Final[dict[str, Callable[..., Any]]] = {
    "httpx2": Httpx2HttpClient,
    "requests": RequestsHttpClient,
}
AWAITED: Final[dict[str, Callable[..., Any]]] = {
    "httpx2": AsyncHttpx2HttpClient,
    "aiohttp": AsyncAiohttpHttpClient,
}


def on_client(context: ssl.SSLContext | None = None) -> Httpx2HttpClient:
    """An adapter on a client of its host's."""
    return Httpx2HttpClient(client=lambda: client(context))


def on_session(context: ssl.SSLContext | None = None) -> RequestsHttpClient:
    """An adapter on a session of its host's."""
    return RequestsHttpClient(session=lambda: session(context))


def on_async_client(context: ssl.SSLContext | None = None) -> AsyncHttpx2HttpClient:
    """An adapter on a client of its host's."""
    return AsyncHttpx2HttpClient(client=lambda: async_client(context))


def on_async_session(context: ssl.SSLContext | None = None) -> AsyncAiohttpHttpClient:
    """An adapter on a session of its host's."""
    return AsyncAiohttpHttpClient(session=lambda: async_session(context))


PLAIN_GIVEN: Final[dict[str, Callable[..., Any]]] = {"httpx2": on_client, "requests": on_session}
AWAITED_GIVEN: Final[dict[str, Callable[..., Any]]] = {
    "httpx2": on_async_client,
    "aiohttp": on_async_session,
}
