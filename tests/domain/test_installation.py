"""Instructions for installing optional dependencies."""

from __future__ import annotations

import re
from pathlib import Path

from moorage.domain.values.installation import install

ROOT = Path(__file__).parents[2]

PAGES = sorted(
    path
    for folder in ("src", "docs", "adapters-examples", "README.md", "CONTRIBUTING.md")
    for path in ((ROOT / folder).rglob("*") if (ROOT / folder).is_dir() else [ROOT / folder])
    if path.suffix in (".md", ".py", ".txt")
)


def test_command_works_from_a_checkout() -> None:
    """The install hint for an extra is a command that works without a package index."""
    assert (
        "Run `pip install '.[postgresql]'` or `pip install '.[mysql]'` in a checkout of moorage."
        == install("postgresql", "mysql")
    )


def test_no_page_installs_the_package_by_its_name() -> None:
    """No page and no message tells users to install this package from an index by its name."""
    by_name = re.compile(
        r"(?:pip install|uv add|[Ii]nstall) [^\n]*(?<![./\w-])moorage(?:\[|-|\s|$)"
    )
    results = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in PAGES
        for line in path.read_text("utf-8").splitlines()
        if by_name.search(line.partition("# ")[0])
    ]
    assert [] == results


def test_every_extra_that_a_message_names_exists() -> None:
    """Each extra named in an install hint is declared by the project."""
    declared_extras = set(
        re.findall(
            r"^(\w+) = \[",
            (ROOT / "pyproject.toml")
            .read_text("utf-8")
            .partition("[project.optional-dependencies]")[2]
            .partition("\n\n")[0],
            re.MULTILINE,
        )
    )
    named_extras = {
        extra_name
        for path in (ROOT / "src").rglob("*.py")
        for call in re.findall(r'\binstall\(((?:"\w+"(?:, )?)+)\)', path.read_text("utf-8"))
        for extra_name in re.findall(r'"(\w+)"', call)
    }
    assert named_extras
    assert set() == named_extras - declared_extras
