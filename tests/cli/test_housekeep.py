"""`moorage housekeep`, and the command line as a Python module."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.state.sqlite import SqliteStorage
from moorage.cli import main
from moorage.testing.kits._state_commands import Write, new_key, read_command

if TYPE_CHECKING:
    from pathlib import Path


def test_housekeeping_removes_expired_states(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`moorage housekeep` removes all expired states, and removes no other state."""
    path, stored_key = tmp_path / "state.db", new_key()
    with SqliteStorage(path) as store:
        now, _ = store.execute(Write({stored_key: "kept"}))
        store.execute(Write({new_key(): "dust" for _ in range(10)}, keep_for=-now))
    assert main(["housekeep", f"sqlite:///{path}", "--migrate"]) == 0
    assert capsys.readouterr().out == "10 states deleted\n"
    with SqliteStorage(path) as store:
        _, (state,) = store.execute(read_command(stored_key))
    assert state is not None


@pytest.mark.parametrize("limits", ["sqlite:///limits.db", "memory:", None])
def test_housekeeping_cleans_a_separate_store_of_keys(
    limits: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`moorage housekeep` also cleans the store that only holds idempotency keys."""
    monkeypatch.chdir(tmp_path)
    limits_line = "" if limits is None else f'url = "{limits}"\n'
    text = f'[state]\n{limits_line}keys_url = "sqlite:///keys.db"\n'
    (tmp_path / "moorage.toml").write_text(text)
    for name in ("limits.db", "keys.db"):
        with SqliteStorage(name) as store:
            now, _ = store.execute(read_command(new_key()))
            store.execute(Write({new_key(): "dust" for _ in range(10)}, keep_for=-now))

    assert 0 == main(["housekeep", "--migrate"])

    expected = 20 if limits == "sqlite:///limits.db" else 10
    assert f"{expected} states deleted\n" == capsys.readouterr().out


def test_migrating_makes_a_missing_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`moorage housekeep --migrate` creates the log of a new installation instead of failing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moorage.toml").write_text('[log]\nurl = "sqlite:///log.db"\nkeep_days = 30\n')
    assert 2 == main(["housekeep"])
    assert "log.db does not exist" in capsys.readouterr().err
    assert 0 == main(["housekeep", "--migrate"])
    assert "0 entries of the log removed\n" == capsys.readouterr().out


def test_unavailable_store_is_an_error_without_its_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If the store is unavailable, exit code and error state this, and no password is shown."""
    assert main(["housekeep", "redis://:hunter2@127.0.0.1:1/0"]) == 1
    output = capsys.readouterr().err
    assert output.startswith("moorage: ")
    assert "127.0.0.1:1" in output
    assert "hunter2" not in output


@pytest.mark.parametrize("url", ["memory:", "ftp://host"])
def test_invalid_urls_have_an_exit_code(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A store URL that can never work has its own exit code."""
    assert main(["housekeep", url]) == 2
    assert capsys.readouterr().err.startswith("moorage: ")


def test_python_dash_m_moorage_runs_the_command_line() -> None:
    """`python -m moorage` runs the command line, and shows its help."""
    process = subprocess.run(
        [sys.executable, "-m", "moorage", "--help"], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0
    assert "housekeep" in process.stdout
    refused_process = subprocess.run(
        [sys.executable, "-m", "moorage"], capture_output=True, check=False
    )
    assert refused_process.returncode == 2


def test_importing_the_module_runs_nothing() -> None:
    """Importing `moorage.__main__` starts no command."""
    assert importlib.import_module("moorage.__main__").main is main
