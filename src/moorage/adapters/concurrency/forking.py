"""Hooks and locks for forks: objects pause before a fork, and resume or restart after it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from moorage.domain.values.weak_table import WeakTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Owner = TypeVar("Owner")

_Step: TypeAlias = "Callable[[Any], None]"

_owners: Final[WeakTable[Any, _Step]] = WeakTable()
_pausing: Final[WeakTable[Any, tuple[_Step, _Step]]] = WeakTable()
_paused: Final[dict[int, list[tuple[Any, _Step]]]] = {}
"""The objects to resume after the fork, and how, by the thread that forks."""

_modules_before_fork: Final[set[str]] = set()


def in_child(owner: Owner, start: Callable[[Owner], None]) -> None:
    """Call `start(owner)` in every process forked from now on, as long as `owner` exists."""
    _owners[owner] = start


def around_fork(
    owner: Owner, pause: Callable[[Owner], None], resume: Callable[[Owner], None]
) -> None:
    """Call `pause(owner)` before every later fork, and then `resume(owner)` in the parent.

    Neither may raise.
    """
    _pausing[owner] = pause, resume


class ForkSafeLock:
    """A lock of the current process; a forked child has a new one.

    If another thread holds an ordinary lock during a fork, the child waits for it forever, because
    that thread does not exist in the child.

    Use it as `with self._lock.current:`. `ForkSafeLock` is no context manager itself: Python code
    in its `__enter__` could be interrupted after it took the lock, and nobody would give it back.

    Attributes:
        current: the lock of the current process.
    """

    __slots__ = ("__weakref__", "current")

    def __init__(self) -> None:
        self._renew()
        in_child(self, ForkSafeLock._renew)

    def _renew(self) -> None:
        self.current = Lock()


def pause_before_fork() -> None:
    """Before a fork, pause every object that was registered with `around_fork`."""
    paused_objects = _paused[get_ident()] = []
    for owner, (pause, resume) in _pausing.items():
        paused_objects.append((owner, resume))
        pause(owner)


def resume_after_fork() -> None:
    """After a fork, resume every object that this thread paused for the fork."""
    for owner, resume in _paused.pop(get_ident(), ()):
        resume(owner)


def restart_in_child() -> None:
    """In a forked child, restart every object that was registered with `in_child`."""
    _paused.clear()
    for owner, start in _owners.items():
        start(owner)


def was_imported_before_fork(module: str) -> bool:
    """Return whether a module had been imported before this process was forked.

    A library with its own threads lost them in the fork, with the locks that they held. Forks
    before the import of this module, and forks outside Python, are not known.
    """
    return module in _modules_before_fork


def record_imported_modules(modules: Iterable[str]) -> None:
    """Record which modules were imported before the fork; this runs in a forked child process."""
    _modules_before_fork.update(modules)


def restart_in_workers_of_uwsgi(modules: Mapping[str, Any] = sys.modules) -> None:
    """Restart the objects in each worker of uWSGI, which forks without Python's fork handlers.

    uWSGI calls one function after a fork. Its module `uwsgidecorators` sets that function to one
    that calls a list of functions. This function imports the module if the program has set no
    function itself, because a later import would replace the function that moorage sets.

    Args:
        modules: the loaded modules; uWSGI adds its own.
    """
    server = modules.get("uwsgi")
    if server is None:
        return
    hook = getattr(server, "post_fork_hook", None)
    if hook is None and not hasattr(server, "spooler"):
        with suppress(Exception):  # it is not installed, or uWSGI has no master process
            import_module("uwsgidecorators")
    process = os.getpid()

    def restart_in_worker() -> None:
        # Without a master process, uWSGI also calls this function in the process that forks.
        if os.getpid() != process:
            record_imported_modules(sys.modules)
            restart_in_child()

    def restart_and_call_hook() -> None:
        restart_in_worker()
        if hook is not None:
            hook()

    decorators = modules.get("uwsgidecorators")
    if decorators is None:
        server.post_fork_hook = restart_and_call_hook
    else:
        decorators.postfork_chain.insert(0, restart_in_worker)


restart_in_workers_of_uwsgi()

# A fork handler cannot be removed, so one handler serves all owners. It is registered here, because
# a module is imported once, but a function may be called by two threads at the same time.
if hasattr(os, "register_at_fork"):  # pragma: no branch - only Windows cannot fork
    os.register_at_fork(after_in_child=partial(record_imported_modules, sys.modules))
    os.register_at_fork(
        before=pause_before_fork,
        after_in_parent=resume_after_fork,
        after_in_child=restart_in_child,
    )
