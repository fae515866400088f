"""Another thread that comes in between two steps of a function."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_BRIEF: Final = 0.2
"""Seconds after which the first thread goes on, because the other one waits for it."""

PATIENCE: Final = 60.0


class InterveningThread:
    """Runs a function once in a second thread, between two steps of the first thread.

    Args:
        function: the function that the other thread runs.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._thread: threading.Thread | None = None
        self._results: list[Any] = []

    def start(self) -> None:
        """Start the second thread, and wait until it ends or waits for the first one."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
            self._thread.join(_BRIEF)

    def result(self) -> Any:
        """Return the function's result; raise its exception."""
        assert self._thread is not None
        self._thread.join(PATIENCE)
        (result,) = self._results
        if isinstance(result, BaseException):
            raise result
        return result

    def _run(self) -> None:
        try:
            self._results.append(self._function())
        except BaseException as error:  # noqa: BLE001 - raised where the result is read
            self._results.append(error)
