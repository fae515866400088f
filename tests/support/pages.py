"""Executes a documentation page from top to bottom, like a reader.

Each page is followed in an empty folder and a Python of its own, in which only those packages are
there that the page has had installed: the tests hide all others of this environment, and
`tools.pages_in_fresh_environments` installs just those. What a block is for, it says itself:

- `python` runs, in one interpreter for the page. `# → text` is a line that the block prints.
- A block whose first line is a comment with a file's name, such as `# moorage.toml` or
  `# shop/settings.py`, is that file. With `, at the end` behind the name it is added to it.
- `console`: the lines after `$ ` are typed. What is shown below them is what they print; `…`
  stands for anything. A command ends with 0, or `$ echo $?` shows what it ends with.
- `pip install` is not run: it decides which packages are there, but for `pip install -e .`, which
  installs the package in the reader's folder. `make` is for a checkout, and only has to be a target
  of its Makefile.
- `text` is shown and not run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "adapters-examples"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), *sorted(EXAMPLES.rglob("*.md"))]
LANGUAGES = {"console", "python", "text", "toml"}

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
_TEST = re.compile(r"^(?:async )?def test_", re.MULTILINE)
_NAME = re.compile(r"\A# ([\w./-]+\.\w+)(, at the end)?\n")
_PIP = re.compile(r"^(?:python -m )?pip install (.*)$")
_MAKE = re.compile(r"^make(?: (\S+))?")
_SUPPORT = Path(__file__).parent


_TIMEOUT = 1800.0  # seconds for all steps of a page; only a hanging step takes so long
_PORT = re.compile(r"127\.0\.0\.1:\d|start\(\d|--port \d")
_INSTALL_OFFLINE = (
    "env --unset=PYTHONPATH python -m pip install --quiet --no-build-isolation --no-deps --no-index"
    ' --target "$SITE" .'
)
"""How `pip install -e .` is done in this environment: offline, beside the page's other files."""


class Block(NamedTuple):
    """A code block of a documentation page.

    Attributes:
        language: the word after the backticks.
        text: its content.
        line: the number of lines of the page before it.
    """

    language: str
    text: str
    line: int


class PageRuleBroken(Exception):
    """A page breaks a rule for documentation pages."""


def blocks(text: str) -> list[Block]:
    """Return the blocks of a page, in order."""
    return [
        Block(result[1], result[2], text.count("\n", 0, result.start(2)))
        for result in _BLOCK.finditer(text)
    ]


class Plan(NamedTuple):
    """The steps that a reader of a page takes, and the packages that they need.

    Attributes:
        steps: one mapping for each, as `tests.support.page_interpreter` takes them.
        requirements: what is installed besides moorage: names of packages.
        extras: those of moorage's that are installed.
        folders: packages of this repository that are installed.
    """

    steps: list[dict[str, object]]
    requirements: set[str]
    extras: set[str]
    folders: set[Path]

    @property
    def installs_its_folder(self) -> bool:
        """True if the page installs the package in the reader's folder."""
        return any(step["kind"] == "install" for step in self.steps)


class Environment(NamedTuple):
    """The Python environment in which a page is followed.

    Attributes:
        python: its interpreter.
        variables: those of the reader's terminal.
        install: the command that installs the package in the reader's folder.
    """

    python: Path
    variables: dict[str, str]
    install: str


def plan(text: str) -> Plan:
    """Return the steps of a page; raise `PageRuleBroken` if the purpose of a block is unclear."""
    page_plan = Plan([], set(), set(), set())
    if len(_FENCE.findall(text)) != 2 * len(blocks(text)):
        raise PageRuleBroken("a code block is indented, or has no end.")
    for block in blocks(text):
        name = _NAME.match(block.text)
        if block.language not in LANGUAGES:
            raise PageRuleBroken(
                f"line {block.line}: `{block.language}` is not an allowed language of a code block."
            )
        if block.language == "console":
            _type(block, page_plan)
        elif name is not None:
            step = {"kind": "file", "name": name[1], "more": bool(name[2]), "text": block.text}
            page_plan.steps.append({**step, "line": block.line})
        elif block.language == "python":
            if _TEST.search(block.text):
                raise PageRuleBroken(
                    f"line {block.line}: a test must be in a file that pytest runs."
                )
            page_plan.steps.append({"kind": "python", "text": block.text, "line": block.line})
        elif block.language != "text":
            raise PageRuleBroken(f"line {block.line}: the first line must name the file.")
    return page_plan


def _type(block: Block, plan_: Plan) -> None:
    lines = block.text.splitlines()
    if not lines or not lines[0].startswith("$ "):
        raise PageRuleBroken(f"line {block.line}: a block for the terminal begins with `$ `.")
    position = 0
    while position < len(lines):
        begin, command = position, lines[position][2:]
        position += 1
        while command.endswith("\\"):
            command, position = f"{command}\n{lines[position]}", position + 1
        shown_lines: list[str] = []
        while position < len(lines) and not lines[position].startswith("$ "):
            shown_lines, position = [*shown_lines, lines[position]], position + 1
        command = re.sub(r"\s+# .*$", "", command)
        pip, make = _PIP.match(command), _MAKE.match(command)
        if command == "echo $?":
            plan_.steps[-1]["status"] = int("".join(shown_lines))
        elif pip is not None:
            _install(pip[1], block.line + begin, plan_)
        elif make is not None:
            if make[1] is not None and make[1] not in _targets():
                raise PageRuleBroken(f"line {block.line}: the Makefile has no target {make[1]}.")
        else:
            step = {"kind": "command", "text": command, "shown": shown_lines, "status": 0}
            plan_.steps.append({**step, "line": block.line + begin})


@cache
def _targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def _install(what: str, line: int, made: Plan) -> None:
    for item in what.replace("'", "").split():
        local_match = re.fullmatch(r"(?:\.|\.\./moorage)(?:\[([\w,]+)\])?", item)
        if local_match is not None:
            made.extras.update(local_match[1].split(",") if local_match[1] else ())
            if "-e" in what.split():
                made.steps.append({"kind": "install", "line": line})
        elif item.startswith("./adapters-examples/"):
            made.folders.add(ROOT / item)
        elif item != "-e":
            made.requirements.add(item)


# --- the environment ---------------------------------------------------------


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _installed_packages() -> dict[str, metadata.Distribution]:
    return {_normal(result.metadata["Name"]): result for result in metadata.distributions()}


@cache
def _modules() -> dict[str, set[str]]:
    return {
        module: {_normal(name) for name in names}
        for module, names in metadata.packages_distributions().items()
    }


_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w, -]+)\])?")


def _closure(targets: list[str]) -> set[str]:
    """Return these requirements with all their dependencies."""
    closure_names: set[str] = set()
    seen_requirements: set[str] = set()
    while targets:
        text = targets.pop()
        result = _REQUIREMENT.match(text)
        if text in seen_requirements or result is None:
            continue
        seen_requirements.add(text)
        name = _normal(result[1])
        extras = {extra_name.strip() for extra_name in (result[2] or "").split(",") if extra_name}
        if name not in _installed_packages():
            continue
        closure_names.add(name)
        for requirement in _installed_packages()[name].requires or ():
            request, _, marker = requirement.partition(";")
            extra_match = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
            if extra_match is None or extra_match[1] in extras:
                targets.append(request.strip())
    return closure_names


def reduced_environment(made: Plan, notes: Path) -> Environment:
    """Return this environment without the packages that the page does not install."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    unknown_extras = made.extras - extras["optional-dependencies"].keys()
    if unknown_extras:
        raise PageRuleBroken(f"there is no extra {', '.join(sorted(unknown_extras))}.")
    targets = [*extras["dependencies"], *made.requirements, "moorage"]
    for extra_name in made.extras:
        targets += extras["optional-dependencies"][extra_name]
    for folder in made.folders:
        targets += tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
    needed_packages = _closure(targets)
    hidden_modules = [module for module, names in _modules().items() if not names & needed_packages]
    packages = notes / "packages.json"
    packages.write_text(
        json.dumps(
            {
                "packages": sorted(_installed_packages().keys() - needed_packages),
                "hidden": sorted(hidden_modules),
            }
        )
    )
    path = [
        _SUPPORT / "page_environment",
        notes / "site",
        *(folder / "src" for folder in made.folders),
    ]
    python = Path(sys.executable)
    variables = {
        "SITE": str(notes / "site"),
        "PAGE_PACKAGES": str(packages),
        "PYTHONPATH": os.pathsep.join(map(str, path)),
    }
    return Environment(python, terminal(python, notes) | variables, _INSTALL_OFFLINE)


def terminal(python: Path, home: Path) -> dict[str, str]:
    """Return environment variables for a terminal in which this Python is first on PATH."""
    return {
        "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "80",
        "GRPC_VERBOSITY": "NONE",  # whether it says that a connection was closed is chance
    }


@contextlib.contextmanager
def _ports(text: str) -> Generator[None]:
    """Hold a lock while a page with fixed ports runs, so that such pages run one at a time."""
    with (Path(tempfile.gettempdir()) / "pages-with-ports.lock").open("a") as lock:
        if _PORT.search(text):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def follow(
    name: str,
    text: str,
    empty: Path,
    choose: Callable[[Plan, Path], Environment] = reduced_environment,
) -> None:
    """Follow a page in an empty folder; raise `PageRuleBroken` if a step fails.

    `choose` returns the environment for the page's plan, and a folder for its private files.
    """
    page_plan = plan(text)
    folder, notes = empty / "folder", empty / "notes"
    folder.mkdir()
    notes.mkdir()
    environment = choose(page_plan, notes)
    steps = [
        {**step, "kind": "command", "text": environment.install, "shown": [], "status": 0}
        if step["kind"] == "install"
        else step
        for step in page_plan.steps
    ]
    steps_file = notes / "steps.json"
    steps_file.write_text(json.dumps({"page": name, "steps": steps}))
    with _ports(text):
        _run_steps(environment, folder, steps_file)


def _run_steps(environment: Environment, folder: Path, steps: Path) -> None:
    reader = subprocess.Popen(
        [str(environment.python), str(_SUPPORT / "page_interpreter.py"), str(steps)],
        cwd=folder,
        env=environment.variables,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        outgoing_bytes, errors = reader.communicate(timeout=_TIMEOUT)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(reader.pid, signal.SIGKILL)  # including commands in the background
    if reader.returncode or errors or outgoing_bytes:
        raise PageRuleBroken(f"{errors.decode()}{outgoing_bytes.decode()}")
