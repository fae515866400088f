"""Scaffolded projects pass their tests at once, have their own names, and overwrite nothing."""

from __future__ import annotations

import ast
import asyncio
import json
import keyword
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import AsyncHub, ConfigurationError
from moorage.cli import main
from moorage.scaffold import CONTRACTS, KINDS, scaffold, write
from moorage.testing.sandbox_scenarios import BASIC, BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient
from moorage.wiring.installed_vendors import vendor_names

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario
    from moorage.testing.sandboxes.fixture import SandboxFixture

ROOT = Path(__file__).parent.parent.parent
EXTENSIONS = [
    str(ROOT / "adapters-examples" / f"moorage-{text}" / "src") for text in ("django", "flask")
]
UNUSED_PLUGINS = ("cacheprovider", "django", "hypothesispytest", "pytest_cov", "randomly", "xdist")
"""Plugins of pytest that no scaffolded test needs."""
SCAFFOLDS = [(kind, choice) for kind, choices in KINDS.items() for choice in choices or (None,)]


def is_taken(name: str) -> bool:
    """Return whether a name belongs to a module or a vendor already, or is invalid."""
    is_class = keyword.iskeyword(name.capitalize()) or name.startswith("test")
    is_vendor = name.replace("-", "_") in vendor_names()
    is_module = name in sys.stdlib_module_names or keyword.iskeyword(name)
    return is_class or is_vendor or is_module


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,9}([_-][a-z0-9]{1,9}){0,2}", fullmatch=True).filter(
    lambda name: "acme" not in name and not is_taken(name)
)


@pytest.mark.parametrize("kind, choice", SCAFFOLDS)
def test_scaffolded_tests_pass(kind: str, choice: str | None, tmp_path: Path) -> None:
    """Every scaffolded project passes its own tests and has no unfinished code."""
    texts = scaffold(kind, "blue-bird", choice)
    write(texts, tmp_path)
    finished_process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *(f"-pno:{plugin}" for plugin in UNUSED_PLUGINS)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*EXTENSIONS, *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == finished_process.returncode, finished_process.stdout + finished_process.stderr
    assert " passed" in finished_process.stdout
    assert "NotImplementedError" not in "".join(texts.values())
    assert "## What there is to do" in texts["README.md"]


@pytest.mark.untraced
@settings(max_examples=15)
@given(NAMES)
@pytest.mark.parametrize("kind, choice", SCAFFOLDS)
def test_any_valid_project_name_gives_valid_code(kind: str, choice: str | None, name: str) -> None:
    """For any valid project name, code and tables are valid and contain no other project's name."""
    texts = scaffold(kind, name, choice)
    for path, text in texts.items():
        assert "acme" not in (path + text).lower()
        if path.endswith(".py"):
            ast.parse(text)
        if path.endswith(".toml"):
            tomllib.loads(text)
    assert any(re.search(rf"\b{name.replace('-', '_')}", path) for path in texts)


def test_scaffolded_vendors_pass_strict_types(tmp_path: Path) -> None:
    """Every scaffolded vendor's package passes mypy in strict mode."""
    pytest.importorskip("mypy")
    for contract in CONTRACTS:
        write(scaffold("vendor", f"{contract}_bird", contract), tmp_path, force=True)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "src"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == checked.returncode, checked.stdout + checked.stderr


@pytest.mark.parametrize("contract", CONTRACTS)
def test_scaffolded_vendor_conforms(
    contract: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its sandbox, the scaffolded vendor passes the tests of the capabilities it declares."""
    write(scaffold("vendor", f"{contract}_bird", contract), tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    package = f"{contract}_bird_vendor"
    kind = getattr(import_module(f"{package}.vendor"), f"{contract.capitalize()}Bird")
    make = import_module(f"{package}.fixture").fixture
    assert (contract,) == kind.kinds
    assert kind.refusals is not None
    assert kind.capabilities <= BY_CAPABILITY[contract].keys()
    capability_uses = {
        capability: run_scenario
        for capability, run_scenario in BY_CAPABILITY[contract].items()
        if capability in kind.capabilities
    }

    async def run_scenario(do: Scenario, fixture: SandboxFixture) -> object:
        assert fixture.sandbox is not None
        client = AsyncSandboxHttpClient(fixture.sandbox)
        async with AsyncHub([fixture.account(kind)], http=client) as hub:
            contract_api = getattr(hub, contract)()
            return await do(
                ScenarioVendor(
                    operations=contract_api, fixture=fixture, name=kind.name, is_supported=True
                )
            )

    for use_capability in (*BASIC[contract].values(), *capability_uses.values()):
        fixture = make(tmp_path)
        assert asyncio.run(run_scenario(use_capability, fixture))
        fixture.close()


def test_example_vendor_package_equals_the_scaffold() -> None:
    """The example vendor package in the tests is exactly what the scaffold writes."""
    home_directory = ROOT / "tests" / "packages" / "acme-vendor"
    package_files = {
        str(path.relative_to(home_directory)): path.read_text("utf-8")
        for path in home_directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert package_files == scaffold("vendor", "acme")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Acme",
        "1st",
        "a__b",
        "a b",
        "../up",
        "class",
        "json",
        "flask",
        "conftest",
        "sms_message",
        "any",
        "none",
        "test_bird",
        "x" * 41,
        "_a",
        "é",
    ],
)
def test_invalid_names_are_refused(name: str) -> None:
    """An invalid or existing module name is refused with its path."""
    with pytest.raises(ConfigurationError) as excinfo:
        scaffold("vendor", name)
    assert "name" == excinfo.value.path


def test_name_of_a_vendor_of_moorage_is_refused() -> None:
    """A vendor with the name of one of moorage's vendors is refused, since it cannot replace it."""
    with pytest.raises(ConfigurationError, match="has a vendor named 'amazon_ses'") as excinfo:
        scaffold("vendor", "amazon-ses", "email")
    assert "name" == excinfo.value.path
    assert scaffold("flask", "stripe")


@pytest.mark.parametrize(
    "kind, choice, path", [("vendr", None, "kind"), ("vendor", "smss", "choice")]
)
def test_unknown_kinds_are_refused(kind: str, choice: str | None, path: str) -> None:
    """An unknown kind or choice is refused; the error lists the known values."""
    with pytest.raises(ConfigurationError, match="Did you mean") as excinfo:
        scaffold(kind, "acme", choice)
    assert path == excinfo.value.path


def test_existing_files_are_kept(tmp_path: Path) -> None:
    """If a file exists, nothing is written, unless `force` is set."""
    own_path = tmp_path / "b.txt"
    own_path.write_text("mine")
    with pytest.raises(ConfigurationError, match="already exists") as excinfo:
        write({"a.txt": "new", "b.txt": "new"}, tmp_path)
    assert "--into" == excinfo.value.path
    assert ("mine", [own_path]) == (own_path.read_text(), [*tmp_path.iterdir()])
    write({"b.txt": "new"}, tmp_path, force=True)
    assert "new" == own_path.read_text()
    with pytest.raises(ConfigurationError, match=r"as does 1 more file"):
        write({"b.txt": "", ".": ""}, tmp_path)


def test_broken_link_counts_as_a_file(tmp_path: Path) -> None:
    """A broken symbolic link counts as an existing file, and nothing is written through it."""
    home_directory, other_path = tmp_path / "home", tmp_path / "elsewhere.txt"
    home_directory.mkdir()
    (home_directory / "a.txt").symlink_to(other_path)
    with pytest.raises(ConfigurationError, match="already exists"):
        write({"a.txt": "new"}, home_directory)
    assert not other_path.exists()


def test_error_explains_that_a_file_is_in_the_place_of_a_folder(tmp_path: Path) -> None:
    """If a file exists where a folder is needed, the error states this in one sentence."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write({"folder/a.txt": "new"}, tmp_path / "file")


@pytest.mark.parametrize("kind, choice", SCAFFOLDS)
def test_each_kind_has_command_that_lists_written_files_and_overwrites_none(
    kind: str, choice: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind has a command that lists the written files and overwrites none."""
    home_directory = tmp_path / "home"
    arguments = ["scaffold", kind, "blue_bird", "--into", str(home_directory)]
    if choice is not None:
        arguments += ["--contract" if kind == "vendor" else "--port", choice]
    assert 0 == main(arguments)
    output = capsys.readouterr().out
    assert str(home_directory / "README.md") in output
    is_package = (home_directory / "pyproject.toml").exists()
    assert is_package is ("&& python -m pip install pytest -e . && python -m pytest" in output)
    assert 2 == main(arguments)
    assert "--force" in capsys.readouterr().err
    assert 0 == main([*arguments, "--force", "--json"])
    files = json.loads(capsys.readouterr().out)["result"]["files"]
    assert {str(home_directory / path) for path in scaffold(kind, "blue_bird", choice)} == {*files}


def test_project_is_written_to_a_new_folder_of_its_name_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default the project is written to a new folder of its name in the working directory."""
    monkeypatch.chdir(tmp_path)
    assert 0 == main(["scaffold", "scheme", "blue_bird"])
    assert (tmp_path / "blue_bird" / "blue_bird.toml").is_file()
