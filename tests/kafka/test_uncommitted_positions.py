"""The decision when Kafka positions are committed."""

from __future__ import annotations

from moorage.domain.messages.kafka_commits import UncommittedPositions

A, B = ("orders", 0), ("orders", 1)


def test_nothing_is_committed_without_finished_records() -> None:
    """Without finished records nothing is committed, even if the limit is one record."""
    positions: UncommittedPositions[object] = UncommittedPositions()
    assert {} == positions.take_due(0)


def test_commit_is_due_at_given_number_of_records() -> None:
    """A commit is due after the given number of records; acknowledged records are not counted."""
    positions: UncommittedPositions[object] = UncommittedPositions()
    positions.add({A: 4, B: 3})
    assert ({}, {A: 4, B: 3}) == (positions.take_due(8), positions.take_due(7))
    positions.acknowledge({A: 4})
    positions.add({B: 5})
    assert (5, {}, {B: 5}) == (positions.records, positions.take_due(3), positions.take_due(2))
    positions.acknowledge({B: 5})
    assert (0, {}) == (positions.records, positions.take_due(0))


def test_records_that_finish_during_commit_are_part_of_next_commit() -> None:
    """Records that finish during a commit are part of the next commit."""
    positions: UncommittedPositions[object] = UncommittedPositions()
    positions.add({A: 4})
    positions.add({A: 9})
    positions.acknowledge({A: 4})
    assert (5, {A: 9}) == (positions.records, positions.take_due(5))


def test_partition_whose_position_lies_before_its_committed_one_has_nothing_to_commit() -> None:
    """A partition whose position is before its committed position has nothing to commit."""
    positions: UncommittedPositions[object] = UncommittedPositions()
    positions.acknowledge({A: 9})
    positions.add({A: 2, B: 3})
    assert (3, {B: 3}) == (positions.records, positions.take_due(3))


def test_revoked_partition_has_nothing_to_commit() -> None:
    """A revoked partition has nothing to commit, and its count restarts at 0 when reassigned."""
    positions: UncommittedPositions[object] = UncommittedPositions()
    positions.add({A: 4, B: 3})
    positions.acknowledge({A: 2})
    positions.forget([A, ("others", 7)])
    assert (3, {B: 3}) == (positions.records, positions.take_due(1))
    positions.add({A: 4})
    assert (7, {A: 4}) == (positions.records, positions.take_due(1))


def test_sent_positions_are_not_due_again() -> None:
    """While a commit is unanswered, its positions are not sent again, but later ones are."""
    positions: UncommittedPositions[object] = UncommittedPositions()
    positions.add({A: 4, B: 3})
    positions.take_due(7)
    positions.add({A: 6})
    assert (9, {}, {A: 6}) == (positions.records, positions.take_due(3), positions.take_due(2))


def test_positions_are_due_again_after_a_failed_commit() -> None:
    """After a failed commit, all positions without an acknowledgement are due again."""
    positions: UncommittedPositions[object] = UncommittedPositions()
    positions.add({A: 4, B: 3})
    positions.take_due(7)
    positions.acknowledge({A: 4})
    positions.fail()
    assert (3, {B: 3}) == (positions.records, positions.take_due(3))


def test_position_that_moves_back_is_counted_from_there() -> None:
    """After a failed commit or a step back, the count is the number of uncommitted records."""
    positions: UncommittedPositions[object] = UncommittedPositions()
    positions.add({A: 9, B: 3})
    positions.take_due(12)
    positions.acknowledge({A: 5})
    positions.add({A: 7})
    assert 5 == positions.records
    positions.fail()
    assert {A: 7, B: 3} == positions.take_due(5)
    positions.forget([A, B])
    assert (0, {}) == (positions.records, positions.take_due(0))
