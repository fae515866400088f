"""Hooks for forks: objects pause before a fork, resume after it, and restart in the child."""

from __future__ import annotations

import os
import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Owner = TypeVar("Owner")

_owners: Final[WeakKeyDictionary[Any, Callable[[Any], None]]] = WeakKeyDictionary()
_pausing: Final[WeakKeyDictionary[Any, tuple[Callable[[Any], None], Callable[[Any], None]]]] = (
    WeakKeyDictionary()
)
_modules_before_fork: Final[set[str]] = set()


def in_child(owner: Owner, start: Callable[[Owner], None]) -> None:
    """Call `start(owner)` in every process forked from now on, as long as `owner` exists."""
    _listen()
    _owners[owner] = start


def around_fork(
    owner: Owner, pause: Callable[[Owner], None], resume: Callable[[Owner], None]
) -> None:
    """Call `pause(owner)` before every later fork, and `resume(owner)` in the parent after it.

    Neither may raise.
    """
    _listen()
    _pausing[owner] = pause, resume


@cache
def _listen() -> None:
    # A handler cannot be removed, so there is one for all owners, registered with the first.
    if hasattr(os, "register_at_fork"):  # pragma: no branch - only Windows cannot fork
        os.register_at_fork(
            before=pause_before_fork,
            after_in_parent=resume_after_fork,
            after_in_child=restart_in_child,
        )


def pause_before_fork() -> None:
    """Pause every object registered with `around_fork`, like Python does before a fork."""
    for owner, (pause, _) in list(_pausing.items()):
        pause(owner)


def resume_after_fork() -> None:
    """Resume every object registered with `around_fork`, like Python does after a fork."""
    for owner, (_, resume) in list(_pausing.items()):
        resume(owner)


def restart_in_child() -> None:
    """Restart every object registered with `in_child`, like Python does in a forked child."""
    for owner, start in list(_owners.items()):
        start(owner)


def was_imported_before_fork(module: str) -> bool:
    """Return whether a module had been imported before this process was forked.

    A library with its own threads lost them in the fork, with the locks that they held. Forks
    before the import of this module, and forks outside Python, are not known.
    """
    return module in _modules_before_fork


def record_imported_modules(modules: Iterable[str]) -> None:
    """Record the imported modules, as happens in a forked child process."""
    _modules_before_fork.update(modules)


if hasattr(os, "register_at_fork"):  # pragma: no branch - only Windows cannot fork
    os.register_at_fork(after_in_child=partial(record_imported_modules, sys.modules))
