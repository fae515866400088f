"""Tests of the crash matrix: effects of a call are counted for each case, point and fault."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import needs_postgres_programs
from tools.crashes import page, peers
from tools.crashes.cases import CASES, CrashCase
from tools.crashes.cell import FAULTS, POINTS, Outcome, prepare, run
from tools.crashes.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMED = {case.name: case for case in CASES}
CHARGE, TEXT = NAMED["payments.charge@stripe"], NAMED["sms.send@twilio"]
LOOK_UP = NAMED["payments.charge@stripe-look-up"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Yield a PostgreSQL server that a test may stop."""
    needs_postgres_programs()
    with Cluster() as new_cluster:
        prepare(new_cluster)
        yield new_cluster


@pytest.mark.parametrize(
    "case, point, fault, verdict",
    [
        (CHARGE, "sent", "killed", "once"),
        (CHARGE, "answered", "database", "once"),
        (LOOK_UP, "sent", "killed", "once"),
        (TEXT, "sent", "killed", "person"),
    ],
)
def test_after_crash_there_is_one_effect(
    cluster: Cluster, case: CrashCase, point: str, fault: str, verdict: str
) -> None:
    """After each crash a call has one effect; only a vendor without keys may need a person."""
    outcome = run(cluster, case, point, fault)
    assert (verdict, 1) == (outcome.verdict(case), outcome.effects.total())
    assert outcome.is_right(case)


@pytest.mark.parametrize(
    "effects, states, unsettled, verdict",
    [
        ({"charge": 1}, ["done"], [], "once"),
        ({"charge": 2}, ["done"], [], "double"),
        ({"charge": 2}, ["unknown"], [], "double"),
        ({}, ["done"], [], "lost"),
        ({}, [], [], "stuck"),
        ({"charge": 1}, ["claimed"], [], "stuck"),
        ({"charge": 1}, ["done"], ["wait"], "stuck"),
        ({"charge": 1}, ["unknown"], [], "person"),
        ({}, ["dead"], [], "person"),
        ({"charge": 1}, ["done"], ["person"], "person"),
    ],
)
def test_verdict_names_the_fault(
    effects: dict[str, int], states: list[str], unsettled: list[str], verdict: str
) -> None:
    """The verdict on a crash tells single, duplicated, lost and stuck effects apart."""
    outcome = Outcome(Counter(effects), states, unsettled, "")
    assert verdict == outcome.verdict(CHARGE)
    assert (verdict == "once") is outcome.is_right(CHARGE)


def test_operator_decides_for_vendors_without_look_ups() -> None:
    """Only a vendor without idempotency keys and look-ups leaves the decision to an operator."""
    unused_outcome = Outcome(Counter(), ["unknown"], ["person"], "")
    finished_outcome = Outcome(Counter({"charge": 1}), ["unknown"], ["person"], "")
    assert ("person", "person") == (
        unused_outcome.verdict(LOOK_UP),
        finished_outcome.verdict(LOOK_UP),
    )
    assert (True, False) == (unused_outcome.is_right(LOOK_UP), finished_outcome.is_right(LOOK_UP))
    assert not unused_outcome.is_right(CHARGE)
    assert finished_outcome.is_right(TEXT)


def test_page_counts_the_cells() -> None:
    """The crash matrix's page has a row for each case and queue, and the number of failures."""
    rows: list[page.Row] = [
        {"case": case.name, "fault": fault, "point": point, "verdict": "once"}
        for case in CASES
        for fault in FAULTS
        for point in POINTS
    ]
    rows += [
        {"case": CHARGE.name, "fault": "killed", "point": "sent", "verdict": "double"},
        {
            "case": TEXT.name,
            "fault": "killed",
            "point": "sent",
            "verdict": "person",
            "effects": {TEXT.expected[0]: 1},
        },
        {"case": "celery", "fault": "killed", "point": "claimed", "verdict": "lost"},
    ]
    text = " ".join(page.page_of_rows(rows).split())
    assert f"**In {len(CASES) * len(FAULTS) * len(POINTS)} crashes of moorage, 1 effect" in text
    assert "1 effect happened twice, no effect was lost, and no call was stuck.**" in text
    assert "After 1 of these crashes, an operator" in text
    assert "In 1 of these 1 crashes, each" in text
    assert "left 1 of 1 orders" in text
    assert "| once | once | once | 1 double, 4 once | once | once | once |" in text
    assert all(f"| {queue} | " in text for queue in peers.QUEUES)


def test_tool_writes_same_page_from_page_results() -> None:
    """The page in the documentation is the one that the tool writes from the page's results."""
    text = page.PAGE.read_text()
    rows: list[page.Row] = []
    for line in text.splitlines():
        name, *cells = line.strip("| ").split(" | ")
        name = name.strip("`")
        if name in NAMED:
            for point, cell in zip(POINTS, cells, strict=True):
                rows += rows_of_cell(name, point, cell)
        elif name in peers.QUEUES:
            fault, *verdicts = cells
            rows += [
                {"case": name, "fault": fault, "point": point, "verdict": verdict}
                for point, verdict in zip(peers.POINTS, verdicts, strict=True)
            ]
    needs_person = [row for row in rows if row["verdict"] == "person"]
    (whole,) = re.findall(r"In (\d+) of these \d+ crashes", text)
    for row in needs_person[: int(whole)]:
        row["effects"] = Counter(NAMED[row["case"]].expected)

    assert NAMED.keys() == {row["case"] for row in rows} & NAMED.keys()
    assert text == page.page_of_rows(rows)


def rows_of_cell(case: str, point: str, cell: str) -> list[page.Row]:
    """Return the results of all faults from a cell such as "once" or "1 once, 4 person"."""
    counted = re.findall(r"(\d+) ([a-z ]+)", cell) or [(len(FAULTS), cell)]
    verdicts = [verdict for count, verdict in counted for _ in range(int(count))]
    return [
        {"case": case, "fault": fault, "point": point, "verdict": verdict, "effects": Counter()}
        for fault, verdict in zip(FAULTS, verdicts, strict=True)
    ]
