"""Tests of `moorage export` as an operator runs it."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from moorage.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="configured")
def _write_configuration(tmp_path: Path) -> str:
    """Write a configuration with a vendor and a service."""
    path = tmp_path / "moorage.toml"
    path.write_text(
        '[vendors.resend]\ncredentials = "re_planted"\n'
        '[services.vat]\nbase_url = "https://vat.example"\n'
    )
    return str(path)


@pytest.mark.parametrize(
    "form, field",
    [
        ("postman", "item"),
        ("openapi", "paths"),
        ("schema", "properties"),
        ("grafana", "panels"),
        ("prometheus", "groups"),
    ],
)
def test_export_is_printed_or_written(
    form: str, field: str, configured: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`moorage export` prints the document, or writes it to the named file."""
    assert 0 == main(["export", form, "--config", configured])
    printed_export = capsys.readouterr().out
    file = tmp_path / "out.json"
    assert 0 == main(["export", form, "--config", configured, "--output", str(file)])

    assert json.loads(printed_export)[field]
    assert [*json.loads(printed_export)] == [*json.loads(file.read_text("utf-8"))]
    assert "re_planted" not in printed_export
    assert str(file) in capsys.readouterr().out


def test_export_with_json_prints_the_document(
    configured: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json, the output of `moorage export` is the exported document."""
    assert 0 == main(["export", "openapi", "--json", "--config", configured])
    assert "3.1.0" == json.loads(capsys.readouterr().out)["result"]["openapi"]


def test_a_file_that_cannot_be_written_is_an_error(
    configured: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`moorage export` refuses a folder as its target file."""
    output = ["--output", str(tmp_path)]
    assert 2 == main(["export", "postman", "--config", configured, *output])
    assert "cannot be written" in capsys.readouterr().err


def test_export_replaces_a_file_only_with_a_complete_document(
    configured: str, tmp_path: Path
) -> None:
    """`moorage export` replaces the target of a link as a whole, and keeps its permissions."""
    file, link, pipe = tmp_path / "out.json", tmp_path / "link.json", tmp_path / "pipe"
    file.write_text("earlier export")
    file.chmod(0o640)
    link.symlink_to(file)
    with file.open() as earlier_file:
        output = ["--output", str(link)]
        assert 0 == main(["export", "grafana", "--config", configured, *output])
        assert "earlier export" == earlier_file.read()

    assert link.is_symlink()
    assert 0o640 == file.stat().st_mode & 0o777
    assert "panels" in json.loads(file.read_text("utf-8"))
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        content = pool.submit(pipe.read_text)
        assert 0 == main(["export", "grafana", "--config", configured, "--output", str(pipe)])
        assert "panels" in json.loads(content.result())
    assert pipe.is_fifo()


def test_export_of_the_schema_needs_no_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`moorage export schema` works without a configuration."""
    monkeypatch.chdir(tmp_path)
    assert 0 == main(["export", "schema"])
    assert "vendors" in json.loads(capsys.readouterr().out)["properties"]
