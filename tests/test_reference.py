"""The reference pages contain every docstring of the public API."""

import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import attrs
import pytest

import moorage
from moorage.contracts.catalog import CONTRACTS
from moorage.testing import sandboxes
from moorage.wiring.installed_vendors import vendor_names
from tools import reference, site

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module", name="written")
def _written_pages() -> dict[str, str]:
    """Write every page of the reference."""
    return reference.pages()


def _headings(written: dict[str, str]) -> Counter[str]:
    return Counter(
        heading
        for text in written.values()
        for heading in re.findall(r"^## (\S+)$", text, re.MULTILINE)
    )


def test_every_export_is_described_once(written: dict[str, str]) -> None:
    """Each public name appears once in the reference."""
    counts = _headings(written)

    assert dict.fromkeys(moorage.__all__, 1) == {name: counts[name] for name in moorage.__all__}


def test_nothing_is_described_twice(written: dict[str, str]) -> None:
    """A name is documented on one reference page only."""
    assert {} == {name: times for name, times in _headings(written).items() if times > 1}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_sandbox_is_described(written: dict[str, str], contract: str) -> None:
    """The reference page of a contract documents each vendor's sandbox."""
    text = written[f"reference/{contract}.md"]
    folder = ROOT / "src" / "moorage" / "testing" / "sandboxes" / contract
    vendors = [path.stem for path in folder.glob("*.py") if path.stem in vendor_names()]
    names = [
        name
        for vendor in vendors
        for name, value in vars(import_module(f"{sandboxes.__name__}.{contract}.{vendor}")).items()
        if name.endswith("Sandbox") and value.__module__.endswith(f".{vendor}")
    ]

    assert names
    assert [] == [name for name in names if f"## {name}\n" not in text]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_value_of_a_contract_is_described(written: dict[str, str], contract: str) -> None:
    """The reference page of a contract documents every class that its package exports."""
    module = import_module(f"moorage.contracts.{contract}")
    names = [
        name
        for name in getattr(module, "__all__", ())
        if isinstance(value := getattr(module, name), type)
        and value.__module__.startswith(module.__name__)
    ]

    assert [] == [
        name for name in names if f"## {name}\n" not in written[f"reference/{contract}.md"]
    ]


def test_every_page_is_in_the_navigation(written: dict[str, str]) -> None:
    """Each reference page is in the navigation."""
    navigation = (ROOT / "docs" / "navigation.yml").read_text("utf-8")

    assert [] == [path for path in written if path not in navigation]


def test_every_attribute_is_described(written: dict[str, str]) -> None:
    """Every setting in the reference is listed with its default."""
    text = written["reference/protections.md"]

    for kind in (moorage.RetryPolicy, moorage.CircuitBreakerConfig, moorage.RetryBudget):
        for field in attrs.fields(kind):
            assert f"    {field.name}: " in text
            assert f"`{field.name}`" in text


def test_signatures_are_shown_as_they_are_written(written: dict[str, str]) -> None:
    """A signature in the reference shows names, defaults and keyword-only parameters."""
    text = written["reference/calling.md"]

    assert (
        "set_circuit(\n    service: str,\n    state: CircuitState,\n    *,\n"
        "    tenant: str | None = None,\n    endpoint: str | None = None,\n"
        "    region: str | None = None,\n    actor: str | None = None,\n"
        "    reason: str = ''\n) -> None"
    ) in text


def test_errors_speak_for_themselves() -> None:
    """The troubleshooting page has each error's docstring and remedy."""
    text = reference.with_error_facts("# Page\n\n## BulkheadFull\n\nAdvice.\n\n## Other\n")

    assert moorage.BulkheadFull.remedy in text
    assert text.index("What happened") < text.index("Advice.") < text.index("## Other")
    assert "What happened" not in text[text.index("## Other") :]


def test_pages_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The script writes each reference page into the given folder."""
    reference.main(tmp_path)

    results = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.md")}
    assert set(capsys.readouterr().out.split()) == {str(tmp_path / path) for path in results}
    assert reference.pages().keys() == results


@pytest.mark.filterwarnings("ignore:'myst_parser")  # it uses what Sphinx 11 will remove
@pytest.mark.parametrize("link", ["b.md#nowhere", "nowhere.md"])
def test_site_refuses_wrong_links(tmp_path: Path, link: str) -> None:
    """A link to a missing page or heading makes the build fail."""
    pytest.importorskip("sphinx", reason="the site is built for development only")
    texts = {"index.md": f"# A\n\n[b]({link})\n", "b.md": "# B\n"}
    pages = (site.SitePage("A", "index.md"), site.SitePage("B", "b.md"))

    with pytest.raises(SystemExit):
        site.build(tmp_path, texts, site.Section("", pages))
