"""What must stand still while a process forks, start afresh in the child, or not be used there."""

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
    """Have `start(owner)` called in every child forked from now on, as long as `owner` lives."""
    _listen()
    _owners[owner] = start


def around_fork(
    owner: Owner, pause: Callable[[Owner], None], go_on: Callable[[Owner], None]
) -> None:
    """Have `pause(owner)` called before every fork from now on, and `go_on(owner)` in the parent.

    Neither may raise.
    """
    _listen()
    _pausing[owner] = pause, go_on


@cache
def _listen() -> None:
    # A handler cannot be taken back, so there is one for all owners, and none before the first.
    if hasattr(os, "register_at_fork"):  # pragma: no branch - only Windows cannot fork
        os.register_at_fork(before=stand_still, after_in_parent=go_on, after_in_child=start_afresh)


def stand_still() -> None:
    """Have every living owner that asked for it stand still, as before a fork."""
    for owner, (pause, _) in list(_pausing.items()):
        pause(owner)


def go_on() -> None:
    """Have every living owner that stood still go on, as in the parent after a fork."""
    for owner, (_, go_on) in list(_pausing.items()):
        go_on(owner)


def start_afresh() -> None:
    """Start every living owner afresh, as in a child that was just forked."""
    for owner, start in list(_owners.items()):
        start(owner)


def inherited(module: str) -> bool:
    """Tell whether a module was loaded already when this process was forked.

    What has threads of its own lost them then, with whatever they held. Forks before this module
    was imported, and those that Python is not told of, are not known.
    """
    return module in _inherited


def inherit(modules: Iterable[str]) -> None:
    """Remember which modules were loaded, as in a child that was just forked."""
    _inherited.update(modules)


if hasattr(os, "register_at_fork"):  # pragma: no branch - only Windows cannot fork
    os.register_at_fork(after_in_child=partial(inherit, sys.modules))
