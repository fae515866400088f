"""A pipeline's progress in a partition: a commit never passes an unfinished record."""

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from moorage import SinkRecord
from moorage.domain.pipelines.progress import PartitionProgress, PendingRun

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


def admit(progress: PartitionProgress, *numbers: int) -> list[PendingRun]:
    """Admit records with these numbers, and return a run of records for each."""
    return progress.admit([record(number) for number in numbers], [4] * len(numbers)).singles()


def numbers_of(runs: list[PendingRun]) -> list[int]:
    """Return the offsets of the records in these runs."""
    return [int(item.offset or 0) for run in runs for item in run.records]


@given(ACTIONS, st.sampled_from(["each", "prefix"]))
def test_commits_never_pass_a_gap(
    actions: list[str | tuple[str, int]], commits: Literal["each", "prefix"]
) -> None:
    """Each settled record is committed once; in prefix mode, only after all records before it."""
    progress = PartitionProgress(commits)
    admitted: list[PendingRun] = []
    settled: list[int] = []
    forgotten: set[int] = set()
    taken: list[int] = []
    for action in actions:
        if action == "admit":
            admitted += admit(progress, len(admitted))
        elif action == "take":
            numbers = numbers_of(progress.take())
            taken += numbers
            if commits == "prefix":
                assert {*range(max(numbers, default=0))} <= {*settled, *forgotten}
        elif action == "reset":
            forgotten |= set(numbers_of(progress.reset()))
            assert [] == progress.open_runs
        else:
            number = int(action[1])
            if number < len(admitted) and progress.settle([admitted[number]]):
                assert number not in {*settled, *forgotten}
                settled.append(number)
        is_open = {*range(len(admitted))} - {*settled, *forgotten}
        assert sorted(is_open) == numbers_of(progress.open_runs)
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(settled) - forgotten
    if commits == "each":
        assert [number for number in settled if number in taken] == taken
    else:
        assert sorted(taken) == taken
    removed_offsets = {*taken, *forgotten}
    rest = [run for run in admitted if run.records[0].offset not in removed_offsets]
    assert {*rest} == {*progress.reset()}


@given(st.lists(st.integers(1, 6)), st.data(), st.sampled_from(["each", "prefix"]), st.booleans())
def test_split_runs_are_settled_by_themselves(
    lengths: list[int], data: st.DataObject, commits: Literal["each", "prefix"], is_reset: bool
) -> None:
    """A run of records may be split at any record; each part is committed separately."""
    progress = PartitionProgress(commits)
    first = 0
    runs: list[PendingRun] = []
    for length in lengths:
        numbers = range(first, first + length)
        whole_run = progress.admit([record(number) for number in numbers], [*numbers])
        cuts = data.draw(st.sets(st.integers(1, length - 1))) if length > 1 else set[int]()
        runs += whole_run.split(sorted(cuts))
        first += length
    assert [*range(first)] == numbers_of(progress.open_runs) == numbers_of(runs)
    assert all(run.size == sum(numbers_of([run])) for run in runs)
    if is_reset:
        progress.reset()
        assert [] == [part for run in runs for part in run.singles() if not part.is_done]
        assert [] == progress.open_runs == progress.take()
        return
    settled = [run for run in runs if data.draw(st.booleans())]
    assert bool(settled) is progress.settle(settled)
    committed = numbers_of(progress.take())
    if commits == "each":
        assert numbers_of(settled) == committed
    else:
        is_open = {*range(first)} - {*numbers_of(settled)}
        assert [*range(min(is_open, default=first))] == committed


def test_settled_record_is_not_open() -> None:
    """A record can be settled only once, and not after a reset."""
    progress = PartitionProgress("prefix")
    first, second = admit(progress, 1, 2)
    assert [first, second] == progress.open_runs
    assert progress.settle([second])
    assert not progress.settle([second])
    assert [] == progress.take()
    assert [first, second] == progress.reset()
    assert not progress.settle([first])
    assert [] == progress.take()


def test_records_are_committed_while_earlier_one_is_still_processed_in_mode_each() -> None:
    """In the mode "each", records are committed while an earlier one is still processed."""
    progress = PartitionProgress("each")
    first, second, third = admit(progress, 0, 1, 2)
    assert progress.settle([third, second])
    assert [third, second] == progress.take()
    assert [first] == progress.open_runs == progress.reset()
