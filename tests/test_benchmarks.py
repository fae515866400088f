"""Benchmark figures are printed only if the control is steady; no test reads a real clock."""

import random
import re
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure import (
    ATTEMPTS,
    Clock,
    Contender,
    Figure,
    Row,
    calls_per_block,
    compare,
    is_steady,
    summary,
    table_rows,
)
from benchmarks.web_services import WebService, graphql, json_rpc, odata, soap, xml_rpc
from moorage import ConnectorManager, Response, Service
from moorage.testing.fakes.http import FakeVendor, ScriptedHttpClient
from tools.figures import page, update_page

STOPPED = Clock("no time", lambda: 0.0)
ROUNDS = 12


class FakeBlock:
    """A measured block whose calls take the given seconds, plus random noise."""

    def __init__(self, seconds: float, *, noise: float = 0.0, first: float = 0.0) -> None:
        self._seconds, self._noise, self._first = seconds, noise, first
        self._dice = random.Random(7)
        self.sizes: list[int] = []

    def __call__(self, calls: int, read: object) -> float:
        """Return how long the calls would take, without making them."""
        self.sizes.append(calls)
        extra_seconds, self._first = self._first, 0.0
        return extra_seconds + calls * self._seconds * (1 + self._dice.uniform(-1, 1) * self._noise)


def measured_rows(*blocks: FakeBlock, bare: FakeBlock | None = None) -> list[Row]:
    """Return the rows of a comparison of fake blocks."""
    contenders = [Contender(str(number), block) for number, block in enumerate(blocks)]
    return compare(bare, contenders, rounds=ROUNDS, clock=STOPPED).rows


def report(low: float, high: float, **more: object) -> dict[str, Any]:
    """Return a report with one table whose control has the given confidence interval."""

    def figure(median: float, low: float, high: float) -> dict[str, float]:
        return {"median": median, "low": low, "high": high}

    rows = [
        {
            "name": name,
            "cost": figure(cost, cost, cost),
            "ratio": ratio,
            "more": figure(0.0, 0.0, 0.0),
        }
        for name, cost, ratio in (
            ("peer", 123e-6, figure(1.0, 1.0, 1.0)),
            ("moorage", 77e-6, figure(0.63, 0.6, 0.66)),
            ("peer (control)", 123e-6, figure((low + high) / 2, low, high)),
        )
    ]
    comparison = {
        "title": "a comparison",
        "target": None,
        "more": False,
        "table": {"rows": rows, "clock": "processor time", "rounds": 60},
    }
    return {
        "machine": {"summary": "a machine", "peers": "peer 1.0"},
        "date": "2026-01-01",
        "tables": ["some_table"],
        "comparisons": {"some_table": comparison | more},
    }


@pytest.mark.parametrize(
    "low, high, steady",
    [
        (1.0, 1.0, True),
        (0.95, 1.05, True),
        (0.949, 1.0, False),
        (1.0, 1.051, False),
        (0.32, 0.48, False),
    ],
)
def test_control_is_steady_only_within_five_percent(low: float, high: float, steady: bool) -> None:
    """A control is steady only if its whole confidence interval is within five percent of one."""
    assert is_steady(low, high) is steady


def test_slow_first_call_does_not_shrink_the_blocks() -> None:
    """A slow first call, such as a TLS handshake, does not reduce the number of calls per block."""
    handshake = FakeBlock(1e-4, first=0.5)

    assert calls_per_block(handshake, STOPPED.read, 0.03) == 300


def test_interrupted_block_does_not_shrink_the_blocks() -> None:
    """Pauses by other processes do not reduce the number of calls per block."""

    class InterruptedBlock(FakeBlock):
        def __call__(self, calls: int, read: object) -> float:
            """Add a pause to every second block."""
            pause = 0.2 if len(self.sizes) % 2 else 0.0
            return pause + super().__call__(calls, read)

    assert calls_per_block(InterruptedBlock(1e-4), STOPPED.read, 0.03) == 300


def test_control_runs_the_reference_in_blocks_of_the_same_size() -> None:
    """The control measures the reference again, with blocks of the same size."""
    reference = FakeBlock(1e-4, first=0.5)

    rows = measured_rows(reference, FakeBlock(2e-4))

    assert [row.name for row in rows] == ["0", "1", "0 (control)"]
    assert reference.sizes[-2 * ROUNDS :] == [100] * (2 * ROUNDS)
    assert rows[-1].ratio.median == pytest.approx(1.0)


def test_table_has_each_contender_ratio_to_reference() -> None:
    """The table has each contender's ratio to the reference, and its difference."""
    row = measured_rows(FakeBlock(1e-4), FakeBlock(3e-4))[1]

    assert row.cost.median == pytest.approx(3e-4)
    assert row.ratio.median == pytest.approx(3.0)
    assert row.more.median == pytest.approx(2e-4)


def test_cost_of_the_bare_call_is_subtracted() -> None:
    """The duration of an empty call is subtracted from every contender."""
    row = measured_rows(FakeBlock(2e-4), FakeBlock(3e-4), bare=FakeBlock(1e-4))[1]

    assert row.ratio.median == pytest.approx(2.0)


def test_steady_table_is_measured_once() -> None:
    """A table with a steady control gets no further rounds."""
    table = compare(None, [Contender("a", FakeBlock(1e-4))], rounds=ROUNDS, clock=STOPPED)

    assert table.rounds == ROUNDS


def test_unsteady_table_is_measured_a_bounded_number_of_times() -> None:
    """A table that stays unsteady is measured a limited number of times."""
    noisy = Contender("a", FakeBlock(1e-4, noise=0.9))

    table = compare(None, [noisy], rounds=ROUNDS, clock=STOPPED)

    control = table.rows[-1].ratio
    assert table.rounds == ATTEMPTS * ROUNDS
    assert not is_steady(control.low, control.high)


def test_ratios_are_computed_within_round() -> None:
    """Ratios are computed within a round, so a machine that slows down does not change them."""
    slowdown = [1.0, 1.0, 5.0, 9.0, 2.0, 1.0]

    rows = table_rows(
        {"a": [1e-4 * factor for factor in slowdown], "b": [2e-4 * factor for factor in slowdown]}
    )

    assert rows[1].ratio == Figure(2.0, 2.0, 2.0)


def test_load_that_grows_during_mirrored_rounds_leaves_the_control_alone() -> None:
    """If blocks run in one order and then in reverse, growing load slows all of them equally."""
    slowdown = count(1000)

    def slower_each_time(calls: int, read: object) -> float:
        return calls * 1e-4 * next(slowdown) / 1000

    contenders = [Contender(name, slower_each_time) for name in "abc"]
    rows = compare(None, contenders, rounds=ROUNDS, clock=STOPPED, mirrored=True).rows

    for row in rows:
        assert row.ratio.low == pytest.approx(1.0)
        assert row.ratio.high == pytest.approx(1.0)


def test_one_outlier_changes_neither_median_nor_its_interval() -> None:
    """One outlier changes neither the median nor the confidence interval."""
    figure = summary([1.0, 2.0, 3.0, 4.0, 100.0], random.Random(1))

    assert figure.median == 3.0
    assert 1.0 <= figure.low <= 3.0 <= figure.high <= 100.0


def test_steady_table_is_printed_with_its_command() -> None:
    """The benchmark page shows a steady table with the command that repeats it."""
    text = page([report(0.98, 1.02)])

    assert "| **moorage** | 77.00 [77.00, 77.00] | 0.63 × [0.60, 0.66] |" in text
    assert "`make bench BENCH_ARGS=some_table`" in text
    assert "Tables without figures" not in text


def test_unsteady_table_is_named_without_its_figures() -> None:
    """If a table's figures are unsteady, the benchmark page omits the table and says so."""
    text = page([report(0.32, 0.48)])

    assert "| `some_table` | 0.40 × [0.32, 0.48] | `make bench BENCH_ARGS=some_table` |" in text
    assert "77.00" not in text
    assert "moorage**" not in text


def test_table_that_was_not_measured_is_named() -> None:
    """The benchmark page lists a table that was not measured."""
    text = page([report(0.98, 1.02) | {"tables": ["some_table", "other_table"]}])

    assert "| `other_table` | not measured | `make bench BENCH_ARGS=other_table` |" in text


def test_last_report_of_a_table_counts() -> None:
    """A later unsteady report of a table replaces an earlier steady one."""
    text = page([report(0.98, 1.02), report(0.5, 1.5)])

    assert "moorage**" not in text


def test_control_has_no_ratio_in_table_of_differences() -> None:
    """For a table of differences, the target is a difference, but the control is a ratio."""
    text = page([report(0.98, 1.02, more=True, target={"must": 20, "aim": 8, "more": True})])

    assert "20 µs more than the first row, and the target is 8 µs more." in text
    assert "the second time took 1.00 × [0.98, 1.02] of the first." in text


def test_table_that_is_steady_in_later_report_replaces_one_on_page() -> None:
    """A table that is steady in a later report replaces the one on the page, with its date."""
    both_tables = {"tables": ["other_table", "some_table"]}
    text = page([report(0.98, 1.02) | both_tables])
    later_report = report(0.99, 1.01)
    later_report |= {**both_tables, "date": "2026-02-02"}
    later_report["comparisons"] = {"other_table": later_report["comparisons"]["some_table"]}

    result = update_page(text, later_report)

    tables = re.findall(
        r"BENCH_ARGS=(\w+)` measured this table in \d+ rounds( on .+)?\.$", result, re.MULTILINE
    )
    assert tables == [("other_table", " on 2026-02-02 (a machine)"), ("some_table", "")]
    assert "| `other_table` |" not in result
    assert "measured on 2026-01-01." in result


def test_table_that_is_unsteady_in_later_report_does_not_replace_steady_one() -> None:
    """A table that is unsteady in a later report does not replace a steady one."""
    text = page([report(0.98, 1.02)])

    assert update_page(text, report(0.5, 1.5)) == text


def test_every_table_of_the_page_has_a_steady_control() -> None:
    """Every table of the published page has a steady control."""
    text = Path("docs/explanation/speed.md").read_text("utf-8")
    tables = [
        part
        for part in text.split("\n## ")[1:]
        if "beside the first" in part or "more than the first" in part
    ]

    for table in tables:
        result = re.search(
            r"(?:\(control\)\** \|[^|]*\||second time took) *[-\d.]+ × \[([\d.]+), ([\d.]+)\]",
            table,
        )
        assert result, table.splitlines()[0]
        assert is_steady(float(result[1]), float(result[2])), table.splitlines()[0]
    assert tables


@pytest.mark.parametrize("make", [graphql, odata, json_rpc, xml_rpc, soap])
def test_library_and_moorage_return_the_same(make: Callable[[], WebService]) -> None:
    """In the table about a web service, all compared calls return the same value."""
    service = make()
    answer = Response(200, {"Content-Type": service.media_type}, service.answer)
    vendor = ScriptedHttpClient(FakeVendor(answer))
    shop = ConnectorManager([Service("shop", base_url="https://shop.example")], http=vendor)

    expected = service.with_library(lambda _: answer)()
    assert expected == service.with_moorage(partial(shop.perform, "shop"))
