"""What must start afresh in a forked child."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

Owner = TypeVar("Owner")

_owners: Final[WeakKeyDictionary[Any, Callable[[Any], None]]] = WeakKeyDictionary()


def in_child(owner: Owner, start: Callable[[Owner], None]) -> None:
    """Have `start(owner)` called in every child forked from now on, as long as `owner` lives."""
    _listen()
    _owners[owner] = start


@cache
def _listen() -> None:
    # A handler cannot be taken back, so there is one for all owners, and none before the first.
    if hasattr(os, "register_at_fork"):  # pragma: no branch - only Windows cannot fork
        os.register_at_fork(after_in_child=start_afresh)


def start_afresh() -> None:
    """Start every living owner afresh, as in a child that was just forked."""
    for owner, start in list(_owners.items()):
        start(owner)
