"""The latest answers on whether runs are over, which spare a platform further requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.steps.runs import STREAMS

if TYPE_CHECKING:
    from moorage.domain.steps.runs import LogStream

_MOST: Final = 1000


class LatestLooks:
    """The latest answers on whether runs are over; each serves one reading of each output.

    A run that was over stays over; the output of any other run is read again later anyway.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[str, LogStream], bool] = {}

    def note(self, name: str, *, is_over: bool) -> None:
        """Remember whether a run is over."""
        if len(self._answers) > _MOST:
            self._answers.clear()
        self._answers.update({(name, stream): is_over for stream in STREAMS})

    def take(self, name: str, stream: LogStream) -> bool | None:
        """Return whether a run is over; None if nobody has looked since the last reading."""
        return self._answers.pop((name, stream), None)

    def forget(self, name: str) -> None:
        """Forget a run, because another one may get its name."""
        for stream in STREAMS:
            self._answers.pop((name, stream), None)
