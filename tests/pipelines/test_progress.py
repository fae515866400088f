"""The progress of a pipeline through a partition: commits never pass a gap."""

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.pipelines.progress import PartitionProgress

ACTIONS = st.lists(
    st.one_of(
        st.just("admit"),
        st.just("take"),
        st.just("reset"),
        st.tuples(st.just("settle"), st.integers(0, 30)),
    )
)


@given(ACTIONS, st.sampled_from(["each", "prefix"]))
def test_commits_never_pass_a_gap(
    actions: list[str | tuple[str, int]], commits: Literal["each", "prefix"]
) -> None:
    """Each record is committed once, after it is settled and, for prefixes, all before it too."""
    progress: PartitionProgress[int] = PartitionProgress(commits)
    places: list[int] = []
    settled: set[int] = set()
    forgotten: set[int] = set()
    taken: list[int] = []
    for action in actions:
        if action == "admit":
            places += progress.admit([len(places)])
        elif action == "take":
            records = progress.take()
            assert sorted(records) == records
            taken += records
            if commits == "prefix" and records:
                before = set(range(records[-1])) - forgotten
                assert before <= settled
        elif action == "reset":
            forgotten |= set(progress.reset())
            assert 0 == progress.held
        else:
            number = int(action[1])
            if number < len(places) and progress.settle([places[number]]):
                assert number not in settled | forgotten
                settled.add(number)
    assert len(set(taken)) == len(taken)
    assert set(taken) <= settled - (forgotten - set(taken))
    assert progress.held == len(places) - len(taken) - len(forgotten - set(taken))


def test_settled_record_is_not_open() -> None:
    """A record can be settled once only, and not after a reset."""
    progress: PartitionProgress[str] = PartitionProgress("prefix")
    first, second = progress.admit(["a", "b"])
    assert ["a", "b"] == progress.open_records
    assert progress.settle([second])
    assert not progress.settle([second])
    assert [] == progress.take()
    assert ["a", "b"] == progress.reset()
    assert not progress.settle([first])
    assert [] == progress.take()
