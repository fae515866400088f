"""`moorage check` and `moorage.open` report the same problems, all at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import moorage
from moorage import ConfigurationError
from moorage.config.toml_text import write_toml
from tests.config.broken_settings import SETTINGS
from tests.config.broken_texts import RIGHT, TEXTS
from tests.config.broken_texts import TABLES as EARLIER
from tests.support.command import command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMATS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "toml": write_toml,
    "json": json.dumps,
    "yaml": yaml.safe_dump,
}
TABLES = [*EARLIER, *SETTINGS]
BROKEN = [(end, text, words) for end, rows in TEXTS.items() for text, words in rows]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A separate folder for stores and certificate files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("warnings.filters", [("ignore", None, UserWarning, None, 0)])


def write_configuration(end: str, text: str) -> Path:
    """A configuration in a file."""
    path = Path(f"moorage.{end}")
    path.write_text(text, "utf-8")
    return path


def problems_of_opening(path: Path, opened: Any = moorage.open) -> list[dict[str, str]]:
    """Return the problems that prevent opening a configuration."""
    with pytest.raises(ConfigurationError) as excinfo:
        opened(path)
    return [
        {name: value for name, value in problem._asdict().items() if value is not None}
        for problem in excinfo.value.problems
    ]


def problems_of_check(path: Path) -> list[dict[str, str]]:
    """The problems that `moorage check` reports."""
    result = command("check", "--config", str(path), "--json")
    assert 2 == result.code
    assert "is valid" not in result.out
    problems: list[dict[str, str]] = result.document["error"]["problems"]
    if path.suffix == ".toml":
        people = command("check", "--config", str(path))
        assert (2, "") == (people.code, people.out)
        assert [] == [problem for problem in problems if problem["path"] not in people.err]
    return problems


@pytest.mark.parametrize("place", range(len(BROKEN)))
def test_syntax_error_is_reported_once(place: int) -> None:
    """A syntax error is reported with its cause and its remedy."""
    end, text, words = BROKEN[place]
    path = write_configuration(end, text)
    (problem,) = problems_of_opening(path)

    assert [problem] == problems_of_opening(path, moorage.aopen) == problems_of_check(path)
    assert words in problem["found"]
    assert problem["remedy"]
    assert "there is a mistake" not in problem["found"]


@pytest.mark.parametrize("end", FORMATS)
@pytest.mark.parametrize("place", range(len(TABLES)))
def test_all_mistakes_are_reported_at_once(place: int, end: str) -> None:
    """`open` and `check` report every mistake with path, cause and remedy."""
    table, expected = TABLES[place]
    path = write_configuration(end, FORMATS[end](table))
    problems = problems_of_opening(path)

    assert sorted(expected) == sorted({problem["path"] for problem in problems})
    for item in problems:
        assert expected[item["path"]] in f"{item['found']} {item['remedy']}"
        assert item["found"]
        assert item["remedy"]
    assert problems == problems_of_opening(path, moorage.aopen) == problems_of_check(path)


@pytest.mark.parametrize("end", FORMATS)
@pytest.mark.parametrize("place", range(len(RIGHT)))
def test_valid_configurations_pass(place: int, end: str) -> None:
    """A valid configuration opens, and `check` says that it is valid."""
    path = write_configuration(end, FORMATS[end](RIGHT[place]))
    moorage.open(path).close()
    result = command("check", "--config", str(path))

    assert (0, "") == (result.code, result.err)
    assert "is valid." in result.out


def test_there_are_enough() -> None:
    """The table is as long as it promises."""
    assert len(BROKEN) + len(TABLES) >= 150
    assert len(RIGHT) >= 18


def test_every_environment_is_checked() -> None:
    """With --all-environments each environment is opened, and the worst result decides."""
    path = write_configuration(
        "toml",
        '[services.vat]\nbase_url = "https://vat.example"\n'
        "[environments.test.services.vat]\ntimeout = 5\n"
        "[environments.production.services.vat]\ntimeout = 0\n",
    )
    check_command = command("check", "--config", str(path))
    people = command("check", "--config", str(path), "--all-environments")
    result = command("check", "--config", str(path), "--all-environments", "--json").document

    assert (0, 2) == (check_command.code, people.code)
    assert "Environment test:\n" in people.out
    assert "0 is out of range for a duration." in people.out
    test, production = result["result"]["environments"]
    assert ("test", "production") == (test["environment"], production["environment"])
    assert ["services.vat.timeout"] == [
        problem["path"] for problem in production["error"]["problems"]
    ]
    assert ["vat"] == [service["service"] for service in test["services"]]
    alone = command(
        "check", "--config", str(write_configuration("json", "{}")), "--all-environments"
    )
    assert (0, True) == (alone.code, alone.out.startswith("Environment none:\n"))


def test_a_program_may_give_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option tells `check` that the program supplies the credentials."""
    monkeypatch.setenv("MOORAGE_CREDENTIAL_VAT", "hidden")
    path = write_configuration(
        "toml", 'services.vat = { base_url = "https://a.example", needs_credentials = true }\n'
    )

    assert 2 == command("check", "--config", str(path)).code
    assert 0 == command("check", "--config", str(path), "--credentials", "environment:").code


def test_providers_are_opened_in_the_order_of_their_needs(tmp_path: Path) -> None:
    """Providers of secrets are opened after those whose secrets they need."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "deep").write_text("hidden")
    source: dict[str, Any] = {
        "secrets": {
            "a": {"kind": "file", "folder": "."},
            "z": {"kind": "sqlite", "path": "a.db", "keys": "secret://a/inner/keys"},
        },
        "state": {"url": "memory:"},
    }
    (tmp_path / "inner" / "keys").write_text(f"1:{'A' * 43}=")
    reversed_source = {**source, "secrets": dict(reversed(source["secrets"].items()))}

    moorage.open(source).close()
    moorage.open(reversed_source).close()


def test_a_missing_secret_where_a_text_belongs() -> None:
    """Both mistakes are reported, and the missing secret is not replaced."""
    path = write_configuration(
        "json",
        json.dumps(
            {
                "vendors": {"resend": {"credentials": "re_1"}},
                "email": {"vendor": "secret://env/NOT_SET_0"},
            }
        ),
    )

    assert ["email.vendor", "email.vendor"] == [item["path"] for item in problems_of_opening(path)]
