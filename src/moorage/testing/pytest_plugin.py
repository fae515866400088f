"""Pytest fixtures for programs that call services through moorage.

```python
from moorage import Request, Service


def test_rate(moorage_manager, moorage_vendor):
    moorage_vendor.respond(503)
    moorage_vendor.respond_json({"rate": "0.19"})
    manager = moorage_manager([Service("vat", base_url="https://vat.example")])
    assert {"rate": "0.19"} == manager.call("vat", Request.get("/rates")).json()
```

| fixture | what it is |
|---|---|
| `moorage_clock` | a `VirtualClock`, which all fixtures below use |
| `moorage_sleeper`, `moorage_async_sleeper` | sleepers that make it advance |
| `moorage_vendor` | a `FakeVendor` |
| `moorage_observer` | a `RecordingObserver` |
| `moorage_manager`, `moorage_async_manager` | functions that make managers with all these |
| `moorage_cassette` | the test's own `Cassette`, in the folder `cassettes` beside the test |
| `moorage_redaction`, `moorage_secrets` | what cassettes mask; a project overrides them |
| `vendor_server` | a `VendorServer`: a vendor on a real port |

With `--moorage-record=once` a cassette that does not exist yet is recorded, with `all` every
cassette is recorded anew; by default none is recorded, so that a test never calls a vendor by
accident.

Modules are loaded only when a test uses a fixture.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest

import moorage
from moorage import testing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from moorage import AsyncConnectorManager, ConnectorManager, Secret, Service
    from moorage.domain.http.redaction import Redaction
    from moorage.testing.cassettes.cassette import Cassette, Mode
    from moorage.testing.fakes.clock import AsyncVirtualSleeper, VirtualClock, VirtualSleeper
    from moorage.testing.fakes.http import FakeVendor
    from moorage.testing.fakes.http_server import VendorServer
    from moorage.testing.fakes.observer import RecordingObserver

_MODES: Final[dict[str, Mode]] = {"once": "once", "all": "record", "none": "replay"}
_MAX_LENGTH: Final = 80


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option `--moorage-record` to pytest."""
    parser.getgroup("moorage").addoption(
        "--moorage-record",
        choices=tuple(_MODES),
        default="none",
        help="which cassettes to record: those that do not exist yet, all, or (by default) none",
    )


@pytest.fixture
def moorage_clock() -> VirtualClock:
    """A virtual clock that advances only when a task sleeps or a test advances it."""
    return testing.VirtualClock()


@pytest.fixture
def moorage_sleeper(moorage_clock: VirtualClock) -> VirtualSleeper:
    """A sleeper that advances the virtual clock, and records the durations in `sleeps`."""
    return testing.VirtualSleeper(moorage_clock)


@pytest.fixture
def moorage_async_sleeper(moorage_clock: VirtualClock) -> AsyncVirtualSleeper:
    """A sleeper that advances the virtual clock when all tasks sleep."""
    return testing.AsyncVirtualSleeper(moorage_clock, autojump=True)


@pytest.fixture
def moorage_vendor() -> FakeVendor:
    """A fake vendor in memory, without scripted responses yet."""
    return testing.FakeVendor()


@pytest.fixture
def moorage_observer() -> RecordingObserver:
    """An observer that records all events of this test's managers."""
    return testing.RecordingObserver()


@pytest.fixture
def moorage_manager(
    moorage_clock: VirtualClock,
    moorage_sleeper: VirtualSleeper,
    moorage_vendor: FakeVendor,
    moorage_observer: RecordingObserver,
) -> Iterator[Callable[..., ConnectorManager]]:
    """A function that makes a manager. Its services reach only the fake vendor.

    The function takes every port of `ConnectorManager` as an argument, to replace the fixture's
    port.
    """
    managers: list[ConnectorManager] = []

    def make_manager(services: Iterable[Service], **ports: Any) -> ConnectorManager:
        ports = {
            "http": testing.ScriptedHttpClient(moorage_vendor),
            "sleeper": moorage_sleeper,
            **_shared_fixtures(moorage_clock, moorage_observer),
            **ports,
        }
        manager = moorage.ConnectorManager(services, **ports)
        managers.append(manager)
        return manager

    yield make_manager
    for manager in managers:
        manager.close()


@pytest.fixture
def moorage_async_manager(
    moorage_clock: VirtualClock,
    moorage_async_sleeper: AsyncVirtualSleeper,
    moorage_vendor: FakeVendor,
    moorage_observer: RecordingObserver,
) -> Callable[..., AsyncConnectorManager]:
    """A function that makes an asynchronous manager. Its services reach only the fake vendor."""

    def make_manager(services: Iterable[Service], **ports: Any) -> AsyncConnectorManager:
        ports = {
            "http": testing.AsyncScriptedHttpClient(moorage_vendor),
            "sleeper": moorage_async_sleeper,
            **_shared_fixtures(moorage_clock, moorage_observer),
            **ports,
        }
        return moorage.AsyncConnectorManager(services, **ports)

    return make_manager


@pytest.fixture(scope="session")
def moorage_redaction() -> Redaction | None:
    """The names and patterns that cassettes mask; None for the defaults."""
    return None


@pytest.fixture(scope="session")
def moorage_secrets() -> Iterable[Secret]:
    """The values that cassettes mask everywhere, such as credentials used for recording."""
    return ()


@pytest.fixture
def moorage_cassette(
    request: pytest.FixtureRequest,
    moorage_redaction: Redaction | None,
    moorage_secrets: Iterable[Secret],
) -> Iterator[Cassette]:
    """A cassette that records this test's exchanges to a file, or replays them."""
    mode = _MODES[str(request.config.getoption("--moorage-record"))]
    with testing.Cassette(
        _tape_of(request), mode=mode, redaction=moorage_redaction, secrets=moorage_secrets
    ) as cassette:
        yield cassette


@pytest.fixture
def vendor_server() -> Iterator[VendorServer]:
    """A local server that plays a vendor."""
    with testing.VendorServer() as server:
        yield server


def _shared_fixtures(clock: VirtualClock, observer: RecordingObserver) -> dict[str, Any]:
    return {
        "clock": clock,
        "observers": [observer],
        "ids": testing.SequentialIds(),
        "randomness": testing.ScriptedRandomness(),
    }


def _tape_of(request: pytest.FixtureRequest) -> Path:
    """Return the unique and readable path of a test's cassette."""
    test = request.node.nodeid.partition("::")[2]
    name = re.sub(r"[^\w.\-]+", "-", test).strip("-")
    if len(name) > _MAX_LENGTH or name != test.replace("::", "-"):
        name = f"{name[:_MAX_LENGTH]}-{_digest(test)}"
    return request.path.parent / "cassettes" / request.path.stem / f"{name}.json"


def _digest(text: str) -> str:
    from hashlib import sha256  # noqa: PLC0415 - loaded when it is needed

    return sha256(text.encode()).hexdigest()[:8]
