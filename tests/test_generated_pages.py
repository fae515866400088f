"""Pages that are generated from the code are complete."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from moorage.cli.command_table import COMMANDS
from moorage.contracts.catalog import CONTRACTS, contract
from moorage.domain.webhooks.presets import PRESETS
from moorage.wiring.installed_vendors import vendor_class, vendor_names
from tools import commands, configuration, presets, telemetry, vendors

ROOT = Path(__file__).parent.parent


def rows(text: str) -> list[list[str]]:
    """Return the cells of all tables of a page."""
    lines = (line for line in text.splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]


def test_every_scheme_has_a_row() -> None:
    """The page of webhook schemes has a table row for each scheme."""
    row_names = [row[0].strip("`") for row in rows(presets.page())]

    assert list(PRESETS) == row_names[2:]


PAGES = [presets.page, vendors.page, configuration.page, commands.page, telemetry.page]


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_whole(page: Callable[[], str]) -> None:
    """Every table begins on its own line, and its rows have the same number of cells."""
    for part in page().split("\n\n"):
        table = rows(part)
        assert {len(row) for row in table} == ({len(table[0])} if table else set())
        assert not table or len(table) == len(part.strip().splitlines())


@pytest.mark.untraced
@pytest.mark.parametrize("name", vendor_names())
def test_every_option_has_a_row(name: str) -> None:
    """The configuration reference has a table for each vendor, with each option."""
    part = configuration.page().partition(f"## `[vendors.<name>]`, {name}\n")[2]
    reports = {row[0].strip("`") for row in rows(part.partition("\n## ")[0])[2:]}
    options = {field.name for field in attrs.fields(cast("Any", vendor_class(name)))}

    assert options <= reports
    assert {"kind", "cost", "webhook_secrets"} <= reports


@pytest.mark.parametrize("name", vendor_names())
def test_every_vendor_has_a_column(name: str) -> None:
    """The table of each contract has a column for every vendor's capabilities."""
    result = vendor_class(name)
    for kind in result.kinds:
        part = vendors.page().partition(f"## {CONTRACTS[kind]}\n")[2].partition("\n## ")[0]
        head, _, *table = rows(part)
        place = [cell.strip("[").partition("]")[0] for cell in head].index(name)
        reports = {row[0].strip("`") for row in table if row[place] == "✓"}
        assert result.capabilities == reports


def test_every_method_of_a_capability_has_a_row() -> None:
    """The page of the vendors names the methods that belong to each capability."""
    part = vendors.page().partition("## Methods of capabilities\n")[2]
    table = [tuple(cell.strip("`") for cell in row) for row in rows(part)[2:]]

    assert ("sms", "look_up", "get") in table
    assert ("sms", "verification", "start_verification`, `check_verification") in table
    assert {
        (kind, str(capability), verb)
        for kind in CONTRACTS
        for verb, capability in contract(kind).optional_verbs().items()
    } == {(kind, need, verb) for kind, need, verbs in table for verb in verbs.split("`, `")}


def test_every_vendor_page_contains_vendor_name() -> None:
    """Every vendor's page contains the vendor's name, and is in the navigation."""
    navigation = (ROOT / "docs" / "navigation.yml").read_text("utf-8")
    pages = [page.stem for page in vendors.PAGES.glob("*.md")]

    assert set() == set(pages) - set(vendor_names())
    assert [] == [page for page in pages if f"vendors/{page}.md" not in navigation]


@pytest.mark.parametrize(
    "usage, row",
    [
        ("moorage logs show [options] ID", "| `ID`, `--id` | needed |"),
        ("moorage logs remove [options] --older-than OLDER_THAN", "| `--older-than` | needed |"),
        ("moorage ping [options] [NAMES...]", "| `NAMES` |"),
        ("moorage oauth login [options] --client-id CLIENT_ID", "| `--client-id` | needed |"),
    ],
)
def test_usage_of_a_command_shows_needed_arguments(usage: str, row: str) -> None:
    """The page of commands shows positional arguments and needed options in a usage line."""
    text = commands.page()

    assert f"\n`{usage}" in text
    assert f"\n{row}" in text


def test_every_command_has_a_part() -> None:
    """The page of commands lists every command, and has a sentence for every option."""
    text = commands.page()
    command_names = [
        line.removeprefix("## moorage ") for line in text.splitlines() if "## moorage " in line
    ]

    assert list(COMMANDS) == command_names
    for option, _, option_description in (
        row for row in rows(text) if len(row) == 3 and row[0].startswith("`")
    ):
        assert option_description, option
