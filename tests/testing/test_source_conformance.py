"""The conformance kit of sources passes a correct one, and finds planted faults."""

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
    Backwards,
    Claims,
    Ends,
    EndsEarly,
    Fills,
    Final,
    Fixed,
    Foreign,
    Forgetful,
    Greedy,
    Hasty,
    Heavy,
    Immovable,
    Impatient,
    Invents,
    Keyless,
    LosesCancelled,
    Nameless,
    NeverOpensAgain,
    ReleasesAll,
    Releasing,
    Renames,
    Scattered,
    Serial,
    Stalls,
    Stubborn,
    Topic,
    Undercounting,
    Unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def subject_of(topic: Topic, **changes: Any) -> source_conformance.SourceSubject:
    """Describe a topic in memory to the conformance kit."""
    subject = source_conformance.SourceSubject(
        make=lambda: topic,
        publish=topic.publish,
        interrupt=topic.interrupt,
        releases=isinstance(topic, Releasing),
    )
    return attrs.evolve(subject, **changes)


@pytest.mark.parametrize("check", source_conformance.CHECKS, ids=name_of)
@pytest.mark.parametrize(
    "make",
    [
        lambda: Topic([], is_endless=True),
        lambda: Releasing([], commits="each", is_endless=True, extend_every=0.001),
    ],
    ids=["prefix", "each"],
)
def test_right_source_passes(check: source_conformance.Check, make: Callable[[], Topic]) -> None:
    """A correct source passes all checks."""
    asyncio.run(check(subject_of(make())))


@pytest.mark.parametrize(
    "check",
    [checks.lost_connection_loses_nothing, checks.pipeline_outlives_interruptions],
    ids=name_of,
)
def test_source_without_a_connection_passes(check: source_conformance.Check) -> None:
    """A source without a connection passes the checks for lost connections."""
    asyncio.run(check(subject_of(Topic([], is_endless=True), interrupt=None)))


MISTAKES: dict[Callable[..., Topic], tuple[Any, str]] = {
    Backwards: (checks.messages_arrive_in_order, "same key"),
    Nameless: (checks.messages_arrive_in_order, "same `identity`"),
    Keyless: (checks.messages_arrive_in_order, "The key"),
    Greedy: (checks.polls_are_bounded, "for 2 records"),
    Heavy: (checks.polls_are_bounded, "bytes"),
    Invents: (checks.poll_without_records_ends, "empty topic"),
    Fills: (checks.waiting_poll_returns_what_arrives, "goes on waiting"),
    Forgetful: (checks.done_records_do_not_come_back, "came back though"),
    Hasty: (checks.other_records_come_back, "were lost"),
    Renames: (checks.other_records_come_back, "another `identity`"),
    LosesCancelled: (checks.cancelled_polls_lose_nothing, "were lost"),
    Serial: (checks.commit_does_not_wait_for_a_poll, "commit does not end"),
    Impatient: (checks.commit_does_not_wait_for_a_poll, "nothing has arrived"),
    ReleasesAll: (checks.released_records_come_back, "not released"),
    Claims: (checks.extended_records_stay, "was extended"),
    Foreign: (checks.closed_source_refuses, "raises RuntimeError"),
    Stubborn: (checks.closed_source_refuses, "not retryable"),
    Immovable: (checks.positions_are_kept_or_moved, "were lost"),
    Undercounting: (checks.lag_counts_what_is_not_committed, "The lag is 0, though 10"),
    Final: (checks.lost_connection_loses_nothing, "not retryable"),
    NeverOpensAgain: (checks.lost_connection_loses_nothing, "not retryable"),
    Ends: (checks.poll_without_records_ends, "has ended"),
    Stalls: (checks.pipeline_keeps_the_order_of_keys, "every record"),
    Unreachable: (checks.pipeline_keeps_the_order_of_keys, "commit everything"),
}


@pytest.mark.parametrize("kind", MISTAKES, ids=name_of)
def test_mistake_is_noticed(kind: Callable[..., Topic]) -> None:
    """A source with a fault fails the check for it, and the error describes the fault."""
    check, words = MISTAKES[kind]
    each = kind in (Serial, ReleasesAll, Claims, Impatient)
    topic = kind(
        [],
        is_endless=True,
        commits="each" if each else "prefix",
        extend_every=0.001 if kind is Claims else None,
    )
    with waiting_at_most(0.3), pytest.raises(AssertionError, match=words):
        asyncio.run(check(subject_of(topic)))


@pytest.mark.parametrize("kind", [Fixed, Scattered], ids=name_of)
def test_position_that_cannot_be_moved_is_fine(kind: type[Topic]) -> None:
    """A source that cannot move its position passes."""
    topic = kind([], is_endless=True)
    asyncio.run(checks.positions_are_kept_or_moved(subject_of(topic)))


def test_ended_pipeline_is_noticed() -> None:
    """A source that ends early fails, because records are missing."""
    topic = EndsEarly([], is_endless=True)
    with pytest.raises(AssertionError, match="lost the messages"):
        asyncio.run(checks.pipeline_keeps_the_order_of_keys(subject_of(topic)))


def test_source_that_opens_late_passes() -> None:
    """A source that fails to open for some time passes."""
    topic = Topic([], is_endless=True)

    def interrupt() -> None:
        topic.interrupt()
        topic.fail(ConnectionFailed("Not yet."), method="open")

    asyncio.run(checks.lost_connection_loses_nothing(subject_of(topic, interrupt=interrupt)))
