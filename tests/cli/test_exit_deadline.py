"""The time limit for a process after a signal told it to end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from moorage.cli import exit_deadline
from moorage.cli.exit_deadline import ExitDeadline

if TYPE_CHECKING:
    import pytest


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
