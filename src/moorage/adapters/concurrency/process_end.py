"""Jobs that run when the process ends, also in child processes of multiprocessing and Celery.

Such a child process calls no function that is registered with `atexit`. One of multiprocessing
calls the finalizers of `multiprocessing.util`, and one of Celery sends a signal of Celery.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_LATE_PRIORITY: Final = -1
"""A priority: the finalizers of the program, which may still make calls, have higher ones."""

_everywhere: Final[set[Callable[[], object]]] = set()
_in_children: Final[set[tuple[int, Callable[[], object]]]] = set()


def at_process_end(work: Callable[[], object]) -> None:
    """Run a function once at the normal end of this process, even if it is registered repeatedly.

    Register it in each process, at the first use of what it ends.
    """
    if work not in _everywhere:
        _everywhere.add(work)
        atexit.register(work)
    child = os.getpid(), work
    if child in _in_children:
        return
    _in_children.add(child)
    processes, signals = map(sys.modules.get, ("multiprocessing.process", "celery.signals"))
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize  # noqa: PLC0415 - loaded in such a process already

        Finalize(None, work, exitpriority=_LATE_PRIORITY)
    if signals is not None:

        def on_shutdown(**_: Any) -> None:
            work()

        signals.worker_process_shutdown.connect(on_shutdown, weak=False)
