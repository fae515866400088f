"""Executes the documentation's pages in environments with only what each page installs.

`python -m tools.pages_in_fresh_environments [PAGE …]` builds a wheel of each package of this
checkout and one virtual environment for each set of packages that a page installs. It then follows
each page in an empty folder, as `tests/test_pages.py` does. The environments stay in
`build/pages`; the next run installs nothing but the new wheels.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support.pages import (
    EXAMPLES,
    PAGES,
    ROOT,
    Environment,
    PageRuleBroken,
    Plan,
    blocks,
    follow,
    plan,
    terminal,
)
from tools.command_line import tool_parser

if TYPE_CHECKING:
    from collections.abc import Sequence

BUILD = ROOT / "build" / "pages"
CONSTRAINTS = ROOT / "constraints.txt"
DISTRIBUTIONS = (ROOT, *sorted(path.parent for path in EXAMPLES.glob("moorage-*/pyproject.toml")))


class Packages(NamedTuple):
    """The packages that a page tells the reader to install.

    Attributes:
        extras: the extras of moorage.
        folders: the names of other packages of this checkout.
        requirements: packages of other projects.
        page: the page's name if it installs a package of its own, which no other page may see.
    """

    extras: tuple[str, ...]
    folders: tuple[str, ...]
    requirements: tuple[str, ...]
    page: str

    def __str__(self) -> str:
        """Return the packages as a readable list."""
        extras = f"moorage[{','.join(self.extras)}]" if self.extras else "moorage"
        own_package = [f"a package of {self.page}"] if self.page else []
        return " + ".join([extras, *self.folders, *self.requirements, *own_package])

    @property
    def folder(self) -> Path:
        """Return the environment's folder, named by the package versions."""
        digest = hashlib.sha256(json.dumps([*self, sys.version]).encode())
        for path in (CONSTRAINTS, *(folder / "pyproject.toml" for folder in DISTRIBUTIONS)):
            digest.update(path.read_bytes())
        return BUILD / digest.hexdigest()[:16]


def packages_of(name: str, page_plan: Plan) -> Packages:
    """Return the packages that a page installs."""
    return Packages(
        tuple(sorted(page_plan.extras)),
        tuple(sorted(folder.name for folder in page_plan.folders)),
        tuple(sorted(page_plan.requirements)),
        name if page_plan.installs_its_folder else "",
    )


def build_wheels() -> dict[str, Path]:
    """Build a wheel of each package in this checkout, and return them by folder name."""
    wheels: dict[str, Path] = {}
    for folder in DISTRIBUTIONS:
        name = "moorage" if folder == ROOT else folder.name
        target = BUILD / "wheels" / name
        shutil.rmtree(target, ignore_errors=True)
        _pip(
            Path(sys.executable), "wheel", "--no-deps", "--no-build-isolation", "-w", target, folder
        )
        (wheels[name],) = target.glob("*.whl")
    return wheels


def build_environment(packages: Packages, wheels: dict[str, Path]) -> Path:
    """Make an environment with only these packages, and return its Python interpreter."""
    folder = packages.folder
    python, stamp = folder / "bin" / "python", folder / "stamp"
    extras = f"[{','.join(packages.extras)}]" if packages.extras else ""
    own_wheels = [wheels[name] for name in packages.folders]
    if packages.page or not stamp.exists():
        venv.create(folder, clear=True, with_pip=True)
        core = f"{wheels['moorage']}{extras}"
        _pip(python, "install", "-c", CONSTRAINTS, core, *own_wheels, *packages.requirements)
        stamp.touch()
    else:
        _pip(python, "install", "--no-deps", "--force-reinstall", wheels["moorage"], *own_wheels)
    return python


def _pip(python: Path, *arguments: str | Path) -> None:
    command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


def follow_page(page: Path, python: Path) -> str:
    """Execute a page with this Python; return why it fails, or "" if it succeeds."""

    def fresh_environment(page_plan: Plan, notes: Path) -> Environment:
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        return Environment(
            python,
            terminal(python, notes) | pip | {"VIRTUAL_ENV": str(python.parent.parent)},
            f"HOME='{Path.home()}' pip install --quiet -c '{CONSTRAINTS}' -e .",
        )

    with tempfile.TemporaryDirectory(prefix="page-") as empty:
        try:
            follow(_name(page), page.read_text("utf-8"), Path(empty), fresh_environment)
        except PageRuleBroken as error:
            return str(error)
    return ""


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def main(named_pages: Sequence[Path]) -> int:
    """Execute the named pages, or all."""
    pages: dict[Packages, list[Path]] = defaultdict(list)
    counts: dict[Path, int] = {}
    for page in named_pages or PAGES:
        text = page.read_text("utf-8")
        count = sum(block.language != "text" for block in blocks(text))
        if count:
            counts[page] = count
            pages[packages_of(_name(page), plan(text))].append(page)
    wheels = build_wheels()
    failures = 0
    for packages, group in pages.items():
        print(packages, flush=True)
        python = build_environment(packages, wheels)
        for page in group:
            reason = follow_page(page, python)
            failures += bool(reason)
            result = f"FAILED\n{reason}" if reason else f"{counts[page]} blocks"
            print(f"  {_name(page)}: {result}", flush=True)
    if not named_pages:
        current_folders = {packages.folder for packages in pages}
        for folder in BUILD.iterdir():
            if folder.name != "wheels" and folder not in current_folders:
                shutil.rmtree(folder)
    print(
        f"{len(counts)} pages, {sum(counts.values())} blocks, {len(pages)} environments;"
        f" {failures} pages failed"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    PARSER = tool_parser("pages_in_fresh_environments", __doc__)
    PARSER.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="all by default")
    sys.exit(main([page.resolve() for page in PARSER.parse_args().pages]))
