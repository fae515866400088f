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
from tests.connectors.connector_lab import (
    AsyncRecordingConnector,
    ConnectorsLab,
    RecordingConnector,
    in_both_modes,
)
from tests.support.virtual_tasks import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


@in_both_modes
async def test_connectors_are_opened_in_order_of_their_dependencies(lab: ConnectorsLab) -> None:
    """Connectors are opened in the order of their dependencies, and closed in reverse."""
    lab.add("base")
    lab.add("shop", "base")
    lab.add("report", "shop", "base")
    await lab.run(lab.registry.open, 7.0)
    assert ["open base 7", "open shop 7", "open report 7"] == lab.journal
    lab.journal.clear()
    await lab.run(lab.registry.close)

    assert ["close report", "close shop", "close base"] == lab.journal


@in_both_modes
async def test_connector_that_cannot_open_stops_the_others(lab: ConnectorsLab) -> None:
    """If a connector cannot open, earlier connectors stay open.

    Later connectors are not opened.
    """
    lab.add("base")
    lab.add("shop", "base").failure = ConnectionFailed("down")
    lab.add("report", "shop")
    with pytest.raises(ConnectionFailed):
        await lab.run(lab.registry.open)

    assert ["open base 30", "open shop 30"] == lab.journal


@in_both_modes
async def test_time_limit_that_is_not_a_duration_is_refused(lab: ConnectorsLab) -> None:
    """A time limit that is not a number of seconds is refused before a connector is touched.

    An event loop stops for ever if one of its timers is NaN.
    """
    lab.add("base")
    for timeout in (math.nan, 0, -1, "5"):
        wrong_calls: list[Callable[[], Any]] = [
            partial(lab.registry.open, timeout),
            partial(lab.registry.health, "base", timeout),
            partial(lab.registry.health_of_all, timeout),
            partial(lab.registry.run, "base", "read", timeout=timeout),
        ]
        for call in wrong_calls:
            with pytest.raises(ConfigurationError, match="duration"):
                await lab.run(call)

    assert [] == lab.journal


@in_both_modes
async def test_closing_registry_closes_every_connector(lab: ConnectorsLab) -> None:
    """Closing the registry closes every connector, and raises the first error at the end."""
    lab.add("base")
    lab.add("shop", "base").failure = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        await lab.run(lab.registry.close)

    assert ["close shop", "close base"] == lab.journal


@in_both_modes
async def test_closed_registry_refuses_requests_and_connectors(lab: ConnectorsLab) -> None:
    """A closed registry refuses requests and new connectors."""
    lab.add("base")
    await lab.run(lab.registry.close)

    with pytest.raises(LocalFailure, match="are closed"):
        lab.registry["base"]
    with pytest.raises(LocalFailure, match="are closed"):
        lab.add("base")


@in_both_modes
async def test_connector_is_got_by_its_class(lab: ConnectorsLab) -> None:
    """The registry returns a connector, unless the caller asks for an object of another class."""
    diary = lab.add("base")
    assert diary is lab.registry.get("base", lab.kind)
    assert diary is lab.registry["base"]
    assert ("base" in lab.registry, "shop" in lab.registry) == (True, False)
    assert (["base"], 1) == (list(lab.registry), len(lab.registry))

    with pytest.raises(
        ConfigurationError, match=r"of the class (Async)?RecordingConnector, not dict"
    ) as excinfo:
        lab.registry.get("base", dict)
    assert "connectors.base.kind" == excinfo.value.path
    with pytest.raises(ConfigurationError, match="No connector is named 'shop'"):
        lab.registry["shop"]


@in_both_modes
async def test_names_and_dependencies_are_checked(lab: ConnectorsLab) -> None:
    """A connector's name must be unused, and the connectors that it depends on must exist."""
    lab.add("base")
    with pytest.raises(ConfigurationError, match="Another connector is named 'base'"):
        lab.add("base")
    with pytest.raises(ConfigurationError, match="depends on 'stock'; it does not exist") as error:
        lab.add("shop", "stock")

    assert "connectors.shop.depends_on" == error.value.path


@in_both_modes
async def test_replaced_connector_closes_after_its_last_use(lab: ConnectorsLab) -> None:
    """A `with` block keeps using a connector that is replaced.

    The old connector is closed after its last use.
    """
    old_connector = lab.add("base")
    first, second = lab.registry.use("base", lab.kind), lab.registry.use("base")
    assert old_connector is await lab.enter(first)
    assert old_connector is await lab.enter(second)
    new_connector = lab.diary("base")
    await lab.run(lab.registry.replace, new_connector)
    assert new_connector is lab.registry["base"]
    await lab.leave(first)
    assert [] == lab.journal
    await lab.leave(second)

    assert ["close base"] == lab.journal


@in_both_modes
async def test_removed_connector_that_nobody_uses_is_closed_at_once(lab: ConnectorsLab) -> None:
    """A removed connector that nobody uses is closed at once, and cannot be used any more."""
    lab.add("base")
    await lab.run(lab.registry.remove, "base")

    assert ["close base"] == lab.journal
    assert [] == list(lab.registry)


@in_both_modes
async def test_connector_that_others_need_is_not_removed(lab: ConnectorsLab) -> None:
    """A connector on which others depend is not removed, and the error names the others."""
    lab.add("base")
    lab.add("shop", "base")

    with pytest.raises(ConfigurationError, match="depend on 'base': shop"):
        await lab.run(lab.registry.remove, "base")
    assert [] == lab.journal


@in_both_modes
async def test_connector_in_use_survives_the_end_of_the_registry(lab: ConnectorsLab) -> None:
    """A connector in use while the registry closes is closed by the last block that uses it."""
    lab.add("base")
    connector_use = lab.registry.use("base")
    await lab.enter(connector_use)
    await lab.run(lab.registry.close)
    assert [] == lab.journal
    await lab.leave(connector_use)

    assert ["close base"] == lab.journal


@in_both_modes
async def test_declared_connector_is_made_when_it_is_used(lab: ConnectorsLab) -> None:
    """A declared connector is created at its first use; an unused connector is never created."""
    made: list[str] = []

    def build(name: str) -> Any:
        made.append(name)
        return lab.diary(name)

    for name in ("base", "unused"):
        lab.registry.declare(
            ConnectorDescription(name=name, kind="diary"), lambda name=name: build(name)
        )
    assert lab.registry["base"] is lab.registry["base"]
    await lab.run(lab.registry.close)

    assert (["base"], ["close base"]) == (made, lab.journal)


@in_both_modes
async def test_threads_share_the_connector_that_the_first_makes(lab: ConnectorsLab) -> None:
    """If another thread is creating a connector, a thread waits and gets the same connector."""
    asking = Event()
    got: list[Any] = []

    def record_frame(frame: FrameType, event: str, _value: object) -> None:
        if event == "call" and frame.f_code.co_name == "_connector_of":
            asking.set()

    def get_connector() -> None:
        sys.setprofile(record_frame)
        got.append(lab.registry["base"])

    second = Thread(target=get_connector)

    def build() -> Any:
        second.start()
        assert asking.wait(PATIENCE)
        return lab.diary("base")

    lab.registry.declare(ConnectorDescription(name="base", kind="diary"), build)
    got.append(lab.registry["base"])
    second.join()

    assert got[0] is got[1]


@in_both_modes
async def test_connector_that_cannot_be_made_is_not_in_use(lab: ConnectorsLab) -> None:
    """A connector that could not be created does not count as in use."""

    def raise_error() -> Any:
        raise ConfigurationError("wrong", path="x")

    lab.registry.declare(ConnectorDescription(name="base", kind="diary"), raise_error)
    connector_use = lab.registry.use("base")
    with pytest.raises(ConfigurationError, match="wrong"):
        await lab.enter(connector_use)
    await lab.leave(connector_use)
    await lab.run(lab.registry.remove, "base")

    assert [] == list(lab.registry)


@in_both_modes
async def test_health_of_disabled_connector_is_unknown(lab: ConnectorsLab) -> None:
    """The health of a disabled connector is unknown, and it stays in the list."""
    description = ConnectorDescription(name="base", kind="diary", enabled=False)
    lab.registry.declare(description, lambda: lab.diary("base"))
    await lab.run(lab.registry.open)
    health = await lab.run(lab.registry.health, "base")

    assert [] == lab.journal
    assert (HealthState.UNKNOWN, "The connector is disabled.") == (health.state, health.text)
    assert not health.is_healthy
    assert (description,) == lab.registry.descriptions()
    with pytest.raises(ConfigurationError, match="'base' is disabled") as excinfo:
        lab.registry["base"]
    assert "connectors.base.enabled" == excinfo.value.path


@in_both_modes
async def test_unhealthy_connector_neither_hides_health_of_others_nor_reveals_secret(
    lab: ConnectorsLab,
) -> None:
    """An unhealthy connector neither hides the health of other connectors nor reveals a secret."""
    assert () == await lab.run(lab.registry.health_of_all)
    lab.add("good")
    lab.add("bad").failure = ConnectionFailed("It is down.", remedy="Start it.")
    lab.add("odd").failure = OSError("password=secret")
    lab.add("slow").failure = TimeoutError()
    healths = await lab.run(lab.registry.health_of_all, 0.5)

    assert [
        ("good", HealthState.HEALTHY, None, None),
        ("bad", HealthState.UNAVAILABLE, "It is down.", "Start it."),
        ("odd", HealthState.UNAVAILABLE, "The check of the connector raised OSError.", None),
        ("slow", HealthState.UNAVAILABLE, "The connector did not answer within 0.5 seconds.", None),
    ] == [(health.connector, health.state, health.text, health.remedy) for health in healths]
    assert "ask good 0.5" in lab.journal


@in_both_modes
async def test_list_shows_what_is_known(lab: ConnectorsLab) -> None:
    """The list shows the version, pool and operations of each connector that was created."""
    lab.add("base")
    lab.add("shop", "base")
    _, shop = lab.registry.descriptions()

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
    lab: ConnectorsLab,
) -> None:
    """Only created connectors with a connection pool appear in the list of pools."""
    lab.registry.declare(
        ConnectorDescription(name="unused", kind="diary"), lambda: lab.diary("unused")
    )
    lab.add("base")
    lab.add("paper").statistics = lambda: None

    assert [("base", "diary", 1)] == [
        (pool.connector, pool.kind, pool.statistics.idle) for pool in lab.registry.pools()
    ]


@in_both_modes
async def test_operation_runs_by_its_name(lab: ConnectorsLab) -> None:
    """An operation called by name takes its arguments as plain JSON and returns plain JSON."""
    lab.add("base")
    run = lab.registry.run

    assert "Hello Ada" == await lab.run(run, "base", "greet", {"person": "Ada"})
    with pytest.raises(ConfigurationError, match="has no operation 'shout'") as excinfo:
        await lab.run(run, "base", "shout")
    assert "Use one of: greet." == excinfo.value.remedy
    with pytest.raises(InvalidData, match="has no argument 'whom'"):
        await lab.run(run, "base", "greet", {"whom": "Ada"})
    with pytest.raises(InvalidData, match="argument 'person' of the operation 'greet' is missing"):
        await lab.run(run, "base", "greet", {})
    with pytest.raises(InvalidData, match="not a string"):
        await lab.run(run, "base", "greet", {"person": 1})


@in_both_modes
async def test_adding_one_of_thousands_of_connectors_creates_none(lab: ConnectorsLab) -> None:
    """Adding one of thousands of connectors creates none, and does not touch other connectors."""

    class UntouchableConnector:
        """A connector that fails the test if it is used at all."""

    for number in range(5000):
        description = ConnectorDescription(name=f"c{number}", kind="diary")
        lab.registry.declare(description, UntouchableConnector)
    lab.add("last")

    assert 5001 == len(lab.registry)
    assert lab.registry["last"] is lab.registry["last"]
    await lab.run(lab.registry.close)
    assert ["close last"] == lab.journal


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
