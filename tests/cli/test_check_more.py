"""`moorage check` with overrides, overlays, old configuration versions and risky settings."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from stat import S_IMODE

import pytest

from tests.support.command import command
from tests.support.configured import configure

VERSION_0 = """version = 0
[vendors.stripe]
credentials = "secret://env/STRIPE"
volatile_keys = true
"""


def test_plain_secrets_are_warned_of() -> None:
    """`moorage check` warns of a plain-text secret without showing it."""
    configure('[vendors.stripe]\ncredentials = "sk_test_hunter2"\nvolatile_keys = true\n')
    people, result = command("check"), command("check", "--json")

    assert (0, 0, 0) == (people.code, result.code, command("ping", "--timeout", "0.001").code - 1)
    assert "warning: " in people.out
    assert ["vendors.stripe.credentials"] == [
        warning["path"] for warning in result.result["warnings"]
    ]
    assert "hunter2" not in people.out + result.out


def test_overrides_are_listed() -> None:
    """Each setting that an environment or a variable overrides is listed by its path."""
    configure(
        '[services.vat]\nbase_url = "https://vat.example"\n'
        '[environments.test.services.vat]\nbase_url = "https://test.vat.example"\n'
    )
    os.environ["MOORAGE_SERVICES__VAT__TIMEOUT"] = "5"
    people = command("check", "--environment", "test")
    result = command("check", "--environment", "test", "--json").result

    assert ("test", ["test"]) == (result["environment"], result["environments"])
    assert "services.vat.base_url" in result["overridden"]
    assert "overridden: services.vat" in people.out
    assert "environment: test" in people.out
    assert "test.vat.example" in people.out
    assert 2 == command("check", "--environment", "nope").code


def test_check_shows_how_to_convert_an_old_configuration() -> None:
    """`check` shows how to convert an old configuration.

    `check --write` converts it and saves a copy of the old file.
    """
    os.environ["STRIPE"] = "sk_test_hunter2"
    configure(VERSION_0)
    result = command("check")
    assert (0, VERSION_0) == (result.code, Path("moorage.toml").read_text())
    assert "--write" in result.out
    write_command = command("check", "--write")

    assert 0 == write_command.code
    assert "version = 1" in Path("moorage.toml").read_text()
    assert VERSION_0 == Path("moorage.toml.old").read_text()
    assert command("check", "--json").result["migrated"] is None
    assert "hunter2" not in result.out + write_command.out


def test_rewritten_configuration_file_keeps_its_permissions() -> None:
    """A rewritten configuration file keeps its permissions.

    A symbolic link in its place is not followed.
    """
    os.environ["STRIPE"] = "sk"
    configure(VERSION_0)
    Path("moorage.toml").chmod(0o600)
    Path("moorage.toml.new").symlink_to("elsewhere")

    assert 0 == command("check", "--write").code
    assert (False, False) == (Path("moorage.toml").is_symlink(), Path("elsewhere").exists())
    assert 0o600 == Path("moorage.toml").stat().st_mode & 0o777


def test_link_to_a_rewritten_file_stays_a_link() -> None:
    """If the configuration is a symbolic link, the file that it leads to is rewritten."""
    os.environ["STRIPE"] = "sk"
    configure(VERSION_0)
    Path("releases").mkdir()
    Path("moorage.toml").rename("releases/7.toml")
    Path("moorage.toml").symlink_to("releases/7.toml")

    assert 0 == command("check", "--write").code
    assert Path("releases/7.toml").resolve() == Path("moorage.toml").resolve()
    assert "version = 1" in Path("releases/7.toml").read_text()
    assert VERSION_0 == Path("releases/7.toml.old").read_text()


def test_invalid_tenant_store_is_refused() -> None:
    """The URL of a store that cannot hold tenants is refused."""
    os.environ["RING"] = f"1:{'A' * 43}="
    configure('[tenants_from]\nurl = "redis://:hunter2@host"\nkeys = "secret://env/RING"\n')
    result = command("check")

    beginning = f"moorage: {Path('moorage.toml').resolve()}: tenants_from.url (line 2): "
    assert (2, True) == (
        result.code,
        result.err.startswith(beginning),
    )
    assert "hunter2" not in result.err


def test_unwritable_configurations_are_refused() -> None:
    """A configuration in another format, or in a read-only folder, is not rewritten."""
    Path("moorage.json").write_text(
        '{"version": 0, "services": {"vat": {"base_url": "https://a.b"}}}'
    )
    result = command("check", "--write", "--config", "moorage.json")
    assert (2, True) == (result.code, "--write" in result.err)

    configure(VERSION_0)
    os.environ["STRIPE"] = "sk"
    Path("moorage.toml.old").mkdir()
    result = command("check", "--write")
    assert (2, True) == (result.code, "cannot be written" in result.err)
    assert VERSION_0 == Path("moorage.toml").read_text()


def test_rewriting_is_atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    """If rewriting a configuration stops after any step, a complete configuration file exists."""
    os.environ["STRIPE"] = "sk_test_hunter2"
    configure(VERSION_0)
    Path("moorage.toml").chmod(0o600)
    replace = Path.replace
    contents, modes = list[str](), set[int]()

    def step(path: Path, target: Path) -> Path:
        contents.append(Path("moorage.toml").read_text())
        modes.update(S_IMODE(path.stat().st_mode) for path in Path().iterdir())
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", step)
    assert 0 == command("check", "--write").code

    assert [VERSION_0, VERSION_0] == contents
    assert {0o600} == modes
    assert {"moorage.toml", "moorage.toml.old"} == {path.name for path in Path().iterdir()}
    Path("moorage.toml").write_text(VERSION_0)
    Path("moorage.toml").chmod(0o644)
    assert 0 == command("check", "--write").code
    assert 0o644 == S_IMODE(Path("moorage.toml").stat().st_mode)


@pytest.mark.parametrize("name", ["no", "tomorrow"])
def test_an_environment_may_be_named_by_a_variable(name: str) -> None:
    """MOORAGE_ENVIRONMENT has the same effect as --environment."""
    configure(f"[environments.{name}]\n")
    os.environ["MOORAGE_ENVIRONMENT"] = name

    assert name == command("check", "--json").result["environment"]


def test_database_of_another_program_is_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the store's URL leads to another program's database, `check` reports the setting."""
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("shop.db")) as connection, connection:
        connection.execute("CREATE TABLE orders (id)")
    configure('[state]\nurl = "sqlite:///shop.db"\n')
    result = command("check", "--json")

    (problem,) = result.result["unusable"]
    assert (4, "state.url") == (result.code, problem["path"])
    assert "a database of another program" in problem["found"]
