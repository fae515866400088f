"""Performs every operation of a vendor in its sandbox, and records the requests."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.errors import ConnectorError
from moorage.hub.hub import Hub
from moorage.runtime.flows import run_now
from moorage.testing.fakes.http import ScriptedIncoming, with_whole_body
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandbox_scenarios import BASIC, BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.base import PIECE, SandboxHttpClient
from moorage.wiring.installed_vendors import vendor_class

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping

    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.testing.sandbox_scenarios.runner import Scenario
    from moorage.testing.sandboxes.base import Sandbox
    from moorage.testing.sandboxes.fixture import SandboxFixture


@attrs.frozen(kw_only=True)
class Exchange:
    """A request that a vendor sent to its sandbox, and the response.

    Attributes:
        use: the purpose of the request, such as the operation.
        request, url: the request, and the URL that it was sent to.
        response: the sandbox's response.
        route: the sandbox's pattern for such requests, if it has one.
        vendor: the sandbox account that sent it.
        options: the options of that account.
    """

    use: str
    request: Request
    url: str
    response: Response
    route: str | None
    vendor: Vendor
    options: Mapping[str, Any]


class _Recorder:
    """An HTTP client that reaches a sandbox and records its requests."""

    def __init__(self, use: str, fixture: SandboxFixture, sandbox: Sandbox, vendor: Vendor) -> None:
        self._use = use
        self._trade = fixture
        self._vendor = vendor
        self._sandbox = sandbox
        self._client = SandboxHttpClient(sandbox)
        self.exchanges: list[Exchange] = []

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Return the sandbox's response."""
        whole_request = run_now(with_whole_body(request, plain=True))
        response = self._client.send(whole_request, url, timeouts)
        self._keep(whole_request, url, response)
        return response

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> ScriptedIncoming:
        """Return the sandbox's response as a stream."""
        return ScriptedIncoming(self.send(request, url, timeouts), piece=PIECE)

    def close(self) -> None:
        """Do nothing, because there is nothing to close."""

    def _keep(self, request: Request, url: str, response: Response) -> None:
        route = self._sandbox.route(request.method.value, urlsplit(url).path)
        self.exchanges.append(
            Exchange(
                use=self._use,
                request=request,
                url=url,
                response=response,
                route=route,
                vendor=self._vendor,
                options=self._trade.options,
            )
        )


def recorded_exchanges(name: str) -> list[Exchange]:
    """Return the requests for all capabilities of a vendor; empty if it does not use HTTP.

    Raises:
        ConfigurationError: the vendor has no sandbox account.
    """
    exchanges: list[Exchange] = []
    for contract, use, scenario in _scenarios(vendor_class(name)):
        with TemporaryDirectory() as folder:
            fixture = fixture_of(name, Path(folder))
            try:
                exchanges += _exchanges_of(name, fixture, contract, use, scenario)
            finally:
                fixture.close()
    return exchanges


def _scenarios(kind: type[Vendor]) -> Iterator[tuple[str, str, Scenario]]:
    for contract in kind.kinds:
        for use, scenario in BASIC.get(contract, {}).items():
            yield contract, use, scenario
        for capability, scenario in BY_CAPABILITY.get(contract, {}).items():
            if capability in kind.capabilities:
                yield contract, str(capability), scenario


def _exchanges_of(
    name: str, fixture: SandboxFixture, contract: str, use: str, scenario: Scenario
) -> list[Exchange]:
    """Run a scenario, and return the requests that it sent."""
    if fixture.sandbox is None:
        return []
    account = fixture.account(vendor_class(name))
    recorder = _Recorder(use, fixture, fixture.sandbox, account.vendor)
    credentials = MemoryCredentialProvider()
    hub = Hub([account], http=recorder, credentials=credentials)
    with hub, suppress(ConnectorError):
        vendor = ScenarioVendor(
            operations=getattr(hub, contract)(), fixture=fixture, name=name, is_supported=True
        )
        run_now(_record_async(scenario(vendor)))
    return recorder.exchanges


async def _record_async(use: Awaitable[Any]) -> Any:
    return await use
