"""The latest results of asking whether runs have ended, which save requests to a platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.steps.runs import STREAMS

if TYPE_CHECKING:
    from moorage.domain.steps.runs import LogStream

_MAX_RUNS: Final = 1000


class LatestStatusAnswers:
    """The latest replies on whether runs have ended; each reader uses a reply once.

    A run that has ended stays ended; the output of any other run is read again later anyway.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[str, LogStream], bool] = {}

    def note(self, name: str, *, is_over: bool) -> None:
        """Remember whether a run has ended."""
        if len(self._answers) > _MAX_RUNS:
            self._answers.clear()
        self._answers.update({(name, stream): is_over for stream in STREAMS})

    def take(self, name: str, stream: LogStream) -> bool | None:
        """Return whether a run has ended; None if this reader must ask the platform."""
        return self._answers.pop((name, stream), None)

    def forget(self, name: str) -> None:
        """Forget a run, because another run may get the same name."""
        for stream in STREAMS:
            self._answers.pop((name, stream), None)
