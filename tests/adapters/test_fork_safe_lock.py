"""Locks that a forked child can acquire even if a thread of the parent held them."""

from __future__ import annotations

import os
import threading

import pytest

from moorage.adapters.concurrency.forking import ForkSafeLock
from tests.adapters.forked import run_in_forked_child


def test_one_thread_at_a_time_holds_the_lock() -> None:
    """A lock is held during its `with` block and released afterwards, even if the block raises."""
    lock = ForkSafeLock()
    with lock.current:
        assert lock.current.locked()
    with pytest.raises(ValueError, match="storm"), lock.current:
        raise ValueError("storm")
    assert not lock.current.locked()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_block_that_forks_ends_in_child() -> None:
    """A child forked within a lock's `with` block can acquire the lock.

    The block ends in the child.
    """
    lock = ForkSafeLock()

    def use_in_child() -> tuple[bool, bool]:
        with lock.current:
            is_held = lock.current.locked()
        return is_held, lock.current.locked()

    with lock.current:
        in_child = run_in_forked_child(use_in_child)
        assert lock.current.locked()
    assert (True, False) == in_child


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_lock_of_another_thread_is_free_in_child() -> None:
    """If another thread holds a lock during a fork, the lock is released in the child only."""
    lock = ForkSafeLock()
    is_held, may_end = threading.Event(), threading.Event()

    def is_held_now() -> bool:
        return lock.current.locked()

    def hold() -> None:
        with lock.current:
            is_held.set()
            may_end.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait(60)
    in_child = run_in_forked_child(is_held_now)
    in_parent = lock.current.locked()
    may_end.set()
    thread.join(60)
    assert (False, True, False) == (in_child, in_parent, lock.current.locked())
