"""The connector registry: order, health, and changes while connectors are in use."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, cast

import pytest

from moorage import AsyncConnectorManager, ConnectorManager, Service
from moorage.domain.connectors.dependencies import cycle_of, opening_order
from moorage.domain.connectors.description import ConnectorDescription
from moorage.domain.monitoring.health import HealthState
from moorage.errors import ConfigurationError, ConnectionFailed, InvalidData, LocalFailure
from moorage.hub.connectors_async import AsyncConnectors
from moorage.hub.connectors_sync import Connectors
from tests.adapters.forked import run_in_forked_child
from tests.connectors.connector_harness import (
    AsyncRecordingConnector,
    ConnectorsHarness,
    RecordingConnector,
    in_both_modes,
)
from tests.support.virtual_tasks import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


@in_both_modes
async def test_connectors_are_opened_in_order_of_their_dependencies(
    harness: ConnectorsHarness,
) -> None:
    """Connectors are opened in the order of their dependencies, and closed in reverse."""
    harness.add("base")
    harness.add("shop", "base")
    harness.add("report", "shop", "base")
    await harness.run(harness.registry.open, 7.0)
    assert ["open base 7", "open shop 7", "open report 7"] == harness.journal
    harness.journal.clear()
    await harness.run(harness.registry.close)

    assert ["close report", "close shop", "close base"] == harness.journal


@in_both_modes
async def test_connector_that_cannot_open_stops_the_others(harness: ConnectorsHarness) -> None:
    """If a connector cannot open, earlier connectors stay open.

    Later connectors are not opened.
    """
    harness.add("base")
    harness.add("shop", "base").failure = ConnectionFailed("down")
    harness.add("report", "shop")
    with pytest.raises(ConnectionFailed):
        await harness.run(harness.registry.open)

    assert ["open base 30", "open shop 30"] == harness.journal


@in_both_modes
async def test_time_limit_that_is_not_a_duration_is_refused(harness: ConnectorsHarness) -> None:
    """A time limit that is not a number of seconds is refused before a connector is touched.

    An event loop stops for ever if one of its timers is NaN.
    """
    harness.add("base")
    for timeout in (math.nan, 0, -1, "5"):
        wrong_calls: list[Callable[[], Any]] = [
            partial(harness.registry.open, timeout),
            partial(harness.registry.health, "base", timeout),
            partial(harness.registry.health_of_all, timeout),
            partial(harness.registry.run, "base", "read", timeout=timeout),
        ]
        for call in wrong_calls:
            with pytest.raises(ConfigurationError, match="duration"):
                await harness.run(call)

    assert [] == harness.journal


@in_both_modes
async def test_closing_registry_closes_every_connector(harness: ConnectorsHarness) -> None:
    """Closing the registry closes every connector, and raises the first error at the end."""
    harness.add("base")
    harness.add("shop", "base").failure = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        await harness.run(harness.registry.close)

    assert ["close shop", "close base"] == harness.journal


@in_both_modes
async def test_closed_registry_refuses_requests_and_connectors(harness: ConnectorsHarness) -> None:
    """A closed registry refuses requests and new connectors."""
    harness.add("base")
    await harness.run(harness.registry.close)

    with pytest.raises(LocalFailure, match="are closed"):
        harness.registry["base"]
    with pytest.raises(LocalFailure, match="are closed"):
        harness.add("base")


@in_both_modes
async def test_connector_is_got_by_its_class(harness: ConnectorsHarness) -> None:
    """The registry returns a connector, unless the caller asks for an object of another class."""
    diary = harness.add("base")
    assert diary is harness.registry.get("base", harness.kind)
    assert diary is harness.registry["base"]
    assert ("base" in harness.registry, "shop" in harness.registry) == (True, False)
    assert (["base"], 1) == (list(harness.registry), len(harness.registry))

    with pytest.raises(
        ConfigurationError, match=r"of the class (Async)?RecordingConnector, not dict"
    ) as excinfo:
        harness.registry.get("base", dict)
    assert "connectors.base.kind" == excinfo.value.path
    with pytest.raises(ConfigurationError, match="No connector is named 'shop'"):
        harness.registry["shop"]


@in_both_modes
async def test_names_and_dependencies_are_checked(harness: ConnectorsHarness) -> None:
    """A connector's name must be unused, and the connectors that it depends on must exist."""
    harness.add("base")
    with pytest.raises(ConfigurationError, match="Another connector is named 'base'"):
        harness.add("base")
    with pytest.raises(ConfigurationError, match="depends on 'stock'; it does not exist") as error:
        harness.add("shop", "stock")

    assert "connectors.shop.depends_on" == error.value.path


@in_both_modes
async def test_replaced_connector_closes_after_its_last_use(harness: ConnectorsHarness) -> None:
    """A `with` block keeps using a connector that is replaced.

    The old connector is closed after its last use.
    """
    old_connector = harness.add("base")
    first, second = harness.registry.use("base", harness.kind), harness.registry.use("base")
    assert old_connector is await harness.enter(first)
    assert old_connector is await harness.enter(second)
    new_connector = harness.diary("base")
    await harness.run(harness.registry.replace, new_connector)
    assert new_connector is harness.registry["base"]
    await harness.leave(first)
    assert [] == harness.journal
    await harness.leave(second)

    assert ["close base"] == harness.journal


@in_both_modes
async def test_removed_connector_that_nobody_uses_is_closed_at_once(
    harness: ConnectorsHarness,
) -> None:
    """A removed connector that nobody uses is closed at once, and cannot be used any more."""
    harness.add("base")
    await harness.run(harness.registry.remove, "base")

    assert ["close base"] == harness.journal
    assert [] == list(harness.registry)


@in_both_modes
async def test_connector_that_others_need_is_not_removed(harness: ConnectorsHarness) -> None:
    """A connector on which others depend is not removed, and the error names the others."""
    harness.add("base")
    harness.add("shop", "base")

    with pytest.raises(ConfigurationError, match="depend on 'base': shop"):
        await harness.run(harness.registry.remove, "base")
    assert [] == harness.journal


@in_both_modes
async def test_connector_in_use_survives_the_end_of_the_registry(
    harness: ConnectorsHarness,
) -> None:
    """A connector in use while the registry closes is closed by the last block that uses it."""
    harness.add("base")
    connector_use = harness.registry.use("base")
    await harness.enter(connector_use)
    await harness.run(harness.registry.close)
    assert [] == harness.journal
    await harness.leave(connector_use)

    assert ["close base"] == harness.journal


@in_both_modes
async def test_declared_connector_is_made_when_it_is_used(harness: ConnectorsHarness) -> None:
    """A declared connector is created at its first use; an unused connector is never created."""
    made: list[str] = []

    def build(name: str) -> Any:
        made.append(name)
        return harness.diary(name)

    for name in ("base", "unused"):
        harness.registry.declare(
            ConnectorDescription(name=name, kind="diary"), lambda name=name: build(name)
        )
    assert harness.registry["base"] is harness.registry["base"]
    await harness.run(harness.registry.close)

    assert (["base"], ["close base"]) == (made, harness.journal)


@in_both_modes
async def test_threads_share_the_connector_that_the_first_makes(harness: ConnectorsHarness) -> None:
    """If another thread is creating a connector, a thread waits and gets the same connector."""
    asking = Event()
    got: list[Any] = []

    def record_frame(frame: FrameType, event: str, _value: object) -> None:
        if event == "call" and frame.f_code.co_name == "_connector_of":
            asking.set()

    def get_connector() -> None:
        sys.setprofile(record_frame)
        got.append(harness.registry["base"])

    second = Thread(target=get_connector)

    def build() -> Any:
        second.start()
        assert asking.wait(PATIENCE)
        return harness.diary("base")

    harness.registry.declare(ConnectorDescription(name="base", kind="diary"), build)
    got.append(harness.registry["base"])
    second.join()

    assert got[0] is got[1]


@in_both_modes
async def test_connector_that_cannot_be_made_is_not_in_use(harness: ConnectorsHarness) -> None:
    """A connector that could not be created does not count as in use."""

    def raise_error() -> Any:
        raise ConfigurationError("wrong", path="x")

    harness.registry.declare(ConnectorDescription(name="base", kind="diary"), raise_error)
    connector_use = harness.registry.use("base")
    with pytest.raises(ConfigurationError, match="wrong"):
        await harness.enter(connector_use)
    await harness.leave(connector_use)
    await harness.run(harness.registry.remove, "base")

    assert [] == list(harness.registry)


@in_both_modes
async def test_health_of_disabled_connector_is_unknown(harness: ConnectorsHarness) -> None:
    """The health of a disabled connector is unknown, and it stays in the list."""
    description = ConnectorDescription(name="base", kind="diary", enabled=False)
    harness.registry.declare(description, lambda: harness.diary("base"))
    await harness.run(harness.registry.open)
    health = await harness.run(harness.registry.health, "base")

    assert [] == harness.journal
    assert (HealthState.UNKNOWN, "The connector is disabled.") == (health.state, health.text)
    assert not health.is_healthy
    assert (description,) == harness.registry.descriptions()
    with pytest.raises(ConfigurationError, match="'base' is disabled") as excinfo:
        harness.registry["base"]
    assert "connectors.base.enabled" == excinfo.value.path


@in_both_modes
async def test_unhealthy_connector_neither_hides_health_of_others_nor_reveals_secret(
    harness: ConnectorsHarness,
) -> None:
    """An unhealthy connector neither hides the health of other connectors nor reveals a secret."""
    assert () == await harness.run(harness.registry.health_of_all)
    harness.add("good")
    harness.add("bad").failure = ConnectionFailed("It is down.", remedy="Start it.")
    harness.add("odd").failure = OSError("password=secret")
    harness.add("slow").failure = TimeoutError()
    healths = await harness.run(harness.registry.health_of_all, 0.5)

    assert [
        ("good", HealthState.HEALTHY, None, None),
        ("bad", HealthState.UNAVAILABLE, "It is down.", "Start it."),
        ("odd", HealthState.UNAVAILABLE, "The check of the connector raised OSError.", None),
        ("slow", HealthState.UNAVAILABLE, "The connector did not answer within 0.5 seconds.", None),
    ] == [(health.connector, health.state, health.text, health.remedy) for health in healths]
    assert "ask good 0.5" in harness.journal


@in_both_modes
async def test_list_shows_what_is_known(harness: ConnectorsHarness) -> None:
    """The list shows the version, pool and operations of each connector that was created."""
    harness.add("base")
    harness.add("shop", "base")
    _, shop = harness.registry.descriptions()

    assert ("shop", "diary", True, 1, ("base",)) == (
        shop.name,
        shop.kind,
        shop.enabled,
        shop.version,
        shop.depends_on,
    )
    assert ("paper 1.0", 1, ("greet",)) == (
        shop.versions.library,
        shop.statistics.idle,
        shop.operations,
    )


@in_both_modes
async def test_only_created_connectors_with_connection_pool_appear_in_list_of_pools(
    harness: ConnectorsHarness,
) -> None:
    """Only created connectors with a connection pool appear in the list of pools."""
    harness.registry.declare(
        ConnectorDescription(name="unused", kind="diary"), lambda: harness.diary("unused")
    )
    harness.add("base")
    harness.add("paper").statistics = lambda: None

    assert [("base", "diary", 1)] == [
        (pool.connector, pool.kind, pool.statistics.idle) for pool in harness.registry.pools()
    ]


@in_both_modes
async def test_operation_runs_by_its_name(harness: ConnectorsHarness) -> None:
    """An operation called by name takes its arguments as plain JSON and returns plain JSON."""
    harness.add("base")
    run = harness.registry.run

    assert "Hello Ada" == await harness.run(run, "base", "greet", {"person": "Ada"})
    with pytest.raises(ConfigurationError, match="has no operation 'shout'") as excinfo:
        await harness.run(run, "base", "shout")
    assert "Use one of: greet." == excinfo.value.remedy
    with pytest.raises(InvalidData, match="has no argument 'whom'"):
        await harness.run(run, "base", "greet", {"whom": "Ada"})
    with pytest.raises(InvalidData, match="argument 'person' of the operation 'greet' is missing"):
        await harness.run(run, "base", "greet", {})
    with pytest.raises(InvalidData, match="not a string"):
        await harness.run(run, "base", "greet", {"person": 1})


@in_both_modes
async def test_adding_one_of_thousands_of_connectors_creates_none(
    harness: ConnectorsHarness,
) -> None:
    """Adding one of thousands of connectors creates none, and does not touch other connectors."""

    class UntouchableConnector:
        """A connector that fails the test if it is used at all."""

    for number in range(5000):
        description = ConnectorDescription(name=f"c{number}", kind="diary")
        harness.registry.declare(description, UntouchableConnector)
    harness.add("last")

    assert 5001 == len(harness.registry)
    assert harness.registry["last"] is harness.registry["last"]
    await harness.run(harness.registry.close)
    assert ["close last"] == harness.journal


def test_check_that_hangs_is_cancelled() -> None:
    """An asynchronous connector whose health check times out is reported as unavailable."""

    class HangingConnector(AsyncRecordingConnector):
        async def health(self, timeout: float, /) -> Any:  # type: ignore[override]  # awaited
            await asyncio.Event().wait()

    async def run() -> str | None:
        async with AsyncConnectors(AsyncConnectorManager([])) as connectors:
            connectors.add(HangingConnector("base", []))
            return (await connectors.health("base", 0.001)).text

    assert "The connector did not answer within 0.001 seconds." == asyncio.run(run())


def test_registry_closes_with_its_block() -> None:
    """The connector registry is a context manager that closes all connectors."""
    journal: list[str] = []
    with Connectors(ConnectorManager([])) as connectors:
        connectors.add(RecordingConnector("base", journal))

    assert ["close base"] == journal


def test_dependencies_in_a_circle_are_found() -> None:
    """For circular dependencies, the reported chain begins and ends with the same name."""
    chain = cycle_of({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]})

    assert chain[0] == chain[-1]
    assert {"a", "b", "c"} == set(chain)
    assert () == cycle_of({"a": ["b"], "b": []})


def test_unknown_dependencies_do_not_change_the_order() -> None:
    """Dependencies on unknown names do not affect the computed order."""
    assert ("a", "b") == opening_order({"b": ["a"], "a": ["elsewhere"]})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_child_makes_connector_that_parent_was_making() -> None:
    """If a fork happens while the parent creates a connector, the child can create it itself."""
    connectors = Connectors(ConnectorManager([Service("diaries")]))
    names: list[str] = []

    def use_in_child() -> str:
        names.append("in the child")
        signal.alarm(60)  # otherwise a child process waits for its parent's thread
        return str(connectors["diary"].name)

    def build() -> RecordingConnector:
        if not names:
            names.append(run_in_forked_child(use_in_child))
        return RecordingConnector("diary", [])

    connectors.declare(ConnectorDescription(name="diary", kind="diary"), cast("Any", build))
    with connectors.use("diary"):
        assert ["diary"] == names
