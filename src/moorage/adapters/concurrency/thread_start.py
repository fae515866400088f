"""Starts threads, and reports a machine that has no more of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from threading import Thread


def start_thread(thread: Thread) -> None:
    """Start a thread.

    Raises:
        LocalFailure: the system has no more threads, or Python is shutting down.
    """
    try:
        thread.start()
    except RuntimeError:
        raise no_thread_error() from None


def no_thread_error() -> LocalFailure:
    """Return the error for work that was not done, because no thread could be started."""
    return LocalFailure(
        "This machine could not start another thread, so nothing was done.",
        retryable=True,
        remedy="Raise the limits of threads and memory of this process, or make fewer calls"
        " at the same time. Make no calls while Python is shutting down.",
    )
