"""State diagrams are drawn from the tables that the code uses, and are complete."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from moorage.domain.idempotency.claims import TABLE
from moorage.domain.resilience.circuit import TRANSITIONS
from tools import diagrams, recorded_runs

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = {**diagrams.pictures(), **recorded_runs.pictures()}
TABLES = {
    "diagrams/circuit.svg": diagrams.circuit_rows(),
    "diagrams/idempotency.svg": diagrams.idempotency_rows(),
    **{
        f"diagrams/runs/{run.name}.svg": [*recorded_runs.recorded_rows(run)]
        for run in recorded_runs.RUNS
    },
}


def _draw(path: str) -> ET.Element:
    return ET.fromstring(PICTURES[path])  # noqa: S314 - our own


def _texts(picture: ET.Element, kinds: str) -> list[str]:
    return [
        text.text or ""
        for text in picture.iter(f"{SVG}text")
        if re.fullmatch(kinds, text.attrib["class"])
    ]


def test_every_picture_is_checked() -> None:
    """Every diagram has its state table in this test module."""
    assert TABLES.keys() == PICTURES.keys()


def test_every_transition_is_a_row() -> None:
    """The diagrams are drawn from the state tables that the code itself uses."""
    assert len(TRANSITIONS) == len(diagrams.circuit_rows())
    assert len(TABLE) == len(diagrams.idempotency_rows())


@pytest.mark.parametrize("path", TABLES)
def test_every_row_is_drawn(path: str) -> None:
    """Each row of a state table becomes an arrow labelled with its event, in the table's order."""
    rows = TABLES[path]
    picture = _draw(path)
    arrows = [result for result in picture.iter(f"{SVG}path") if result.attrib["class"] == "arrow"]

    assert len(rows) == len(arrows)
    assert " ".join(row.event for row in rows) == " ".join(_texts(picture, "word|beside"))
    assert [row.verdict for row in rows if row.verdict] == _texts(picture, "verdict")


@pytest.mark.parametrize("path", TABLES)
def test_every_arrow_joins_its_states(path: str) -> None:
    """Each arrow of a diagram begins at its state's column and ends at the next state's."""
    rows = TABLES[path]
    picture = _draw(path)
    columns = {
        text.text: int(text.attrib["x"])
        for text in picture.iter(f"{SVG}text")
        if text.attrib["class"] == "name"
    }
    begins, arrow_ends = (
        [
            int(re.findall(r"M(\d+)", result.attrib["d"])[0])
            for result in picture.iter(f"{SVG}path")
            if result.attrib["class"] == kind
        ]
        for kind in ("arrow", "tip")
    )

    assert [columns[row.state] for row in rows] == begins
    assert [columns[row.then] for row in rows] == arrow_ends


@pytest.mark.parametrize("path", TABLES)
def test_diagram_has_a_text_alternative(path: str) -> None:
    """The alternative text of a diagram contains every row of its table."""
    rows = TABLES[path]
    result = _draw(path).findtext(f"{SVG}desc") or ""

    for row in rows:
        assert f"{row.state}: {row.event} → {row.then}" in result


@pytest.mark.parametrize("path", TABLES)
def test_picture_fetches_nothing(path: str) -> None:
    """A diagram loads nothing from elsewhere."""
    assert re.findall(r"href|url\(|@import|<image", PICTURES[path]) == []


def test_pictures_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The script writes each diagram into the given folder."""
    diagrams.main(tmp_path)

    pictures = diagrams.pictures()
    assert set(pictures) == {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.svg")}
    assert len(pictures) == len(capsys.readouterr().out.splitlines())
