"""The time limit within which a process exits after a signal."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from moorage.cli import exit_deadline
from moorage.cli.exit_deadline import ExitDeadline

if TYPE_CHECKING:
    import pytest

_COLLECTING = """
import gc, threading
from moorage.cli.exit_deadline import ExitDeadline

class Garbage(threading.local):
    pass

deadline = ExitDeadline(0)
with deadline:
    pass
hold = threading.Event()
for _ in range(30):
    threading.Thread(target=hold.wait, daemon=True).start()
gc.freeze()
gc.set_threshold(1, 1, 1)
for _ in range(3_000):
    garbage = Garbage()
    garbage.itself = garbage
    del garbage
    assert not deadline.is_due()
assert gc.isenabled()
"""


def test_garbage_collection_does_not_block_a_process_that_asks_for_its_end() -> None:
    """A garbage collection during the check of the main thread cannot block a thread.

    The garbage is a local variable of threads, for which Python needs a lock over all threads.
    """
    subprocess.run([sys.executable, "-c", _COLLECTING], check=True, timeout=120)


def test_deadline_ends_only_a_command_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit ends the process only if the command is still running."""
    codes: list[int] = []
    waits: list[float] = []
    may_end, has_waited = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        may_end.wait(120)

    def end_process(code: int) -> None:
        codes.append(code)
        has_waited.set()

    monkeypatch.setattr(exit_deadline, "sleep", sleep)
    monkeypatch.setattr(exit_deadline, "end_process", end_process)
    with ExitDeadline(5) as deadline:
        deadline.start(2.0)
        deadline.code = 7
        assert deadline.is_due()
        may_end.set()
        assert has_waited.wait(120)
    assert [7] == codes
    assert [2.0 + exit_deadline.MARGIN] == waits
    assert not deadline.is_due()
