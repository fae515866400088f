"""`moorage run` and `moorage connectors`: operations by name, and the list of connectors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.connectors.diary_package import install_diaries
from tests.support.command import command

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURATION = """
[connectors.mine]
kind = "diary"
pages = 10

[connectors.old]
kind = "diary"
pages = 1
enabled = false
"""
ADA = '{"person": "Ada"}'


@pytest.fixture(autouse=True, name="diaries")
def _diaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Install a package with test connectors, and configure two of them."""
    Path("moorage.toml").write_text(CONFIGURATION, encoding="utf-8")
    yield install_diaries(tmp_path, monkeypatch)
    sys.modules.pop("our_diaries")


def test_operation_runs_with_arguments_of_json() -> None:
    """`moorage run` prints an operation's result as text, or with --json as a JSON value."""
    people = command("run", "mine", "greet", "--arguments", ADA)
    result = command("run", "mine", "greet", "--arguments", ADA, "--key", "k1", "--json")

    assert (0, "Hello Ada\n") == (people.code, people.out)
    assert {"value": "Hello Ada"} == result.result


def test_arguments_come_from_a_file() -> None:
    """`@file` reads the arguments of an operation from a file."""
    Path("ada.json").write_text(ADA, encoding="utf-8")

    assert "Hello Ada\n" == command("run", "mine", "greet", "--arguments", "@ada.json").out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nobody", "greet"], "No connector is named 'nobody'"),
        (["old", "greet"], "'old' is disabled"),
        (["mine", "shout"], "has no operation 'shout'"),
        (["mine", "greet", "--arguments", "[1]"], "not a JSON object"),
        (["mine", "greet", "--arguments", "{"], "not a JSON object"),
    ],
)
def test_command_with_a_mistake_runs_nothing(arguments: list[str], message: str) -> None:
    """`moorage run` with a wrong name or argument runs nothing.

    The error describes the mistake.
    """
    result = command("run", *arguments)

    assert 2 == result.code
    assert message in result.err


def test_missing_argument_is_named() -> None:
    """An operation with a missing argument is not run; the error contains the argument's name."""
    result = command("run", "mine", "greet")

    assert 0 != result.code
    assert "The argument 'person' of the operation" in result.err


def test_connectors_are_listed_with_their_health(diaries: Any) -> None:
    """`moorage connectors` checks the health of each enabled connector."""
    people = command("connectors", "--timeout", "2")
    own_connector, old_connector = command("connectors", "--json").result["connectors"]

    assert 0 == people.code
    assert "mine" in people.out
    assert "paper 1.0" not in people.out
    assert "ask mine 2" in diaries.journal
    assert ("healthy", "paper 1.0", ["greet"], 1) == (
        own_connector["health"],
        own_connector["library"],
        own_connector["operations"],
        own_connector["pool"]["idle"],
    )
    assert ("unknown", False, None, None) == (
        old_connector["health"],
        old_connector["enabled"],
        old_connector["library"],
        old_connector["pool"],
    )


def test_moorage_connectors_exits_with_1_if_connector_health_check_fails(
    diaries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`moorage connectors` exits with 1 if a connector's health check fails."""

    def raise_error(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(diaries.RecordingConnector, "health", raise_error)
    result = command("connectors")

    assert 1 == result.code
    assert "The check of the connector raised OSError." in result.out


def test_moorage_connectors_says_so_if_no_connectors_are_configured() -> None:
    """If no connectors are configured, `moorage connectors` prints that there are none."""
    Path("moorage.toml").write_text("version = 1\n", encoding="utf-8")

    assert "No connector is configured.\n" == command("connectors").out
