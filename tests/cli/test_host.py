"""The command line embedded in another program, its host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.cli.host import Host
from tests.support.command import command

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-4711"
HOST_CONFIGURATION: dict[str, Any] = {
    "services": {"vat": {"base_url": "https://vat.example"}},
    "vendors": {"sendgrid": {"credentials": CANARY}},
}


def test_commands_use_the_configuration_of_the_host(tmp_path: Path) -> None:
    """Commands use the host's configuration and store, and never print secrets from them."""
    host = Host(source=HOST_CONFIGURATION, state=f"sqlite:///{tmp_path / 'state.db'}")
    result = command("check", "--json", host=host)

    assert 0 == result.code
    assert "the configuration" == result.result["configuration"]
    assert {"kind": "sqlite", "reachable": True, "problem": None} == result.result["store"]
    assert CANARY not in result.out
    assert CANARY not in command("check", host=host).out


def test_commands_use_the_store_of_the_configuration_without_another(tmp_path: Path) -> None:
    """If the host names no store, commands use the store of the host's configuration."""
    state = {"url": f"sqlite:///{tmp_path / 'state.db'}"}
    host = Host(source={**HOST_CONFIGURATION, "state": state})

    assert "sqlite" == command("check", "--json", host=host).result["store"]["kind"]


def test_named_configuration_file_replaces_that_of_the_host(tmp_path: Path) -> None:
    """A configuration file named on the command line completely replaces the host's."""
    file = tmp_path / "other.toml"
    file.write_text("version = 1\n")
    host = Host(source=HOST_CONFIGURATION, environment="production", state="sqlite:///nowhere.db")
    result = command("check", "--json", f"--config={file}", host=host)

    assert str(file) == result.result["configuration"]
    assert None is result.result["environment"]
    assert "the memory of each process" == result.result["store"]["kind"]


@pytest.mark.parametrize(
    "words, expected", [((), "staging"), (("--environment=production",), "production")]
)
def test_host_environment_applies_if_command_names_none(
    words: tuple[str, ...], expected: str
) -> None:
    """The host's environment applies if the command names none."""
    configuration = {**HOST_CONFIGURATION, "environments": {"staging": {}, "production": {}}}
    host = Host(source=configuration, environment="staging")

    assert expected == command("check", "--json", *words, host=host).result["environment"]
