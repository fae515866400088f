"""A configuration that is looked after: its file changes, or a signal comes."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, Event, Reloaded, ReloadFailed, Request
from tests.adapters.forked import in_a_child
from tests.reload.world import Town, given, services

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio
EITHER = pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])
SOON = 0.005


@pytest.fixture
def anyio_backend() -> str:
    """The loop of the standard library."""
    return "asyncio"


class Heard:
    """Remembers events, and lets wait for the next."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self._more = threading.Condition()

    def __call__(self, event: Event) -> None:
        """Hear of it."""
        with self._more:
            self.told.append(event)
            self._more.notify_all()

    def wait_for(self, kind: type[Event], count: int = 1) -> Any:
        """The last of so many events of a kind."""

        def found() -> list[Event]:
            return [report for report in self.told if isinstance(report, kind)]

        with self._more:
            assert self._more.wait_for(lambda: len(found()) >= count, 30)
        return found()[-1]

    async def later(self, kind: type[Event], count: int = 1) -> Any:
        """As `wait_for`, awaited."""
        return await asyncio.to_thread(self.wait_for, kind, count)


@EITHER
async def test_looking_by_hand(tmp_path: Path, awaited: bool) -> None:
    """Nothing is read where the file is as it was; what is wrong is told once, and left out."""
    town, path = Town(), services(tmp_path / "moorage.toml", vat="https://one.example")
    hub = town.open(path, awaited=awaited)
    watch = hub.watch()

    assert await given(watch.look()) is None
    services(path, vat="https://two.example")
    assert ("services.vat",) == (await given(watch.look())).changed
    path.write_text("[services.vat]\nspeed = 1\n")
    assert await given(watch.look()) is None
    assert await given(watch.look()) is None
    (failed,) = town.kinds(ReloadFailed)
    path.unlink()
    assert await given(watch.look()) is None
    assert ("configuration", "services.vat.speed") == (failed.service, vars_of(failed)["path"])
    assert 2 == len(town.kinds(ReloadFailed))

    services(path, vat="https://three.example")
    assert ("services.vat",) == (await given(watch.look())).changed
    assert () == (await given(watch.look(anyway=True))).changed
    await given(hub.manager.call("vat", Request.get("/a")))
    assert ["https://three.example/a"] == town.sent


def vars_of(event: Any) -> dict[str, Any]:
    """What an event tells."""
    return {name: getattr(event, name) for name in ("path", "problem", "error")}


def test_a_thread_looks(tmp_path: Path) -> None:
    """While it is entered a thread reads what changes, goes on after what is wrong, and ends."""
    path, received = services(tmp_path / "moorage.toml", vat="https://one.example"), Heard()
    hub = moorage.open(path, observers=[received])
    with hub.watch(every=SOON):
        services(path, vat="https://two.example")
        assert ("services.vat",) == received.wait_for(Reloaded).changed
        path.write_text("this is none")
        received.wait_for(ReloadFailed)
        services(path, other="https://three.example")
        assert ("services.other",) == received.wait_for(Reloaded, 2).added
    assert [] == [item for item in threading.enumerate() if item.name == "moorage-watch"]


async def test_a_task_looks(tmp_path: Path) -> None:
    """While it is entered a task reads what changes, goes on after what is wrong, and ends."""
    path, received = services(tmp_path / "moorage.toml", vat="https://one.example"), Heard()
    hub = moorage.aopen(path, observers=[received])
    before = asyncio.all_tasks()
    async with hub.watch(every=SOON):
        services(path, vat="https://two.example")
        assert ("services.vat",) == (await received.later(Reloaded)).changed
        path.write_text("this is none")
        await received.later(ReloadFailed)
        services(path, other="https://three.example")
        assert ("services.other",) == (await received.later(Reloaded, 2)).added
    assert before == asyncio.all_tasks()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
def test_a_signal_has_it_read(tmp_path: Path) -> None:
    """A signal has the file read at once, as it is; afterwards it means what it meant before."""
    path, received = services(tmp_path / "moorage.toml", vat="https://one.example"), Heard()
    before = signal.getsignal(signal.SIGHUP)
    hub = moorage.open(path, observers=[received])
    with hub.watch(every=None, signals=[signal.SIGHUP]):
        os.kill(os.getpid(), signal.SIGHUP)
        assert () == received.wait_for(Reloaded).changed
    assert before == signal.getsignal(signal.SIGHUP)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
async def test_a_signal_has_it_read_by_a_task(tmp_path: Path) -> None:
    """A signal has the file read at once, as it is; afterwards it means what it meant before."""
    path, received = services(tmp_path / "moorage.toml", vat="https://one.example"), Heard()
    before = signal.getsignal(signal.SIGHUP)
    hub = moorage.aopen(path, observers=[received])
    async with hub.watch(every=None, signals=[signal.SIGHUP]):
        os.kill(os.getpid(), signal.SIGHUP)
        assert () == (await received.later(Reloaded)).changed
    assert before == signal.getsignal(signal.SIGHUP)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@EITHER
async def test_a_signal_that_nobody_hears(tmp_path: Path, awaited: bool) -> None:
    """What cannot be listened for is refused, and what could be means what it meant before."""
    town, path = Town(), services(tmp_path / "moorage.toml", vat="https://one.example")
    watch = town.open(path, awaited=awaited).watch(signals=[signal.SIGHUP, signal.SIGKILL])
    before = signal.getsignal(signal.SIGHUP)

    with pytest.raises(ConfigurationError) as caught:
        await given(watch.__aenter__() if awaited else watch.__enter__())
    assert "signals" == caught.value.path
    assert before is signal.getsignal(signal.SIGHUP)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
@EITHER
async def test_a_signal_of_the_program_around_python(
    tmp_path: Path,
    awaited: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What uWSGI and its like hear cannot be given back, and so it is not taken."""
    town, path = Town(), services(tmp_path / "moorage.toml", vat="https://one.example")
    watch = town.open(path, awaited=awaited).watch(signals=[signal.SIGUSR1, signal.SIGHUP])
    before = signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGHUP)

    with monkeypatch.context() as around:
        theirs = {signal.SIGUSR1: signal.SIG_DFL}
        around.setattr(signal, "getsignal", theirs.get)
        with pytest.raises(ConfigurationError, match="SIGHUP is heard") as caught:
            await given(watch.__aenter__() if awaited else watch.__enter__())

    assert "signals" == caught.value.path
    assert before == (signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGHUP))


async def test_whoever_is_cancelled_while_leaving_is_cancelled(tmp_path: Path) -> None:
    """The end of the task that looks is not taken for that of the one that waits for it."""
    town, path = Town(), services(tmp_path / "moorage.toml", vat="https://one.example")
    watch = town.open(path, awaited=True).watch()
    await watch.__aenter__()
    leaving = asyncio.ensure_future(watch.__aexit__(None, None, None))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving


def test_a_forked_child_looks_too(tmp_path: Path) -> None:
    """A child that was forked within looks by a thread of its own; outside nobody does."""
    path, received = services(tmp_path / "moorage.toml", vat="https://one.example"), Heard()
    hub = moorage.open(path, observers=[received])
    watch = hub.watch(every=SOON)

    def ask() -> tuple[str, ...]:
        services(path, vat="https://two.example")
        changed: tuple[str, ...] = received.wait_for(Reloaded).changed
        return changed

    with watch:
        assert ("services.vat",) == in_a_child(ask)
    assert 0 == in_a_child(lambda: threading.active_count() - 1)


def test_a_mapping_has_no_file() -> None:
    """Only a file can be looked at, and how often must be a time."""
    hub = moorage.open({})
    refused: Callable[..., Any] = hub.watch
    with pytest.raises(ConfigurationError, match="not opened from a file"):
        refused()


async def test_beside_another_librarys_loop(tmp_path: Path) -> None:
    """Where no loop of asyncio runs, the file is read in place."""
    path = services(tmp_path / "moorage.toml", vat="https://one.example")
    hub = moorage.aopen(path)
    flow = hub.reload()
    reports: list[Any] = []

    def drive() -> None:
        with pytest.raises(StopIteration) as stopped:
            flow.send(None)
        reports.append(stopped.value.value)

    thread = threading.Thread(target=drive)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert () == reports[0].changed
