"""The settings of a pipeline, its statistics, and its dead letters."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from moorage.domain.pipelines.batches import BatchLimits
from moorage.domain.pipelines.failures import FailureConsequence
from moorage.domain.resilience.retry import Jitter, RetryPolicy
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import is_count, is_seconds, is_wait, plain_seconds
from moorage.domain.values.frozen_values import evolve, field, fields_of, frozen
from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.pipelines.records import SinkRecord


class Order(Enum):
    """The groups in which a pipeline keeps the order of records: by key or by partition."""

    KEY = "key"
    """Records with the same key; records without a key may be processed concurrently."""

    PARTITION = "partition"
    """Records of the same partition."""


E = TypeVar("E", bound=Enum)


def _order(value: Order | str) -> Order:
    return _member(Order, value, "order")


def exhausted_of(value: FailureConsequence | str) -> FailureConsequence:
    """Return the setting with this name that decides about failures after all retries.

    Raises:
        ConfigurationError: there is no such consequence.
    """
    return _member(FailureConsequence, value, "exhausted")


def _member(kind: type[E], value: object, path: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a valid value of {path!r}.",
            path=path,
            remedy=f"Use one of {', '.join(repr(member.value) for member in kind)}.",
        ) from None


@frozen(kw_only=True)
class PipelineConfig:
    """The settings of a pipeline.

    Attributes:
        lanes: the number of batches that are processed at the same time.
        order: the records that are processed one after the other, "key" or "partition".
        batch: the size of the batches.
        records_in_flight: the largest number of records that are read and not yet settled.
        size_in_flight: the same in bytes of payload. A larger record is read when no other is in
            flight.
        retry: the repetition of temporary failures of the sink, the transforms and the dead
            letters.
        exhausted: the consequence of a temporary failure that outlasts the retries: "retry" goes on
            with the policy's longest pause, "stop" stops the pipeline, and "dead_letter" sets the
            record aside.
        reconnect: the pauses between attempts to open the source again; their number is not
            limited.
        dead_letters_in_a_row: the number of dead letters without a success after which the pipeline
            stops, because the program is then more likely at fault than the records.
        poll_wait: the seconds that the source waits for a record.
        drain: the seconds that batches in progress get to end when the pipeline stops.
        measure_every: the seconds between two measurements of how many records wait in the source,
            if the source can report it.
    """

    lanes: int = field(default=1, validator=is_count)
    order: Order = field(default=Order.KEY, converter=_order)
    batch: BatchLimits = field(factory=BatchLimits)
    records_in_flight: int = field(default=2_000, validator=is_count)
    size_in_flight: int = field(default=32_000_000, validator=is_count)
    retry: RetryPolicy = field(factory=lambda: RetryPolicy(max_attempts=5))
    exhausted: FailureConsequence = field(default=FailureConsequence.RETRY, converter=exhausted_of)
    reconnect: RetryPolicy = field(
        factory=lambda: RetryPolicy(base_delay=0.2, max_delay=1.5, jitter=Jitter.EQUAL)
    )
    dead_letters_in_a_row: int = field(default=1_000, validator=is_count)
    poll_wait: float = field(default=1.0, converter=plain_seconds, validator=is_seconds)
    drain: float = field(default=25.0, converter=plain_seconds, validator=is_wait)
    measure_every: float = field(default=10.0, converter=plain_seconds, validator=is_seconds)


class PipelineState(Enum):
    """The state of a pipeline."""

    READY = "ready"
    CONNECTING = "connecting"
    RUNNING = "running"
    RECONNECTING = "reconnecting"
    DRAINING = "draining"
    PAUSED = "paused"
    STOPPED = "stopped"
    FAILED = "failed"


@frozen(kw_only=True)
class PipelineStatistics:
    """The counts of a pipeline's records and failures since the pipeline was created.

    Attributes:
        state: the state.
        received: the records that the source delivered.
        processed: the records that the sink took.
        dropped: the records that a transform left out.
        dead_letters: the records that were set aside.
        failed: the failures of the sink, the transforms and the source, each attempt counted.
        retried: the repeated attempts to process records, without those to reach the source.
        committed: the records that were committed at the source, each by itself or with those
            before it.
        released: the records that were given back to the source unprocessed.
        reconnects: the number of times that the source was opened again.
        records_in_flight: the records that are read and not settled.
        size_in_flight: the bytes of their payloads.
        batches: the batches whose records were all settled.
        processing_duration: the seconds that their processing took, with its repetitions, added up.
        lag: the records that were not committed when the source was last measured, including those
            that wait in the source; None if the source cannot report it.
        last_error: the beginning of the last failure's message; None if there was none.
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
    records_in_flight: int = 0
    size_in_flight: int = 0
    batches: int = 0
    processing_duration: float = 0.0
    lag: int | None = None
    last_error: str | None = None

    def plus(self, other: PipelineStatistics) -> PipelineStatistics:
        """Return the sum of two statistics.

        State, lag and last error are taken from the first report.
        """
        sums = {name: getattr(self, name) + getattr(other, name) for name in _NUMBERS}
        return evolve(self, **sums)


_NUMBERS: Final = {field.name for field in fields_of(PipelineStatistics)} - {
    "state",
    "lag",
    "last_error",
}


class ObservedPipeline(Protocol):
    """An object with the name and the statistics of a pipeline."""

    @property
    def name(self) -> str:
        """The name of the pipeline."""
        ...

    def statistics(self) -> PipelineStatistics:
        """Return the statistics of the pipeline without waiting."""
        ...


@frozen(kw_only=True)
class PipelineReport:
    """The report on the end of a pipeline's run.

    Attributes:
        is_clean: True if each batch in progress ended in time. Otherwise some batches were cut off;
            their records are delivered again.
        statistics: the statistics of the pipeline.
    """

    is_clean: bool
    statistics: PipelineStatistics


@with_careful_constructor
@frozen(kw_only=True)
class DeadLetter:
    """A record that a pipeline could not process.

    Attributes:
        pipeline: the name of the pipeline.
        record: the record as the source delivered it, before any transform.
        error: the type of the error, such as "InvalidData".
        message: the error's message.
        attempts: the number of attempts.
        at: the time, with a time zone.
    """

    pipeline: str
    record: SinkRecord
    error: str
    message: str
    attempts: int
    at: datetime


def dead_letter_of(
    error: Exception, record: SinkRecord, *, pipeline: str, attempts: int, at: datetime
) -> DeadLetter:
    """Return the dead letter of a record that could not be processed because of an error."""
    return DeadLetter(
        pipeline=pipeline,
        record=record,
        error=type(error).__name__,
        message=error.message if isinstance(error, ConnectorError) else str(error),
        attempts=attempts,
        at=at,
    )
