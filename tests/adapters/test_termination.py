"""Functions that run before SIGTERM ends the process."""

from __future__ import annotations

import signal
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.concurrency import termination

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """Restore this process's SIGTERM handler and registered functions after the test."""
    previous_handler, work = signal.getsignal(signal.SIGTERM), dict(termination._work)  # noqa: SLF001 - kept to be put back
    termination._work.clear()  # noqa: SLF001 - a test sees its own work only
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, previous_handler)
    termination._work.clear()  # noqa: SLF001 - a test sees its own work only
    termination._work.update(work)  # noqa: SLF001 - puts back what was there before


def test_default_effect_is_replaced_once() -> None:
    """A SIGTERM handler is installed once, if the signal still has its default effect."""
    assert termination.before_termination(print)
    handler = signal.getsignal(signal.SIGTERM)
    assert not termination.before_termination(input)
    assert handler is signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.default_int_handler])
def test_handler_of_the_host_stays(handler: Any) -> None:
    """If the host handles or ignores SIGTERM itself, no handler is installed."""
    signal.signal(signal.SIGTERM, handler)
    assert not termination.before_termination(print)
    assert handler is signal.getsignal(signal.SIGTERM)


def test_only_the_main_thread_installs_handlers() -> None:
    """A SIGTERM handler is installed only from the main thread."""
    installed: list[bool] = []
    thread = Thread(target=lambda: installed.append(termination.before_termination(print)))
    thread.start()
    thread.join()
    assert [False] == installed
    assert signal.SIG_DFL == signal.getsignal(signal.SIGTERM)


def test_failed_work_does_not_prevent_other_work() -> None:
    """At SIGTERM each registered function is called once, even if other functions raise."""
    finished_works: list[str] = []

    def raise_error() -> None:
        finished_works.append("failed")
        raise OSError

    for work in (raise_error, lambda: finished_works.append("done"), raise_error):
        termination.before_termination(work)
    termination.finish_all()
    assert ["failed", "done"] == finished_works
