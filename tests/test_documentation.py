"""The documentation covers every error and page, and mentions nothing that does not exist.

`tests/test_pages.py` runs the pages themselves.
"""

import builtins
import inspect
import re
from pathlib import Path
from typing import Any

import moorage
from moorage import errors
from moorage.contracts.catalog import CONTRACTS
from moorage.domain.webhooks.presets import PRESETS
from moorage.wiring.installed_vendors import vendor_names
from tools import vendors
from tools.reference_pages import PAGES as REFERENCE_PAGES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

_COUNT = re.compile(
    r"(?:(more than|about) )?\b(\d+)\]? (vendors|contracts|schemes)\b", re.IGNORECASE
)
_ROUNDED_OFF = {"": range(1), "about": range(-5, 6), "more than": range(1, 11)}
"""The differences of a number from the number on a page, by the words before it."""
_FEW_LINES = 10
_FEW_WORDS = 550
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAMES_OF_LIBRARIES = {"CancelledError", "JobTimeoutException", "SoftTimeLimitExceeded"}
"""Classes of asyncio, RQ and Celery that the pages mention."""


def example_names(page: Path, *, until: str) -> dict[str, Any]:
    """Return the names that the examples of a page define before a given sentence."""
    text = page.read_text("utf-8")
    names: dict[str, Any] = {"__name__": "documentation"}
    for result in _BLOCK.finditer(text, 0, text.index(until)):
        exec(compile(result[1], str(page), "exec"), names)  # noqa: S102 - it is our own page
    return names


def _page_title(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_every_error_has_a_remedy_to_read() -> None:
    """The troubleshooting page has exactly one section for each class of error."""
    headings = re.findall(
        r"^## (\w+)$", (DOCS / "troubleshooting.md").read_text("utf-8"), re.MULTILINE
    )
    error_names = [
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.ConnectorError) and name[0] != "_"
    ]

    assert error_names == [name for name in headings if name in error_names]


def test_every_vendor_has_a_page() -> None:
    """The table of vendors links to a page for each vendor that can be installed."""
    links = dict(re.findall(r"\[(\w+)\]\((\S+\.md)\)", vendors.page()))

    assert [] == [
        vendor
        for vendor in vendor_names()
        if not (DOCS / "vendors" / links.get(vendor, "-")).resolve().is_file()
    ]


def test_every_page_is_found() -> None:
    """Every documentation page and every page of the reference is in the site's navigation."""
    navigation = (ROOT / "docs" / "navigation.yml").read_text("utf-8")
    pages = {str(page.relative_to(DOCS)) for page in PAGES[1:]}
    pages |= {f"reference/{page.path}.md" for page in REFERENCE_PAGES}

    assert set() == {page for page in pages if page not in navigation}


def test_counts_are_right() -> None:
    """Pages state correct numbers of vendors, contracts and schemes, or mark them as rounded."""
    numbers = {"vendors": len(vendor_names()), "contracts": len(CONTRACTS), "schemes": len(PRESETS)}
    counts = {
        (_page_title(page), kind, int(number), rounding.lower())
        for page in PAGES
        if "decisions" not in page.parts
        for rounding, number, kind in _COUNT.findall(page.read_text("utf-8"))
    }

    assert {kind for _, kind, _, _ in counts} == numbers.keys()
    assert set() == {
        (page, kind, number)
        for page, kind, number, rounding in counts
        if numbers[kind] - number not in _ROUNDED_OFF[rounding]
    }


def test_first_page_fits_a_screen() -> None:
    """The first page has one picture, one example of about ten lines, and links to the vendors."""
    text = (DOCS / "index.md").read_text("utf-8")
    (example,) = _BLOCK.findall(text)

    assert len([line for line in example.splitlines() if line.strip()]) <= _FEW_LINES
    assert len(re.findall(r"^!\[", text, re.MULTILINE)) == 1
    assert "(vendors/index.md)" in text
    assert len(text.split()) <= _FEW_WORDS


def test_names_in_text_exist() -> None:
    """Classes that the pages mention exist.

    Pages of vendors also mention the vendor's own names, which appear in the code of that vendor.
    """
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    own_names = {*re.findall(r"\bclass (\w+)", source), *moorage.__all__}
    source_words = set(re.findall(r"\w+", source))
    page_names = {
        (name, _page_title(page))
        for page in PAGES
        if page.name != "coming-from.md"
        for name in re.findall(r"`(?:moorage\.)?([A-Z][a-z]+[A-Z]\w+)`", page.read_text("utf-8"))
    }
    existing_names = {*own_names, *dir(builtins), *_NAMES_OF_LIBRARIES}

    assert set() == {
        (name, page)
        for name, page in page_names
        if name not in existing_names
        and not (page.startswith("docs/vendors/") and name in source_words)
    }
