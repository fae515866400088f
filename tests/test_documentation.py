"""Every example of the documentation runs, and prints what it says it prints.

The blocks of a page that are marked `python` run in order, in one namespace. What a reader need
not see may stand in a comment at the top of the page that begins with `<!-- setup`; it runs first.
`# → text` in a block is a line that the block prints, and it prints no other. A function called
`test_…` is run with its fixtures, unless pytest would call it with more than those. Setup may hand
what must be closed to `closing`, an `ExitStack`; managers that a page leaves open are closed too.
"""

import ast
import builtins
import inspect
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import moorage
from moorage import ConnectorManager, errors

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

_SETUP = re.compile(r"\A\s*<!-- setup\n(.*?)-->", re.DOTALL)
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"^\s*(```|~~~)\s*(\w*)", re.MULTILINE)
_PRINTS = re.compile(r"# → (.*)$", re.MULTILINE)
_LANGUAGES = {"", "console", "ini", "python", "text", "toml"}
"""What a fence may say of itself; anything else is `python` misspelt, and would not run."""


class Block(NamedTuple):
    """One example: its code, and the line of the page that it begins at."""

    code: str
    line: int


def _blocks(text: str) -> Iterator[Block]:
    for pattern in (_SETUP, _BLOCK):
        for found in pattern.finditer(text):
            yield Block(found[1], text.count("\n", 0, found.start(1)))


def shown(page: Path, *, until: str) -> dict[str, Any]:
    """What the examples of a page define, up to a sentence of it."""
    text = page.read_text("utf-8")
    names: dict[str, Any] = {"__name__": "documentation"}
    for found in _BLOCK.finditer(text, 0, text.index(until)):
        exec(compile(found[1], str(page), "exec"), names)  # noqa: S102 - as below
    return names


def _named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _run(block: Block, page: Path, names: dict[str, Any], request: pytest.FixtureRequest) -> None:
    tree = ast.parse(block.code, filename=str(page))
    code = compile(ast.increment_lineno(tree, block.line), str(page), "exec")
    exec(code, names)  # noqa: S102 - running the examples is what this file is for
    for name in re.findall(r"^def (test_\w+)", block.code, re.MULTILINE):
        test = names[name]
        if not hasattr(test, "pytestmark"):
            wanted = inspect.signature(test).parameters
            test(**{fixture: request.getfixturevalue(fixture) for fixture in wanted})


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_examples_run(
    page: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """The examples of a page work as they stand, and print what they say."""
    managers: list[ConnectorManager] = []
    with ExitStack() as closing:
        # What an example puts into the environment is gone when it is over.
        closing.callback(os.environ.update, dict(os.environ))
        closing.callback(os.environ.clear)
        names: dict[str, Any] = {"closing": closing, "__name__": "documentation"}
        for block in _blocks(page.read_text("utf-8")):
            _run(block, page, names, request)
            managers += [value for value in names.values() if isinstance(value, ConnectorManager)]
            assert _PRINTS.findall(block.code) == capsys.readouterr().out.splitlines()
        for manager in managers:
            manager.close()


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_examples_are_marked(page: Path) -> None:
    """A fence says a language that we know, so that no example escapes its test by a slip."""
    fences = _FENCE.findall(page.read_text("utf-8"))

    assert len(fences) % 2 == 0
    assert {language for _, language in fences[::2]} <= _LANGUAGES


def test_every_error_has_a_remedy_to_read() -> None:
    """The page on troubleshooting has a section for each class of error, and for no other."""
    headings = re.findall(
        r"^## (\w+)$", (DOCS / "troubleshooting.md").read_text("utf-8"), re.MULTILINE
    )
    known = [
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.ConnectorError) and name[0] != "_"
    ]

    assert known == [name for name in headings if name in known]


def test_every_page_is_found() -> None:
    """Each page of the manual is in the site's navigation."""
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = {str(page.relative_to(DOCS)) for page in PAGES[1:]}

    assert set() == {page for page in pages if page not in navigation}


def test_names_in_text_exist() -> None:
    """A class of ours that a page names in passing is one that exists.

    Pages of vendors name words of theirs besides, which stand somewhere in the code of the vendor.
    """
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    ours = {*re.findall(r"\bclass (\w+)", source), *moorage.__all__}
    theirs = set(re.findall(r"\w+", source))
    spoken = {
        (name, _named(page))
        for page in PAGES
        if page.name != "coming-from.md"
        for name in re.findall(r"`(?:moorage\.)?([A-Z][a-z]+[A-Z]\w+)`", page.read_text("utf-8"))
    }
    known = {*ours, *dir(builtins), "CancelledError"}

    assert set() == {
        (name, page)
        for name, page in spoken
        if name not in known and not (page.startswith("docs/vendors/") and name in theirs)
    }
