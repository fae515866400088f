"""Synchronous calls inside a running event loop cause a warning, because they block all tasks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import warnings

import pytest

from moorage import ConnectorManager, Request, Response, RetryPolicy, Service
from moorage.testing import Behaviour, FakeVendor, ScriptedHttpClient, VendorServer
from moorage.wiring.event_loop_warning import EventLoopWarning


def manager() -> ConnectorManager:
    """Return a manager whose vendor fails once and then succeeds."""
    vendor = FakeVendor()
    vendor.always(Response(200))
    retry = RetryPolicy(base_delay=0.001, max_attempts=2)
    service = Service("a", base_url="https://a.example", retry=retry)
    return ConnectorManager([service], http=ScriptedHttpClient(vendor))


def test_call_inside_a_loop_is_warned_of_once() -> None:
    """The first synchronous call inside an event loop causes a warning with the alternative."""
    calling = manager()

    async def call_in_loop() -> None:
        for _ in range(3):
            assert 200 == calling.call("a", Request.get("/")).status

    with pytest.warns(
        RuntimeWarning, match=r"Use AsyncConnectorManager or moorage\.aopen"
    ) as reports:
        asyncio.run(call_in_loop())
    assert 1 == len(reports)


def test_service_first_called_outside_a_loop_warns_inside_one() -> None:
    """Inside an event loop a service causes a warning, even if first called outside of it."""
    with VendorServer() as vendor, ConnectorManager([Service("a", base_url=vendor.url)]) as calling:
        vendor.always(Behaviour.of_json({}))
        for _ in range(2):
            calling.call("a", Request.get("/"))

        async def call_in_loop() -> int:
            return calling.call("a", Request.get("/")).status

        with pytest.warns(RuntimeWarning, match="blocks a running event loop"):
            assert 200 == asyncio.run(call_in_loop())


def test_later_calls_inside_a_loop_are_not_warned_of() -> None:
    """Later synchronous calls of a client inside an event loop do not warn again."""
    read = EventLoopWarning().wrap(lambda: 1)

    async def call_in_loop() -> None:
        assert 2 == read() + read()

    with pytest.warns(RuntimeWarning, match="blocks a running event loop") as reports:
        asyncio.run(call_in_loop())
    assert 1 == len(reports)


def test_pause_inside_a_loop_is_warned_of() -> None:
    """A pause before a retry inside an event loop causes a warning, too."""
    calling, tries = manager(), list[int]()

    def fail_once() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError

    async def call_in_loop() -> None:
        calling.run("a", fail_once)

    with pytest.warns(RuntimeWarning, match="blocks a running event loop"):
        asyncio.run(call_in_loop())
    assert 2 == len(tries)


def test_call_beside_a_loop_is_not_warned_of() -> None:
    """A synchronous call in another thread, or without an event loop, causes no warning."""
    calling = manager()

    async def call_in_loop() -> int:
        return (await asyncio.to_thread(calling.call, "a", Request.get("/"))).status

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 200 == asyncio.run(call_in_loop())
        assert 200 == calling.call("a", Request.get("/")).status


def test_warning_that_is_an_error_breaks_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """If warnings are errors, the call still succeeds, and the log has the notice."""

    async def call_in_loop() -> int:
        return manager().call("a", Request.get("/")).status

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 200 == asyncio.run(call_in_loop())
    assert [("moorage", "WARNING")] == [
        (record.name, record.levelname) for record in caplog.records
    ]
    assert "blocks a running event loop" in caplog.messages[0]


def test_check_for_an_event_loop_does_not_import_asyncio() -> None:
    """The check for an event loop does not import asyncio in a synchronous program."""
    program = (
        "import sys\n"
        "from moorage.wiring.event_loop_warning import EventLoopWarning\n"
        "before = 'asyncio' in sys.modules\n"
        "assert 1 == EventLoopWarning().wrap(lambda: 1)()\n"
        "sys.exit(before != ('asyncio' in sys.modules))\n"
    )

    assert 0 == subprocess.run([sys.executable, "-c", program], check=False).returncode
