"""A host application, sync or async, that uses a strict authorisation server over sockets."""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    AsyncOAuthTokenRefresher,
    ClientCredentials,
    ConnectorManager,
    OAuthClient,
    OAuthTokenRefresher,
    Request,
    RetryPolicy,
    Service,
)
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage import OAuthCredentials, Response, Tls
    from tests.support.authorization_server import AuthorizationServer


class Erp:
    """A host application that calls the service `vat` with OAuth tokens."""

    def __init__(self, closing: AsyncExitStack, *, is_async: bool) -> None:
        self._closing = closing
        self.is_async = is_async
        self.events: list[Any] = []
        self.tokens: Any = None
        self.manager: Any = None

    def http(self, tls: Tls | None = None) -> Any:
        """Return an HTTP client, synchronous or asynchronous like the host."""
        http_client: Any = (
            AsyncStdlibHttpClient(tls=tls) if self.is_async else StdlibHttpClient(tls=tls)
        )
        self._closing.push_async_callback(lambda: self.settle(http_client.close()))
        return http_client

    def use_client(
        self,
        server: AuthorizationServer,
        client: OAuthClient,
        *,
        tls: Tls | None = None,
        at_the_resource: Tls | None = None,
        base_url: str | None = None,
        **options: Any,
    ) -> None:
        """Obtain tokens as this client, and use these TLS settings for tokens and resources."""
        refresher: Any = AsyncOAuthTokenRefresher if self.is_async else OAuthTokenRefresher
        self.tokens = refresher(
            {"vat": client},
            http=self.http(tls),
            retry=RetryPolicy(2, 0.01),
            observers=[self.events.append],
            **options,
        )
        service = Service(
            "vat",
            base_url=base_url or server.url,
            needs_credentials=True,
            retry=None,
            circuit=None,
        )
        manager: Any = AsyncConnectorManager if self.is_async else ConnectorManager
        self.manager = manager(
            [service],
            credentials=self.tokens,
            http=self.http(at_the_resource or tls),
            observers=[self.events.append],
        )

    def use_token(self, credentials: OAuthCredentials, *base_urls: str) -> None:
        """Call services `vat`, `vat-1` and so on with an existing token."""
        services = [
            Service(
                f"vat-{number}" if number else "vat",
                base_url=base_url,
                credentials=credentials,
                retry=None,
                circuit=None,
            )
            for number, base_url in enumerate(base_urls)
        ]
        manager: Any = AsyncConnectorManager if self.is_async else ConnectorManager
        self.manager = manager(services, http=self.http())

    async def settle(self, value: Any) -> Any:
        """Return a value, awaiting it first if it is awaitable."""
        return await value if inspect.isawaitable(value) else value

    async def call(self, request: Request | None = None, service: str = "vat") -> Response:
        """Call the service with this request, by default a GET of `/resource`."""
        result = Request.get("/resource", query={"q": "1"}) if request is None else request
        answer: Response = await self.settle(self.manager.call(service, result))
        return answer

    def count_events(self, name: str) -> int:
        """Return the number of recorded events of this class."""
        return sum(type(event).__name__ == name for event in self.events)


def in_sync_and_async(body: Callable[..., Coroutine[Any, Any, None]]) -> Any:
    """Run a test once synchronously and once asynchronously, with the host as first parameter."""
    _, *other_parameters = inspect.signature(body).parameters.values()

    async def run_body(*, is_async: bool, **options: Any) -> None:
        async with AsyncExitStack() as closing:
            await body(Erp(closing, is_async=is_async), **options)

    @pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
    def test(is_async: bool, **options: Any) -> None:
        asyncio.run(run_body(is_async=is_async, **options))

    functools.update_wrapper(test, body)
    del test.__dict__["__wrapped__"]
    async_parameter = inspect.Parameter("is_async", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__dict__["__signature__"] = inspect.Signature([async_parameter, *other_parameters])
    return test


def client_of_server(server: AuthorizationServer, /, **options: Any) -> OAuthClient:
    """Return the OAuth client that is registered first at a server."""
    first = server.clients[0]
    fields: dict[str, Any] = {
        "server": server.token_url,
        "client_id": first.id,
        "authentication": first.method,
        "grant": ClientCredentials(),
    }
    if first.method.startswith("client_secret"):
        fields["secret"] = first.secret
    return OAuthClient(**(fields | options))
