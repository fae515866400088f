"""Sketches of durations, from which percentiles are computed."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.domain.observation.sketch import MAX_BUCKETS, Sketch, SketchRecorder, merged_sketch

PERCENTS = (0.1, 1, 25, 50, 75, 90, 95, 99, 99.9, 100)
DURATIONS = st.lists(st.floats(1e-7, 50.0), max_size=60)
ANY_DURATIONS = st.lists(st.floats(0, 3.2e9), max_size=60)


def sketch_of(durations: list[float]) -> Sketch:
    """Return a sketch of these durations."""
    recorder = SketchRecorder()
    for duration in durations:
        recorder.add(duration)
    return recorder.freeze()


def exact_percentile(ordered: list[float], percent: float) -> float:
    """Return the smallest duration that is not below `percent` per cent of all durations."""
    thousandths = round(percent * 1_000)
    return ordered[max(0, -(-len(ordered) * thousandths // 100_000) - 1)]


@pytest.mark.untraced
def test_percentiles_of_a_million_durations_are_within_one_percent() -> None:
    """Percentiles are within one per cent, even if eight sketches are merged."""
    numbers = random.Random(7)
    durations = [numbers.lognormvariate(-2.5, 1.5) for _ in range(1_000_000)]
    whole_sketch = sketch_of(durations)
    parts = [sketch_of(durations[number::8]) for number in range(8)]
    durations.sort()

    assert whole_sketch == merged_sketch(parts) == merged_sketch(reversed(parts))
    for percent in PERCENTS:
        assert pytest.approx(
            exact_percentile(durations, percent), rel=0.0101
        ) == whole_sketch.percentile(percent)


@given(durations=DURATIONS, percent=st.sampled_from(PERCENTS))
def test_sketch_percentile_is_close_to_exact_one(durations: list[float], percent: float) -> None:
    """A sketch's percentile is close to the exact one; if there are no durations, it is None."""
    percentile = sketch_of(durations).percentile(percent)
    if durations:
        expected = exact_percentile(sorted(durations), percent)
        assert pytest.approx(expected, rel=0.0101, abs=2e-9) == percentile
    else:
        assert percentile is None


@given(first=ANY_DURATIONS, second=ANY_DURATIONS, third=ANY_DURATIONS)
def test_order_of_merging_sketches_does_not_matter(
    first: list[float], second: list[float], third: list[float]
) -> None:
    """The order in which sketches are merged does not change the result."""
    a, b, c = map(sketch_of, (first, second, third))

    assert sketch_of([*first, *second, *third]) == merged_sketch([a, b, c])
    assert merged_sketch([a, merged_sketch([b, c])]) == merged_sketch([merged_sketch([c, a]), b])


@given(durations=ANY_DURATIONS)
def test_sketch_written_to_bytes_is_read_back_unchanged(durations: list[float]) -> None:
    """A sketch written to bytes is read back unchanged."""
    sketch = sketch_of(durations)

    assert sketch == Sketch.from_bytes(sketch.to_bytes())
    assert len(durations) == sketch.count


@given(data=st.binary(max_size=40))
def test_any_bytes_are_read_as_a_sketch_or_refused(data: bytes) -> None:
    """Any bytes are either read as a sketch or refused."""
    for text in (data, b"\1" + data):
        try:
            sketch = Sketch.from_bytes(text)
        except InvalidData:
            continue
        assert sketch == merged_sketch([sketch])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\2\0\0\0\0\0",
        b"\1\0\0\0\0",
        b"\1\0\0\0\0\1",
        b"\1\0\5\5\5\0",
        b"\1\0\5\5\5\1\x52\0",
        b"\1\0\5\5\5\1\1\1",
        b"\1\0\5\6\5\1\x51\1",
        b"\1\0\0\0\0\1\0\1",
        b"\1\0\0\0\0\0\x80",
        b"\1" + b"\x80" * 11,
    ],
)
def test_damaged_bytes_are_refused(data: bytes) -> None:
    """Bytes of a sketch that were cut, extended or changed are refused."""
    with pytest.raises(InvalidData, match="not a sketch"):
        Sketch.from_bytes(data)


def test_bytes_with_a_repeated_bucket_are_refused() -> None:
    """Bytes of a sketch that contain the same bucket twice are refused."""
    data = bytearray(sketch_of([1.0, 2.0]).to_bytes())
    data[-2] = 0

    with pytest.raises(InvalidData):
        Sketch.from_bytes(bytes(data))


def test_full_sketch_shares_buckets_of_very_short_durations() -> None:
    """In a full sketch very short durations share a bucket; long durations stay precise to 1 %."""
    sketch = sketch_of([1.1**power * 1e-9 for power in range(440)])

    assert MAX_BUCKETS > sketch.buckets[-1][0] - sketch.buckets[0][0]
    assert 440 == sketch.count
    assert pytest.approx(1.1**417 * 1e-9, rel=0.0101) == sketch.percentile(95)


@pytest.mark.parametrize(
    "duration", [-1e-9, float("nan"), float("inf"), -float("inf"), 1e300, 2**70, "1", None, True]
)
def test_invalid_durations_are_refused(duration: Any) -> None:
    """A sketch accepts durations from zero seconds to a hundred years."""
    recorder = SketchRecorder()
    with pytest.raises(InvalidData, match="is not a duration"):
        recorder.add(duration)

    assert Sketch() == recorder.freeze()


@pytest.mark.parametrize("percent", [0, -1, 100.1, float("nan"), "95", True])
def test_invalid_percentages_are_refused(percent: Any) -> None:
    """A sketch refuses a percentage that is not above 0 and at most 100."""
    with pytest.raises(InvalidData, match="is not a percentage"):
        sketch_of([1.0]).percentile(percent)


def test_durations_of_zero_are_counted() -> None:
    """A sketch counts durations of zero for percentiles, means and limits."""
    sketch = sketch_of([0.0, 0.0, 4.0])

    assert [0.0, 4.0] == [sketch.percentile(50), sketch.percentile(100)]
    assert pytest.approx(4 / 3) == sketch.mean
    assert [2, 2, 3] == [sketch.number_within(limit) for limit in (0.0, 1.0, 5.0)]
    assert Sketch().mean is None


def test_durations_within_a_limit_are_counted() -> None:
    """A sketch counts the durations within a limit, exactly unless durations are near the limit."""
    sketch = sketch_of([0.1] * 7 + [0.9] * 2 + [3.0])

    assert [0, 7, 9, 10] == [sketch.number_within(limit) for limit in (0.05, 0.8, 2.0, 3.0)]


def test_a_negative_measurement_is_zero() -> None:
    """A sketch records a negative duration, after a clock step back, as zero."""
    recorder = SketchRecorder()
    recorder.add_nanoseconds(-5)

    assert (1, 0) == (recorder.freeze().zeros, recorder.freeze().total)
