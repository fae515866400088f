"""Jobs that run when the process ends, also in child processes of multiprocessing and Celery.

Such a child process calls no function that is registered with `atexit`. It calls the finalizers of
`multiprocessing.util`, and so does one of billiard, which Celery uses in place of multiprocessing.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LIBRARIES: Final = ("multiprocessing.process", "billiard.process")
_AFTER_OTHERS: Final = -1
"""A priority: the finalizers of the program, which may still make calls, have higher ones."""

_everywhere: Final[set[Callable[[], object]]] = set()
_in_children: Final[set[tuple[int, Callable[[], object]]]] = set()


def at_process_end(work: Callable[[], object]) -> None:
    """Run a job when this process ends normally; at most once, however often it is registered."""
    if work not in _everywhere:
        _everywhere.add(work)
        atexit.register(work)
    child = os.getpid(), work
    if child not in _in_children and ends_without_exit_handlers():
        from multiprocessing.util import Finalize  # noqa: PLC0415 - loaded in such a process already

        _in_children.add(child)
        Finalize(None, work, exitpriority=_AFTER_OTHERS)


def ends_without_exit_handlers(modules: Mapping[str, Any] = sys.modules) -> bool:
    """Return whether this is a child process of multiprocessing or of billiard.

    Args:
        modules: the loaded modules.
    """
    libraries = (modules[name] for name in _LIBRARIES if name in modules)
    return any(library.current_process()._parent_pid is not None for library in libraries)  # noqa: SLF001 - billiard has no public way to ask
