"""What is scaffolded passes its tests at once, under its own name, over nobody's files."""

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

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import Account, AsyncHub, ConfigurationError
from moorage.cli import main
from moorage.scaffold import CONTRACTS, KINDS, scaffold, write
from moorage.testing.sandbox_scenarios import BASIC, BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient

if TYPE_CHECKING:
    from moorage.testing.sandbox_fixtures import SandboxFixture
    from moorage.testing.sandbox_scenarios.runner import Scenario

ROOT = Path(__file__).parent.parent.parent
EXTENSIONS = [
    str(ROOT / "adapters-examples" / f"moorage-{text}" / "src") for text in ("django", "flask")
]
MADE = [(kind, choice) for kind, choices in KINDS.items() for choice in choices or (None,)]


def is_taken(name: str) -> bool:
    """Whether a module of this name exists already, or can be nowhere."""
    is_class = keyword.iskeyword(name.capitalize()) or name.startswith("test")
    return is_class or name in sys.stdlib_module_names or keyword.iskeyword(name)


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,9}([_-][a-z0-9]{1,9}){0,2}", fullmatch=True).filter(
    lambda name: "acme" not in name and not is_taken(name)
)


@pytest.mark.parametrize("kind, choice", MADE)
def test_its_tests_pass_at_once(kind: str, choice: str | None, tmp_path: Path) -> None:
    """Whatever is made passes the tests that come with it, and has nothing left undone in code."""
    texts = scaffold(kind, "blue-bird", choice)
    write(texts, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(EXTENSIONS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "NotImplementedError" not in "".join(texts.values())
    assert "## What there is to do" in texts["README.md"]


@settings(max_examples=15)
@given(NAMES)
@pytest.mark.parametrize("kind, choice", MADE)
def test_any_name_will_do(kind: str, choice: str | None, name: str) -> None:
    """Under any name the code is code and the tables are tables, and no other name is left."""
    texts = scaffold(kind, name, choice)
    for path, text in texts.items():
        assert "acme" not in (path + text).lower()
        if path.endswith(".py"):
            ast.parse(text)
        if path.endswith(".toml"):
            tomllib.loads(text)
    assert any(re.search(rf"\b{name.replace('-', '_')}", path) for path in texts)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_its_account_does_what_it_says(
    contract: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account at its sandbox does what every vendor does, and what it says of itself."""
    write(scaffold("vendor", f"{contract}_bird", contract), tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    package = f"{contract}_bird_vendor"
    kind = getattr(import_module(f"{package}.vendor"), f"{contract.capitalize()}Bird")
    fields = {field.name for field in attrs.fields(kind)}
    make = import_module(f"{package}.fixture").fixture
    assert (contract,) == kind.kinds
    assert kind.capabilities <= BY_CAPABILITY[contract].keys()
    able = {one: use for one, use in BY_CAPABILITY[contract].items() if one in kind.capabilities}

    async def use(do: Scenario, fixture: SandboxFixture) -> object:
        assert fixture.sandbox is not None
        options = {name: value for name, value in fixture.options.items() if name in fields}
        settings = {name: fixture.options[name] for name in fixture.options.keys() - fields}
        account = Account("bird", kind(**options), settings=settings)
        async with AsyncHub([account], http=AsyncSandboxHttpClient(fixture.sandbox)) as hub:
            face = getattr(hub, contract)()
            return await do(
                ScenarioVendor(operations=face, fixture=fixture, name="bird", able=True)
            )

    for do in (*BASIC[contract].values(), *able.values()):
        fixture = make(tmp_path)
        assert asyncio.run(use(do, fixture))
        fixture.close()


def test_the_package_of_the_tests_is_what_is_made() -> None:
    """The vendor that pip installs in the tests is the one that is scaffolded."""
    home = ROOT / "tests" / "packages" / "acme-vendor"
    existing = {
        str(path.relative_to(home)): path.read_text("utf-8")
        for path in home.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert existing == scaffold("vendor", "acme")


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
        "request",
        "any",
        "none",
        "test_bird",
        "x" * 41,
        "_a",
        "é",
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    """A name that no module can have, or that another module has, is refused with its place."""
    with pytest.raises(ConfigurationError) as refused:
        scaffold("vendor", name)
    assert "name" == refused.value.path


@pytest.mark.parametrize(
    "kind, choice, path", [("vendr", None, "kind"), ("vendor", "smss", "choice")]
)
def test_what_there_is_not_is_refused(kind: str, choice: str | None, path: str) -> None:
    """A kind or a choice that there is not is refused, with those that there are."""
    with pytest.raises(ConfigurationError, match="Did you mean") as refused:
        scaffold(kind, "acme", choice)
    assert path == refused.value.path


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A file that is there stays as it is, and nothing else is written, unless that is forced."""
    mine = tmp_path / "b.txt"
    mine.write_text("mine")
    with pytest.raises(ConfigurationError, match="exists already") as refused:
        write({"a.txt": "new", "b.txt": "new"}, tmp_path)
    assert "--into" == refused.value.path
    assert ("mine", [mine]) == (mine.read_text(), [*tmp_path.iterdir()])
    write({"b.txt": "new"}, tmp_path, force=True)
    assert "new" == mine.read_text()
    with pytest.raises(ConfigurationError, match="and so do 1 more files"):
        write({"b.txt": "", ".": ""}, tmp_path)


def test_a_link_that_leads_nowhere_is_a_file(tmp_path: Path) -> None:
    """Nothing is written where a link leads whose file is not there."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere.txt"
    home.mkdir()
    (home / "a.txt").symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="exists already"):
        write({"a.txt": "new"}, home)
    assert not elsewhere.exists()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A file in the place of a folder is told in one sentence."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write({"folder/a.txt": "new"}, tmp_path / "file")


@pytest.mark.parametrize("kind, choice", MADE)
def test_the_command(
    kind: str, choice: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind has a command, which tells what was written, and does not write over it."""
    home = tmp_path / "home"
    arguments = ["scaffold", kind, "blue_bird", "--into", str(home)]
    if choice is not None:
        arguments += ["--contract" if kind == "vendor" else "--port", choice]
    assert 0 == main(arguments)
    assert str(home / "README.md") in capsys.readouterr().out
    assert 2 == main(arguments)
    assert "--force" in capsys.readouterr().err
    assert 0 == main([*arguments, "--force", "--json"])
    files = json.loads(capsys.readouterr().out)["result"]["files"]
    assert {str(home / path) for path in scaffold(kind, "blue_bird", choice)} == {*files}


def test_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a folder is named, it is one of its own name, here."""
    monkeypatch.chdir(tmp_path)
    assert 0 == main(["scaffold", "scheme", "blue_bird"])
    assert (tmp_path / "blue_bird" / "blue_bird.toml").is_file()
