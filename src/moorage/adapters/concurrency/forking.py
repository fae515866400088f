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
_inherited: Final[set[str]] = set()


def in_child(owner: Owner, start: Callable[[Owner], None]) -> None:
    """Call `start(owner)` in every process forked from now on, as long as `owner` exists."""
    _listen()
    _owners[owner] = start


def around_fork(
    owner: Owner, pause: Callable[[Owner], None], go_on: Callable[[Owner], None]
) -> None:
    """Call `pause(owner)` before every fork from now on, and `go_on(owner)` in the parent after it.

    Neither may raise.
    """
    _listen()
    _pausing[owner] = pause, go_on


@cache
def _listen() -> None:
    # A handler cannot be removed, so there is one for all owners, registered with the first.
    if hasattr(os, "register_at_fork"):  # pragma: no branch - only Windows cannot fork
        os.register_at_fork(before=stand_still, after_in_parent=go_on, after_in_child=start_afresh)


def stand_still() -> None:
    """Pause every object that is registered with `around_fork`, as before a fork."""
    for owner, (pause, _) in list(_pausing.items()):
        pause(owner)


def go_on() -> None:
    """Resume every object that is registered with `around_fork`, as after a fork."""
    for owner, (_, go_on) in list(_pausing.items()):
        go_on(owner)


def start_afresh() -> None:
    """Restart every object that is registered with `in_child`, as in a newly forked child."""
    for owner, start in list(_owners.items()):
        start(owner)


def was_imported_before_fork(module: str) -> bool:
    """Return whether a module had been imported before this process was forked.

    A library with its own threads lost them in the fork, with the locks that they held. Forks
    before the import of this module, and forks outside Python, are not known.
    """
    return module in _inherited


def inherit(modules: Iterable[str]) -> None:
    """Record the imported modules, as in a child process that was just forked."""
    _inherited.update(modules)


if hasattr(os, "register_at_fork"):  # pragma: no branch - only Windows cannot fork
    os.register_at_fork(after_in_child=partial(inherit, sys.modules))
