"""The conformance kit of sources passes a correct source, and finds planted faults."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    ConnectionFailed,
)
from moorage.testing import name_of, source_conformance, waiting_at_most
from moorage.testing.kits import _source_checks as checks
from tests.testing.mistaken_sources import (
    BackwardsSource,
    ClaimsSource,
    CommitsAllSource,
    EndsEarlySource,
    EndsSource,
    FillsSource,
    FinalSource,
    FixedSource,
    ForeignSource,
    ForgetfulSource,
    GreedySource,
    HastySource,
    HeavySource,
    ImmovableSource,
    ImpatientSource,
    InventsSource,
    KeylessSource,
    LosesCancelledSource,
    NamelessSource,
    NeverOpensAgainSource,
    ReleasesAllSource,
    ReleasingSource,
    RenamesSource,
    ScatteredSource,
    SerialSource,
    StallsSource,
    StubbornSource,
    TopicSource,
    UndercountingSource,
    UnreachableSource,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def subject_of(topic: TopicSource, **changes: Any) -> source_conformance.SourceSubject:
    """Return the description of an in-memory topic, in the form that the kit needs."""
    subject = source_conformance.SourceSubject(
        make=lambda: topic,
        publish=topic.publish,
        interrupt=topic.interrupt,
        releases=isinstance(topic, ReleasingSource),
    )
    return attrs.evolve(subject, **changes)


@pytest.mark.parametrize("check", source_conformance.CHECKS, ids=name_of)
@pytest.mark.parametrize(
    "make",
    [
        lambda: TopicSource([], is_endless=True),
        lambda: ReleasingSource([], commits="each", is_endless=True, extend_every=0.001),
    ],
    ids=["prefix", "each"],
)
def test_right_source_passes(
    check: source_conformance.Check, make: Callable[[], TopicSource]
) -> None:
    """A correct source passes all checks."""
    asyncio.run(check(subject_of(make())))


@pytest.mark.parametrize(
    "check",
    [checks.lost_connection_loses_nothing, checks.pipeline_outlives_interruptions],
    ids=name_of,
)
def test_source_without_a_connection_passes(check: source_conformance.Check) -> None:
    """A source without a connection passes the checks for lost connections."""
    asyncio.run(check(subject_of(TopicSource([], is_endless=True), interrupt=None)))


MISTAKES: dict[Callable[..., TopicSource], tuple[Any, str]] = {
    BackwardsSource: (checks.messages_arrive_in_order, "same key"),
    NamelessSource: (checks.messages_arrive_in_order, "same `identity`"),
    KeylessSource: (checks.messages_arrive_in_order, "The key"),
    GreedySource: (checks.polls_are_bounded, "for 2 records"),
    HeavySource: (checks.polls_are_bounded, "bytes"),
    InventsSource: (checks.poll_without_records_ends, "empty topic"),
    FillsSource: (
        checks.waiting_poll_returns_what_arrives,
        "A poll continues to wait although a message has arrived",
    ),
    ForgetfulSource: (
        checks.done_records_do_not_come_back,
        "Records were delivered again although they were committed:",
    ),
    HastySource: (checks.other_records_come_back, "were lost"),
    CommitsAllSource: (checks.a_commit_covers_only_its_records, "were lost"),
    RenamesSource: (checks.other_records_come_back, "another `identity`"),
    LosesCancelledSource: (checks.cancelled_polls_lose_nothing, "were lost"),
    SerialSource: (checks.commit_does_not_wait_for_a_poll, "commit does not end"),
    ImpatientSource: (checks.commit_does_not_wait_for_a_poll, "nothing has arrived"),
    ReleasesAllSource: (checks.released_records_come_back, "not released"),
    ClaimsSource: (checks.extended_records_stay, "extended it in time"),
    ForeignSource: (checks.closed_source_refuses, "raises RuntimeError"),
    StubbornSource: (checks.closed_source_refuses, "not retryable"),
    ImmovableSource: (checks.positions_are_kept_or_moved, "were lost"),
    UndercountingSource: (checks.lag_counts_what_is_not_committed, "The lag is 0, though 10"),
    FinalSource: (checks.lost_connection_loses_nothing, "not retryable"),
    NeverOpensAgainSource: (checks.lost_connection_loses_nothing, "not retryable"),
    EndsSource: (checks.poll_without_records_ends, "has ended"),
    StallsSource: (checks.pipeline_keeps_the_order_of_keys, "every record"),
    UnreachableSource: (checks.pipeline_keeps_the_order_of_keys, "commit everything"),
}


@pytest.mark.parametrize("kind", MISTAKES, ids=name_of)
def test_mistake_is_noticed(kind: Callable[..., TopicSource]) -> None:
    """A faulty source fails the check that looks for its fault, and the error describes it."""
    check, words = MISTAKES[kind]
    each = kind in (SerialSource, ReleasesAllSource, ClaimsSource, ImpatientSource)
    topic = kind(
        [],
        is_endless=True,
        commits="each" if each else "prefix",
        extend_every=0.001 if kind is ClaimsSource else None,
    )
    with waiting_at_most(0.3), pytest.raises(AssertionError, match=words):
        asyncio.run(check(subject_of(topic)))


@pytest.mark.parametrize("kind", [FixedSource, ScatteredSource], ids=name_of)
def test_position_that_cannot_be_moved_is_fine(kind: type[TopicSource]) -> None:
    """A source that cannot move its position passes the checks."""
    topic = kind([], is_endless=True)
    asyncio.run(checks.positions_are_kept_or_moved(subject_of(topic)))


def test_ended_pipeline_is_noticed() -> None:
    """A source that ends before its last record fails the check."""
    topic = EndsEarlySource([], is_endless=True)
    with pytest.raises(AssertionError, match="lost the messages"):
        asyncio.run(checks.pipeline_keeps_the_order_of_keys(subject_of(topic)))


def test_source_that_opens_late_passes() -> None:
    """A source that cannot be opened for some time, and then can, passes the checks."""
    topic = TopicSource([], is_endless=True)

    def interrupt() -> None:
        topic.interrupt()
        topic.fail(ConnectionFailed("Not yet."), method="open")

    asyncio.run(checks.lost_connection_loses_nothing(subject_of(topic, interrupt=interrupt)))
