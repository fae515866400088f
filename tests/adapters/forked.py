"""Test helper that runs a function in a forked child and returns its result."""

from __future__ import annotations

import os
import pickle
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def run_in_forked_child(ask: Callable[[], object]) -> Any:
    """Run a function in a forked child process and return its result."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Newer versions of Python warn about a fork while other threads run, such as a test
        # runner's.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:  # pragma: no cover - runs in the child, which coverage does not see
        try:
            os.write(writing, pickle.dumps(ask()))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        message = answer.read()
    os.waitpid(child, 0)
    return pickle.loads(message)  # noqa: S301 - our own child said it
