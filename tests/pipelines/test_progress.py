"""The progress of a pipeline through a partition: commits never pass a gap."""

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from moorage import SinkRecord
from moorage.domain.pipelines.progress import PartitionProgress, PendingRecord

ACTIONS = st.lists(
    st.one_of(
        st.just("admit"),
        st.just("take"),
        st.just("reset"),
        st.tuples(st.just("settle"), st.integers(0, 30)),
    )
)


def record(number: int) -> SinkRecord:
    """Return a record that has its number as its offset."""
    return SinkRecord(b"paid", topic="orders", offset=number)


def numbers_of(records: list[PendingRecord]) -> list[int]:
    """Return the offsets of records."""
    return [int(pending.record.offset or 0) for pending in records]


@given(ACTIONS, st.sampled_from(["each", "prefix"]))
def test_commits_never_pass_a_gap(
    actions: list[str | tuple[str, int]], commits: Literal["each", "prefix"]
) -> None:
    """Each record is committed once, after it is settled and, for prefixes, all before it too."""
    progress = PartitionProgress(commits)
    admitted: list[PendingRecord] = []
    settled: list[int] = []
    forgotten: set[int] = set()
    taken: list[int] = []
    for action in actions:
        if action == "admit":
            admitted += progress.admit([record(len(admitted))])
        elif action == "take":
            numbers = numbers_of(progress.take())
            taken += numbers
            if commits == "prefix":
                assert {*range(max(numbers, default=0))} <= {*settled, *forgotten}
        elif action == "reset":
            forgotten |= set(numbers_of(progress.reset()))
            assert [] == progress.open_records
        else:
            number = int(action[1])
            if number < len(admitted) and progress.settle([admitted[number]]):
                assert number not in {*settled, *forgotten}
                settled.append(number)
        is_open = {*range(len(admitted))} - {*settled, *forgotten}
        assert sorted(is_open) == numbers_of(progress.open_records)
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(settled) - forgotten
    if commits == "each":
        assert [number for number in settled if number in taken] == taken
    else:
        assert sorted(taken) == taken
    rest = [pending for pending in admitted if pending.record.offset not in {*taken, *forgotten}]
    assert {*rest} == {*progress.reset()}


def test_settled_record_is_not_open() -> None:
    """A record can be settled once only, and not after a reset."""
    progress = PartitionProgress("prefix")
    first, second = progress.admit([record(1), record(2)])
    assert [first, second] == progress.open_records
    assert progress.settle([second])
    assert not progress.settle([second])
    assert [] == progress.take()
    assert [first, second] == progress.reset()
    assert not progress.settle([first])
    assert [] == progress.take()


def test_settled_records_are_committed_behind_an_open_one() -> None:
    """With "each", records are committed while one before them is still being processed."""
    progress = PartitionProgress("each")
    first, second, third = progress.admit(map(record, range(3)))
    assert progress.settle([third, second])
    assert [third, second] == progress.take()
    assert [first] == progress.open_records == progress.reset()
