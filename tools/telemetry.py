"""Writes the page of telemetry names from their registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.adapters.observers._description import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PATH: Final = "reference/telemetry.md"

_INTRODUCTION: Final = """# Telemetry

This page is generated from the registry `moorage/adapters/observers/telemetry_names.json`, which
programs can read. [Observe calls](../how-to/observing.md) shows how to export telemetry.

OpenTelemetry has conventions for HTTP, but none for circuits, limits, bulkheads, budgets, hedging,
idempotency keys and unknown outcomes. moorage defines names for these. From exported spans alone, a
program can tell which operations may have taken effect twice, and what delayed each call for how
long.
"""


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join([_INTRODUCTION, *_page_parts()])


def _page_parts() -> Iterator[str]:
    yield "## Rules for readers\n"
    yield from (f"- {rule}" for rule in NAMES["rules"])
    yield ""
    yield from _table("Outcomes", ("outcome", ""), _texts(NAMES["outcomes"]))
    holders = NAMES["held_by"].items()
    yield from _table(
        "Reasons for which a call is held back",
        ("`moorage.held_by`", "", "errors of a refusal"),
        ((f"`{name}`", entry["description"], _codes(entry["errors"])) for name, entry in holders),
    )
    yield from _table("Spans", ("span", ""), _texts(NAMES["spans"]))
    yield NAMES["span_events"]
    yield ""
    yield from _table(
        "Events of spans",
        ("event", "", "attributes"),
        (
            (f"`{name}`", entry["description"], _codes(entry["attributes"]))
            for name, entry in NAMES["events"].items()
        ),
    )
    yield from _table("Attributes", ("attribute", ""), _texts(NAMES["attributes"]))
    yield from _table(
        "Metrics of OpenTelemetry",
        ("metric", "instrument", "unit", ""),
        (
            (f"`{name}`", entry["instrument"], f"`{entry['unit']}`", entry["description"])
            for name, entry in NAMES["metrics"].items()
        ),
    )
    yield from _table(
        "Metrics of Prometheus",
        ("metric", "type", "labels", ""),
        (
            (f"`{name}`", entry["type"], _codes(entry["labels"]), entry["description"])
            for name, entry in NAMES["prometheus"].items()
        ),
    )
    yield from _table(
        "Alerts",
        ("alert", "severity", "", "expression"),
        (
            (f"`{name}`", alert["severity"], alert["summary"], f"`{alert['expr']}`")
            for entry in NAMES["prometheus"].values()
            for name, alert in entry["alerts"].items()
        ),
    )
    yield from _table(
        "Names with `connector_names`", ("name", "with `connector_names`"), _pairs("connector")
    )


def _texts(table: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((f"`{name}`", text) for name, text in table.items())


def _pairs(table: str) -> Iterator[tuple[str, str]]:
    return ((f"`{name}`", f"`{connector_name}`") for name, connector_name in NAMES[table].items())


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(title: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = tuple(head)
    yield f"## {title}\n"
    yield _row(head)
    yield _row("---" for _ in head)
    yield from (_row(row) for row in rows)
    yield ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
