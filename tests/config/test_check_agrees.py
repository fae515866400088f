"""`moorage check` and `moorage.open` report the same problems.

Both report all problems at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import moorage
from moorage import ConfigurationError
from moorage.cli.commands.check import check
from moorage.cli.context import Context
from moorage.cli.exit_codes import error_as_dict
from moorage.config.toml_text import write_toml
from moorage.wiring.store_urls import file_path
from tests.config.broken_accounts import ACCOUNTS
from tests.config.broken_monitoring import MONITORING
from tests.config.broken_settings import SETTINGS
from tests.config.broken_texts import TABLES as EARLIER
from tests.config.broken_texts import TEXTS, VALID_TEXTS
from tests.support.access import without_privileges
from tests.support.command import command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FORMATS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "toml": write_toml,
    "json": json.dumps,
    "yaml": yaml.safe_dump,
}
TABLES = [*EARLIER, *SETTINGS, *MONITORING, *ACCOUNTS]
BROKEN = [(end, text, words) for end, rows in TEXTS.items() for text, words in rows]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in its own folder, in which it can create stores and certificate files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("warnings.filters", [("ignore", None, UserWarning, None, 0)])


def write_configuration(end: str, text: str) -> Path:
    """Write a configuration to a file, and return its path."""
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
    """Return the problems that the function behind `moorage check` finds."""
    with pytest.raises(ConfigurationError) as excinfo:
        check(context=Context(config=str(path)))
    document = error_as_dict(excinfo.value)
    problems: list[dict[str, str]] = json.loads(json.dumps(document))["problems"]
    assert [] == [item for item in problems if item["path"] not in str(excinfo.value)]
    return problems


def problems_of_command_line(path: Path) -> list[dict[str, str]]:
    """Return the problems that the command `moorage check` prints."""
    result = command("check", "--config", str(path), "--json")
    assert 2 == result.code
    assert "is valid" not in result.out
    problems: list[dict[str, str]] = result.document["error"]["problems"]
    if path.suffix == ".toml":
        people = command("check", "--config", str(path))
        assert (2, "") == (people.code, people.out)
        assert [] == [problem for problem in problems if problem["path"] not in people.err]
    return problems


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Return a folder in which every user can read and write."""
    with TemporaryDirectory(dir="/tmp") as name:  # Other users cannot reach pytest's own folder.
        folder = Path(name)
        folder.chmod(0o777)
        yield folder
        folder.chmod(0o777)


@pytest.mark.parametrize("place", range(len(BROKEN)))
def test_syntax_error_is_reported_once(place: int) -> None:
    """A syntax error is reported with its cause and its remedy."""
    end, text, words = BROKEN[place]
    path = write_configuration(end, text)
    (problem,) = problems_of_opening(path)

    assert [problem] == problems_of_opening(path, moorage.aopen) == problems_of_check(path)
    assert [problem] == problems_of_command_line(path)
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
@pytest.mark.parametrize("place", range(len(VALID_TEXTS)))
def test_check_reports_a_valid_configuration_as_valid(place: int, end: str) -> None:
    """A valid configuration opens, and `check` reports it as valid."""
    path = write_configuration(end, FORMATS[end](VALID_TEXTS[place]))
    moorage.open(path).close()
    result = command("check", "--config", str(path))

    assert (0, "") == (result.code, result.err)
    assert "is valid." in result.out


def test_there_are_at_least_150_broken_and_18_valid_test_configurations() -> None:
    """There are at least 150 broken and 18 valid test configurations."""
    assert len(BROKEN) + len(TABLES) >= 150
    assert len(VALID_TEXTS) >= 18


def test_all_environments_option_checks_each_environment() -> None:
    """With --all-environments, each environment is checked.

    The worst result decides the exit code.
    """
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
    note = "The environments test, production were not checked. Add --all-environments."
    assert note == check_command.out.splitlines()[-1]
    assert "not checked" not in people.out
    one = command("check", "--config", str(path), "--environment", "test")
    assert "The environment production was not checked." in one.out
    selected = command("check", "--config", str(path), "--environment", "test", "--json").document
    assert ["production"] == selected["result"]["unchecked"]
    assert "Environment test:\n" in people.out
    assert "0 is out of range for a duration." in people.out
    test, production = result["result"]["environments"]
    assert ("test", "production") == (test["environment"], production["environment"])
    assert ["services.vat.timeout"] == [
        problem["path"] for problem in production["error"]["problems"]
    ]
    assert ["vat"] == [service["service"] for service in test["services"]]
    text_only = command(
        "check", "--config", str(write_configuration("json", "{}")), "--all-environments"
    )
    assert (0, True) == (text_only.code, text_only.out.startswith("Environment none:\n"))


def test_credentials_option_expects_credentials_from_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the option --credentials, `moorage check` expects credentials from the program."""
    monkeypatch.setenv("MOORAGE_CREDENTIAL_VAT", "hidden")
    path = write_configuration(
        "toml", 'services.vat = { base_url = "https://a.example", needs_credentials = true }\n'
    )

    assert 2 == command("check", "--config", str(path)).code
    assert 0 == command("check", "--config", str(path), "--credentials", "environment:").code


def test_providers_are_opened_in_the_order_of_their_needs(tmp_path: Path) -> None:
    """A secret provider is opened after the providers that it needs, in any order of the tables."""
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


def test_missing_secret_in_a_vendor_name_is_reported_at_that_setting() -> None:
    """If a vendor's name refers to a missing secret, both problems name the same setting."""
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


@pytest.mark.parametrize(
    "table, url",
    [
        ("state", "sqlite:///{}/a.db"),
        ("log", "sqlite:///{}/a.db"),
        ("metrics", "sqlite:///{}/a.db"),
        ("audit", "sqlite:///{}/a.db"),
        ("audit", "file://{}/a.jsonl"),
        ("tenants_from", "sqlite:///{}/a.db"),
        ("credentials_from", "sqlite:///{}/a.db"),
    ],
)
def test_directory_without_write_permission_is_refused(
    table: str, url: str, public_folder: Path
) -> None:
    """A store is refused if the user cannot create its file, or cannot write an existing one."""
    folder = public_folder
    settings = {"url": url.format(folder)}
    if table.endswith("_from"):
        settings["keys"] = f"1:{'A' * 43}="
    path = write_configuration("json", json.dumps({table: settings}))
    with without_privileges():
        moorage.open(path).close()
        folder.chmod(0o555)
        (problem,) = problems = problems_of_opening(path)
        assert problems == problems_of_opening(path, moorage.aopen) == problems_of_check(path)
    assert f"{table}.url" == problem["path"]
    assert f"may not create files in the directory of {folder}" in problem["found"]
    assert "write permission on the directory" in problem["remedy"]

    folder.chmod(0o777)
    file = folder / Path(url).name
    file.touch()
    file.chmod(0o444)
    with without_privileges():
        (problem,) = problems = problems_of_opening(path)
        assert problems == problems_of_opening(path, moorage.aopen) == problems_of_check(path)
    assert f"This user may not write to {file}." == problem["found"]


def test_file_of_credentials_needs_read_permission(public_folder: Path) -> None:
    """A credentials file that the user cannot read is refused; the file need not be writable."""
    folder = public_folder
    file = folder / "credentials.toml"
    file.write_text("")
    path = write_configuration("json", json.dumps({"credentials_from": {"url": file.as_uri()}}))
    folder.chmod(0o555)
    with without_privileges():
        moorage.open(path).close()
        file.chmod(0)
        (problem,) = problems = problems_of_opening(path)
        assert problems == problems_of_opening(path, moorage.aopen) == problems_of_check(path)
    assert f"This user may not read {file}." == problem["found"]
    assert "read permission" in problem["remedy"]


@pytest.mark.parametrize(
    "url, name",
    [
        ("file:///nowhere/a%20b.toml", "/nowhere/a b.toml"),
        ("file:/nowhere/c.toml", "/nowhere/c.toml"),
        ("file:////nowhere/c.toml", "/nowhere/c.toml"),
        ("file:nowhere/a%20b.toml", "nowhere/a b.toml"),
        ("file:./nowhere/c.toml", "nowhere/c.toml"),
    ],
)
def test_file_urls_have_one_meaning(url: str, name: str, tmp_path: Path) -> None:
    """A `file:` URL refers to the same file for an audit trail and for credentials."""
    tables = {"audit": {"url": url}, "credentials_from": {"url": url}}
    path = write_configuration("json", json.dumps(tables))
    file = tmp_path / name

    assert {
        "audit.url": f"The directory of {file} does not exist.",
        "credentials_from.url": f"The file {file} does not exist.",
    } == {item["path"]: item["found"] for item in problems_of_opening(path)}
    assert file == Path(str(file_path(url))).absolute()


@pytest.mark.parametrize(
    "table, url, words",
    [
        ("state", "sqlite:///var/nowhere.db", "begins with four slashes"),
        ("credentials_from", "file:///credentials.toml", "without slashes after the colon"),
    ],
)
def test_error_for_a_mistaken_url_path_shows_the_correct_url(
    table: str, url: str, words: str
) -> None:
    """The error for a URL with a mistaken path shows the correct form of the URL."""
    Path("credentials.toml").write_text("")
    path = write_configuration("json", json.dumps({table: {"url": url}}))
    (problem,) = problems_of_opening(path)

    assert words in problem["remedy"]


@pytest.mark.parametrize(
    "url", ["file:", "file:/", "file://", "file:///", "file://host/a", "files:a"]
)
def test_file_urls_without_a_path_are_refused(url: str) -> None:
    """A `file:` URL without a path, or with a host, is refused."""
    tables = {"audit": {"url": url}, "credentials_from": {"url": url}}
    path = write_configuration("json", json.dumps(tables))

    assert file_path(url) is None
    assert ["audit.url", "credentials_from.url"] == sorted(
        item["path"] for item in problems_of_opening(path)
    )
