"""All HTTP clients have the same constructor settings, and document them in the same way."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta
from typing import Any, Final

import pytest

from moorage.adapters.http.borrowed.aiohttp import AsyncAiohttpHttpClient
from moorage.adapters.http.borrowed.httpx2 import AsyncHttpx2HttpClient, Httpx2HttpClient
from moorage.adapters.http.borrowed.requests import RequestsHttpClient
from moorage.adapters.http.connections._settings import ConnectionSettings, settings_of
from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient

OTHERS: Final = {
    AsyncAiohttpHttpClient: {"session"},
    AsyncHttpx2HttpClient: {"client"},
    AsyncPyreqwestHttpClient: {"http2"},
    AsyncStdlibHttpClient: {"ssl_context"},
    Httpx2HttpClient: {"client"},
    PyreqwestHttpClient: {"http2"},
    RequestsHttpClient: {"session"},
    StdlibHttpClient: {"ssl_context"},
}
"""The arguments of each client besides the shared settings."""

each_client = pytest.mark.parametrize("kind", OTHERS, ids=lambda kind: kind.__name__)


@each_client
def test_arguments_are_the_shared_settings(kind: Any) -> None:
    """Each HTTP client accepts the common settings as keyword-only arguments."""
    shared_parameters = inspect.signature(ConnectionSettings).parameters
    parameters = inspect.signature(kind).parameters
    pyreqwest = {"max_head", "max_fields"} if "http2" in OTHERS[kind] else set()

    assert shared_parameters.keys() - pyreqwest | OTHERS[kind] == parameters.keys()
    assert {inspect.Parameter.KEYWORD_ONLY} == {value.kind for value in parameters.values()}
    assert [] == [
        name
        for name in shared_parameters.keys() - pyreqwest
        if shared_parameters[name] != parameters[name]
    ]


@each_client
def test_each_argument_is_explained_in_order(kind: Any) -> None:
    """Each HTTP client's docstring explains each constructor argument once, in order."""
    arguments = inspect.getdoc(kind).partition("\nArgs:\n")[2].partition("\n\n")[0]  # type: ignore[union-attr]  # it has one

    assert [*inspect.signature(kind).parameters] == re.findall(r"(?m)^    (\w+): ", arguments)


def test_settings_can_be_read_but_not_set() -> None:
    """An HTTP client's settings can be read in normalised form, but not set."""
    with StdlibHttpClient(max_connections=7, keep_alive=timedelta(minutes=1)) as client:
        assert (7, 60.0) == (client.max_connections, client.keep_alive)
        with pytest.raises(AttributeError):
            client.max_connections = 8


def test_client_that_lacks_settings_gets_defaults() -> None:
    """`settings_of` returns a client's settings, with defaults for those that the client lacks."""
    settings = settings_of(PyreqwestHttpClient(max_body=50))

    assert ConnectionSettings is type(settings)
    assert (50, 200) == (settings.max_body, settings.max_fields)
