"""The counters of a running pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.domain.observation.call_events import LONGEST_MESSAGE
from moorage.domain.pipelines.settings import PipelineState, PipelineStatistics

if TYPE_CHECKING:
    from moorage.pipelines._in_flight import RecordsInFlight


@attrs.define(eq=False)
class PipelineNumbers:
    """The counters of a running pipeline, which `PipelineStatistics` shows to users.

    Attributes:
        dead_letters_in_a_row: the number of dead letters since the sink last processed a record.
    """

    state: PipelineState = PipelineState.READY
    received: int = 0
    processed: int = 0
    dropped: int = 0
    dead_letters: int = 0
    failed: int = 0
    retried: int = 0
    committed: int = 0
    released: int = 0
    reconnects: int = 0
    batches: int = 0
    processing_duration: float = 0.0
    lag: int | None = None
    last_error: str | None = None
    dead_letters_in_a_row: int = 0

    def count_failure(self, error: Exception) -> None:
        """Count a failure of the sink, a transform, the dead letters or the source."""
        self.failed += 1
        self.note(error)

    def note(self, error: Exception) -> None:
        """Keep the type and the beginning of the message of the last error."""
        self.last_error = f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE]

    def statistics(self, in_flight: RecordsInFlight) -> PipelineStatistics:
        """Return the counters as a `PipelineStatistics`."""
        names = attrs.fields_dict(PipelineStatistics).keys() & attrs.fields_dict(type(self)).keys()
        return PipelineStatistics(
            **{name: getattr(self, name) for name in names},
            records_in_flight=in_flight.records,
            size_in_flight=in_flight.size,
        )
