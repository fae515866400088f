"""Fixtures for tests of whatever calls services through mooring.

```python
def test_rate(mooring_manager, mooring_vendor):
    mooring_vendor.respond(503)
    mooring_vendor.respond_json({"rate": "0.19"})
    manager = mooring_manager([Service("vat", base_url="https://vat.example")])
    assert {"rate": "0.19"} == manager.call("vat", Request.get("/rates")).json()
```

| fixture | what it is |
|---|---|
| `mooring_clock` | a `VirtualClock`, and everything below goes by it |
| `mooring_sleeper`, `mooring_async_sleeper` | sleepers that make it advance |
| `mooring_vendor` | a `FakeVendor` |
| `mooring_observer` | a `RecordingObserver` |
| `mooring_manager`, `mooring_async_manager` | functions that make managers of all these |
| `mooring_cassette` | a `Cassette` of the test's own, in `cassettes` beside it |
| `mooring_redaction`, `mooring_secrets` | what cassettes mask; a project overrides them |
| `vendor_server` | a `VendorServer`: a vendor on a real port |

With `--mooring-record=once` a cassette that does not exist yet is recorded, with `all` every
cassette is recorded anew; by default nothing is, so that a test asks no vendor by accident.

Nothing is loaded before a test wants it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest

import mooring
from mooring import testing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mooring import AsyncConnectorManager, ConnectorManager, Secret, Service
    from mooring.domain.redaction import Redaction
    from mooring.testing.cassette import Cassette, Mode
    from mooring.testing.clock import AsyncVirtualSleeper, VirtualClock, VirtualSleeper
    from mooring.testing.http import FakeVendor
    from mooring.testing.http_server import VendorServer
    from mooring.testing.observer import RecordingObserver

_MODES: Final[dict[str, Mode]] = {"once": "once", "all": "record", "none": "replay"}
_LONGEST: Final = 80


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--mooring-record`."""
    parser.getgroup("mooring").addoption(
        "--mooring-record",
        choices=tuple(_MODES),
        default="none",
        help="which cassettes to record: those that do not exist yet, all, or (by default) none",
    )


@pytest.fixture
def mooring_clock() -> VirtualClock:
    """A clock that passes only when somebody sleeps or advances it."""
    return testing.VirtualClock()


@pytest.fixture
def mooring_sleeper(mooring_clock: VirtualClock) -> VirtualSleeper:
    """Sleeps by advancing the clock; `sleeps` says for how long."""
    return testing.VirtualSleeper(mooring_clock)


@pytest.fixture
def mooring_async_sleeper(mooring_clock: VirtualClock) -> AsyncVirtualSleeper:
    """Sleeps until every task sleeps, and then the clock jumps; `sleeps` says for how long."""
    return testing.AsyncVirtualSleeper(mooring_clock, autojump=True)


@pytest.fixture
def mooring_vendor() -> FakeVendor:
    """A vendor in memory, which has been told nothing yet."""
    return testing.FakeVendor()


@pytest.fixture
def mooring_observer() -> RecordingObserver:
    """Remembers every event of every manager of this test."""
    return testing.RecordingObserver()


@pytest.fixture
def mooring_manager(
    mooring_clock: VirtualClock,
    mooring_sleeper: VirtualSleeper,
    mooring_vendor: FakeVendor,
    mooring_observer: RecordingObserver,
) -> Iterator[Callable[..., ConnectorManager]]:
    """A function of services that makes a manager which reaches nobody but the fake vendor.

    It takes every port that `ConnectorManager` takes, in place of the fixture's.
    """
    made: list[ConnectorManager] = []

    def make(services: Iterable[Service], **ports: Any) -> ConnectorManager:
        ports = {
            "http": testing.ScriptedHttpClient(mooring_vendor),
            "sleeper": mooring_sleeper,
            **_shared(mooring_clock, mooring_observer),
            **ports,
        }
        manager = mooring.ConnectorManager(services, **ports)
        made.append(manager)
        return manager

    yield make
    for manager in made:
        manager.close()


@pytest.fixture
def mooring_async_manager(
    mooring_clock: VirtualClock,
    mooring_async_sleeper: AsyncVirtualSleeper,
    mooring_vendor: FakeVendor,
    mooring_observer: RecordingObserver,
) -> Callable[..., AsyncConnectorManager]:
    """As `mooring_manager`; what it makes is awaited."""

    def make(services: Iterable[Service], **ports: Any) -> AsyncConnectorManager:
        ports = {
            "http": testing.AsyncScriptedHttpClient(mooring_vendor),
            "sleeper": mooring_async_sleeper,
            **_shared(mooring_clock, mooring_observer),
            **ports,
        }
        return mooring.AsyncConnectorManager(services, **ports)

    return make


@pytest.fixture(scope="session")
def mooring_redaction() -> Redaction | None:
    """What cassettes mask by name or look; None is what mooring knows by itself."""
    return None


@pytest.fixture(scope="session")
def mooring_secrets() -> Iterable[Secret]:
    """What cassettes mask wherever it stands; the credentials a project records with."""
    return ()


@pytest.fixture
def mooring_cassette(
    request: pytest.FixtureRequest,
    mooring_redaction: Redaction | None,
    mooring_secrets: Iterable[Secret],
) -> Iterator[Cassette]:
    """The recorded exchanges of this test, in a file of its own beside it."""
    mode = _MODES[str(request.config.getoption("--mooring-record"))]
    with testing.Cassette(
        _tape_of(request), mode=mode, redaction=mooring_redaction, secrets=mooring_secrets
    ) as cassette:
        yield cassette


@pytest.fixture
def vendor_server() -> Iterator[VendorServer]:
    """A vendor on a real port of this machine."""
    with testing.VendorServer() as server:
        yield server


def _shared(clock: VirtualClock, observer: RecordingObserver) -> dict[str, Any]:
    return {
        "clock": clock,
        "observers": [observer],
        "ids": testing.SequentialIds(),
        "randomness": testing.ScriptedRandomness(),
    }


def _tape_of(request: pytest.FixtureRequest) -> Path:
    """Where a test's cassette is: no two tests share one, and its name can be read."""
    test = request.node.nodeid.partition("::")[2]
    name = re.sub(r"[^\w.\-]+", "-", test).strip("-")
    if len(name) > _LONGEST or name != test.replace("::", "-"):
        name = f"{name[:_LONGEST]}-{_digest(test)}"
    return request.path.parent / "cassettes" / request.path.stem / f"{name}.json"


def _digest(text: str) -> str:
    from hashlib import sha256  # noqa: PLC0415 - loaded when it is needed

    return sha256(text.encode()).hexdigest()[:8]
