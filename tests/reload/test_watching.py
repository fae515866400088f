"""Automatic reloads of the configuration: after a change of its file, or on a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import (
    ConfigurationError,
    ConnectorError,
    Event,
    LocalFailure,
    Reloaded,
    ReloadFailed,
    Request,
    StorageUnavailable,
)
from moorage.adapters.audit.file import FileAudit
from moorage.hub.audit import AuditTrail
from moorage.hub.origin import Origin
from moorage.hub.reloading import AsyncConfigurationWatch, ConfigurationWatch
from tests.adapters.forked import run_in_forked_child
from tests.reload.harness import ReloadHarness, result_of, services
from tests.support.threads import no_new_threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio
EITHER = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
SHORT_INTERVAL = 0.005


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests in an asyncio event loop."""
    return "asyncio"


class EventRecorder:
    """An observer that records events and can wait for the next."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self._more = threading.Condition()

    def __call__(self, event: Event) -> None:
        """Record an event."""
        with self._more:
            self.told.append(event)
            self._more.notify_all()

    def wait_for(self, kind: type[Event], count: int = 1) -> Any:
        """Wait for this many events of a kind, and return the last."""

        def reports_of_kind() -> list[Event]:
            return [report for report in self.told if isinstance(report, kind)]

        with self._more:
            assert self._more.wait_for(lambda: len(reports_of_kind()) >= count, 30)
        return reports_of_kind()[-1]

    async def later(self, kind: type[Event], count: int = 1) -> Any:
        """Wait asynchronously, as `wait_for` does."""
        return await asyncio.to_thread(self.wait_for, kind, count)


@EITHER
async def test_manual_check_for_changes(tmp_path: Path, is_async: bool) -> None:
    """A check does not read an unchanged configuration file, and reports an invalid one once."""
    harness, path = ReloadHarness(), services(tmp_path / "moorage.toml", vat="https://one.example")
    hub = harness.open(path, is_async=is_async)
    watch = hub.watch()

    assert await result_of(watch.check()) is None
    services(path, vat="https://two.example")
    assert ("services.vat",) == (await result_of(watch.check())).changed
    path.write_text("[services.vat]\nspeed = 1\n")
    assert await result_of(watch.check()) is None
    assert await result_of(watch.check()) is None
    (failed_event,) = harness.kinds(ReloadFailed)
    path.unlink()
    assert await result_of(watch.check()) is None
    assert ("configuration", "services.vat.speed") == (
        failed_event.service,
        vars_of(failed_event)["path"],
    )
    assert 2 == len(harness.kinds(ReloadFailed))

    services(path, vat="https://three.example")
    assert ("services.vat",) == (await result_of(watch.check())).changed
    assert () == (await result_of(watch.check(anyway=True))).changed
    await result_of(hub.manager.call("vat", Request.get("/a")))
    assert ["https://three.example/a"] == harness.sent


@EITHER
async def test_watch_follows_the_hub_to_another_file(tmp_path: Path, is_async: bool) -> None:
    """After a reload from another file, the watch looks at that file."""
    harness, first_path = ReloadHarness(), services(tmp_path / "a.toml", vat="https://one.example")
    second_path = services(tmp_path / "b.toml", vat="https://two.example")
    hub = harness.open(first_path, is_async=is_async)
    watch = hub.watch()

    await result_of(hub.reload(second_path))
    await result_of(watch.check())
    services(first_path, vat="https://three.example")
    assert await result_of(watch.check()) is None
    services(second_path, vat="https://four.example")
    assert ("services.vat",) == (await result_of(watch.check())).changed
    await result_of(hub.manager.call("vat", Request.get("/a")))
    assert ["https://four.example/a"] == harness.sent


@EITHER
async def test_file_stays_the_same_in_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    """A process that changes its working directory goes on reading the file that it opened."""
    path = services(tmp_path / "moorage.toml", vat="https://one.example")
    monkeypatch.chdir(tmp_path)
    hub = ReloadHarness().open("moorage.toml", is_async=is_async)
    watch = hub.watch()
    monkeypatch.chdir("/")

    services(path, vat="https://two.example")
    assert ("services.vat",) == (await result_of(watch.check())).changed
    assert () == (await result_of(hub.reload())).changed


@EITHER
async def test_reload_is_tried_again_after_an_outage(tmp_path: Path, is_async: bool) -> None:
    """A change that the audit trail could not record is applied once the trail is back."""
    harness, path = ReloadHarness(), services(tmp_path / "moorage.toml", vat="https://one.example")
    storage = _AuditWithOutage(tmp_path / "audit.jsonl")
    hub = harness.open(path, is_async=is_async, audit=AuditTrail(storage))
    watch = hub.watch()
    services(path, vat="https://two.example")

    storage.is_away = True
    assert await result_of(watch.check()) is None
    assert await result_of(watch.check()) is None
    assert 2 == len(harness.kinds(ReloadFailed))
    storage.is_away = False

    assert ("services.vat",) == (await result_of(watch.check())).changed
    assert await result_of(watch.check()) is None


@EITHER
async def test_reload_is_tried_again_after_an_unreadable_secret(
    tmp_path: Path, is_async: bool
) -> None:
    """A file whose secret is not readable yet is read again at each check until it is."""
    harness, path = ReloadHarness(), services(tmp_path / "moorage.toml", vat="https://one.example")
    hub = harness.open(path, is_async=is_async)
    watch = hub.watch()
    content = path.read_text()
    path.write_text(f'{content}\ncredentials = "secret://file/vat-key"\n')

    assert await result_of(watch.check()) is None
    assert await result_of(watch.check()) is None
    assert 2 == len(harness.kinds(ReloadFailed))
    (tmp_path / "vat-key").write_text("a-key-of-the-vat-service")

    assert ("services.vat",) == (await result_of(watch.check())).changed
    assert await result_of(watch.check()) is None


@EITHER
async def test_watch_goes_on_after_a_reload_that_raised_anything(
    tmp_path: Path, is_async: bool
) -> None:
    """A foreign exception of a reload is reported without its text, and the watch goes on."""
    path = services(tmp_path / "moorage.toml", vat="https://one.example")
    reloads, failures = threading.Semaphore(0), list[ConnectorError]()
    has_failed = threading.Event()

    def fail(error: ConnectorError) -> None:
        failures.append(error)
        has_failed.set()

    def reload() -> Any:
        reloads.release()
        if not has_failed.is_set():
            raise RuntimeError("password=swordfish")
        return None

    async def reload_later() -> Any:
        return reload()

    def origin() -> Origin:
        return Origin(path, read_nothing)

    watch: Any
    if is_async:
        watch = AsyncConfigurationWatch(origin, reload_later, fail, SHORT_INTERVAL, ())
        async with watch:
            services(path, vat="https://two.example")
            assert await asyncio.to_thread(has_failed.wait, 30)
            assert await asyncio.to_thread(lambda: all(reloads.acquire(timeout=30) for _ in "12"))
    else:
        watch = ConfigurationWatch(origin, reload, fail, SHORT_INTERVAL, ())
        with watch:
            services(path, vat="https://two.example")
            assert has_failed.wait(30)
            assert all(reloads.acquire(timeout=30) for _ in "12")

    assert ["The reload raised RuntimeError."] == [error.message for error in failures]


def read_nothing(_: object) -> Any:
    """Stand in for the function that reads a configuration, which no test here calls."""
    raise AssertionError


class _AuditWithOutage(FileAudit):
    """A file of audit records that cannot be written during an outage."""

    is_away = False

    def append(self, build: Any) -> Any:
        """Write the records, or raise the error of an outage."""
        if self.is_away:
            raise StorageUnavailable("The disk is full.")
        return super().append(build)


def vars_of(event: Any) -> dict[str, Any]:
    """Return the values of an event's fields by their names."""
    return {name: getattr(event, name) for name in ("path", "problem", "error")}


def test_thread_reloads_changed_files(tmp_path: Path) -> None:
    """A thread reloads changed files, continues after invalid ones, and ends with its block."""
    path, received_recorder = (
        services(tmp_path / "moorage.toml", vat="https://one.example"),
        EventRecorder(),
    )
    hub = moorage.open(path, observers=[received_recorder])
    with hub.watch(every=SHORT_INTERVAL):
        services(path, vat="https://two.example")
        assert ("services.vat",) == received_recorder.wait_for(Reloaded).changed
        path.write_text("this is none")
        received_recorder.wait_for(ReloadFailed)
        services(path, other="https://three.example")
        assert ("services.other",) == received_recorder.wait_for(Reloaded, 2).added
    assert [] == [item for item in threading.enumerate() if item.name == "moorage-watch"]


async def test_task_reloads_changed_files(tmp_path: Path) -> None:
    """A task reloads changed files, continues after invalid ones, and ends with its block."""
    path, received_recorder = (
        services(tmp_path / "moorage.toml", vat="https://one.example"),
        EventRecorder(),
    )
    hub = moorage.aopen(path, observers=[received_recorder])
    previous_tasks = asyncio.all_tasks()
    async with hub.watch(every=SHORT_INTERVAL):
        services(path, vat="https://two.example")
        assert ("services.vat",) == (await received_recorder.later(Reloaded)).changed
        path.write_text("this is none")
        await received_recorder.later(ReloadFailed)
        services(path, other="https://three.example")
        assert ("services.other",) == (await received_recorder.later(Reloaded, 2)).added
    assert previous_tasks == asyncio.all_tasks()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
def test_signal_reloads_the_file(tmp_path: Path) -> None:
    """On a signal the file is reloaded at once; afterwards the previous handler is restored."""
    path, received_recorder = (
        services(tmp_path / "moorage.toml", vat="https://one.example"),
        EventRecorder(),
    )
    previous_handler = signal.getsignal(signal.SIGHUP)
    hub = moorage.open(path, observers=[received_recorder])
    with hub.watch(every=None, signals=[signal.SIGHUP]):
        os.kill(os.getpid(), signal.SIGHUP)
        assert () == received_recorder.wait_for(Reloaded).changed
    assert previous_handler == signal.getsignal(signal.SIGHUP)


@EITHER
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
async def test_signal_that_is_listed_twice_gets_its_handler_back(
    tmp_path: Path, is_async: bool
) -> None:
    """If a watch lists a signal twice, its end still restores the handler from before the watch."""
    path = services(tmp_path / "moorage.toml", vat="https://one.example")
    watch = ReloadHarness().open(path, is_async=is_async).watch(signals=[signal.SIGHUP] * 2)
    previous_handler = signal.getsignal(signal.SIGHUP)

    if is_async:
        async with watch:
            pass
    else:
        with watch:
            pass
    assert previous_handler == signal.getsignal(signal.SIGHUP)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
def test_watch_without_a_thread_is_refused(tmp_path: Path) -> None:
    """If the system refuses the thread of a watch, the previous handler of its signal stays."""
    path = services(tmp_path / "moorage.toml", vat="https://one.example")
    watch = ReloadHarness().open(path, is_async=False).watch(signals=[signal.SIGHUP])
    previous_handler = signal.getsignal(signal.SIGHUP)

    with no_new_threads(), pytest.raises(LocalFailure, match="another thread"), watch:
        pass
    assert previous_handler == signal.getsignal(signal.SIGHUP)


async def test_reload_without_a_thread_happens_neither_now_nor_later(tmp_path: Path) -> None:
    """If the system refuses the thread of a reload, no later thread performs the reload."""
    harness, path = ReloadHarness(), services(tmp_path / "moorage.toml", vat="https://one.example")
    hub = harness.open(path, is_async=True)
    services(path, vat="https://two.example")

    # A pool without a free thread, as in a process that has just started.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
    with no_new_threads(), pytest.raises(LocalFailure, match="another thread"):
        await hub.reload()
    await asyncio.to_thread(int)

    await hub.manager.call("vat", Request.get("/a"))
    assert ["https://one.example/a"] == harness.sent


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
async def test_signal_reloads_the_file_in_a_task(tmp_path: Path) -> None:
    """On a signal a task reloads the file at once; afterwards the old handler is restored."""
    path, received_recorder = (
        services(tmp_path / "moorage.toml", vat="https://one.example"),
        EventRecorder(),
    )
    previous_handler = signal.getsignal(signal.SIGHUP)
    hub = moorage.aopen(path, observers=[received_recorder])
    async with hub.watch(every=None, signals=[signal.SIGHUP]):
        os.kill(os.getpid(), signal.SIGHUP)
        assert () == (await received_recorder.later(Reloaded)).changed
    assert previous_handler == signal.getsignal(signal.SIGHUP)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@EITHER
@pytest.mark.parametrize("unusable", [signal.SIGKILL, 999, "HUP"])
async def test_unusable_signal_is_refused(tmp_path: Path, is_async: bool, unusable: Any) -> None:
    """An unusable signal is refused, and the previous handlers are restored."""
    harness, path = ReloadHarness(), services(tmp_path / "moorage.toml", vat="https://one.example")
    watch = harness.open(path, is_async=is_async).watch(signals=[signal.SIGHUP, unusable])
    previous_handler = signal.getsignal(signal.SIGHUP)

    with pytest.raises(ConfigurationError) as excinfo:
        await result_of(watch.__aenter__() if is_async else watch.__enter__())
    assert "signals" == excinfo.value.path
    assert previous_handler is signal.getsignal(signal.SIGHUP)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
@EITHER
async def test_signal_handled_outside_python_is_refused(
    tmp_path: Path,
    is_async: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal whose handler is not Python's is refused, as the handler could not be restored."""
    harness, path = ReloadHarness(), services(tmp_path / "moorage.toml", vat="https://one.example")
    watch = harness.open(path, is_async=is_async).watch(signals=[signal.SIGUSR1, signal.SIGHUP])
    previous_handlers = signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGHUP)

    with monkeypatch.context() as around:
        foreign_handlers = {signal.SIGUSR1: signal.SIG_DFL}
        around.setattr(signal, "getsignal", foreign_handlers.get)
        with pytest.raises(ConfigurationError, match="handler of SIGHUP") as excinfo:
            await result_of(watch.__aenter__() if is_async else watch.__enter__())

    assert "signals" == excinfo.value.path
    assert previous_handlers == (signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGHUP))


async def test_cancellation_while_watching_ends_raises_cancelled_error(tmp_path: Path) -> None:
    """A task cancelled while it waits for the end of watching raises CancelledError."""
    harness, path = ReloadHarness(), services(tmp_path / "moorage.toml", vat="https://one.example")
    watch = harness.open(path, is_async=True).watch()
    await watch.__aenter__()
    leaving_task = asyncio.ensure_future(watch.__aexit__(None, None, None))
    await asyncio.sleep(0)
    leaving_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving_task


def test_forked_child_watches_too(tmp_path: Path) -> None:
    """A child forked inside the watching block watches in its own thread; others do not."""
    path, received_recorder = (
        services(tmp_path / "moorage.toml", vat="https://one.example"),
        EventRecorder(),
    )
    hub = moorage.open(path, observers=[received_recorder])
    watch = hub.watch(every=SHORT_INTERVAL)

    def change_services() -> tuple[str, ...]:
        services(path, vat="https://two.example")
        changed_names: tuple[str, ...] = received_recorder.wait_for(Reloaded).changed
        return changed_names

    with watch:
        assert ("services.vat",) == run_in_forked_child(change_services)
    assert 0 == run_in_forked_child(lambda: threading.active_count() - 1)


def test_watching_needs_a_file() -> None:
    """Watching needs a configuration file and an interval that is a duration."""
    hub = moorage.open({})
    refused_watch: Callable[..., Any] = hub.watch
    with pytest.raises(ConfigurationError, match="not opened from a file"):
        refused_watch()


async def test_cancelled_reload_is_reported(tmp_path: Path) -> None:
    """If a reload is cancelled after it began, observers learn of the changes that it makes."""
    recorder, path = EventRecorder(), services(tmp_path / "a.toml", vat="https://one.example")
    began, goes_on = threading.Event(), threading.Event()
    hub = moorage.aopen(path, observers=[recorder], audit=_SlowTrail(began, goes_on))
    services(path, vat="https://two.example")

    reload_task = asyncio.create_task(hub.reload())
    assert await asyncio.to_thread(began.wait, 30)
    reload_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reload_task
    goes_on.set()

    assert ("services.vat",) == (await recorder.later(Reloaded)).changed
    await hub.close()


class _SlowTrail:
    """An audit trail that records an act once the test lets it go on."""

    def __init__(self, began: threading.Event, goes_on: threading.Event) -> None:
        self._began, self._goes_on = began, goes_on

    def record(self, *_: object, **__: object) -> None:
        """Wait for the test."""
        self._began.set()
        assert self._goes_on.wait(30)


async def test_reload_without_asyncio_reads_the_file_synchronously(tmp_path: Path) -> None:
    """Under an event loop other than asyncio, a reload reads the file synchronously."""
    path = services(tmp_path / "moorage.toml", vat="https://one.example")
    hub = moorage.aopen(path)
    flow = hub.reload()
    reports: list[Any] = []

    def drive() -> None:
        with pytest.raises(StopIteration) as stopped_excinfo:
            flow.send(None)
        reports.append(stopped_excinfo.value.value)

    thread = threading.Thread(target=drive)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert () == reports[0].changed
