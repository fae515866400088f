"""The reference pages contain every docstring of the public API."""

import ast
import inspect
import re
from collections import Counter
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import attrs
import pytest

import moorage
from moorage import adapters, pipelines
from moorage.contracts.catalog import CONTRACTS
from moorage.testing import sandboxes
from moorage.wiring.installed_vendors import vendor_names
from tests.support.pages import PAGES as PAGE_FILES
from tools import reference, site
from tools.reference_pages import PAGES, members_of
from tools.reference_pages.page import public_classes

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


def test_function_is_described_with_signature_and_docstring(written: dict[str, str]) -> None:
    """The reference describes a function with its signature and its docstring."""
    invoices = written["reference/invoices.md"]

    assert "\nread_pdf_invoice(" in invoices
    assert "Return the violated business rules of a profile" in invoices


def test_class_or_function_is_documented_on_one_page_only(written: dict[str, str]) -> None:
    """A class or function is documented on one page only, and a page has no heading twice."""
    members = [item for page in PAGES for name in page.names for item in members_of(name)]
    described = [(name, value) for name, value in members if not inspect.ismodule(value)]
    times = Counter(id(value) for _, value in described)

    assert [] == [name for name, value in described if times[id(value)] > 1]
    repeated_headings = {
        (path, name): count
        for path, text in written.items()
        for name, count in _headings({path: text}).items()
        if count > 1
    }
    assert {} == repeated_headings


_PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ADAPTERS = re.compile(
    r"\w+(Audit|Cache|Cipher|HttpClient|Logger|Metrics|Observer|Provider|Registry|Sink|Source|Storage"
    r"|Tenants)"
)
_NOT_FOR_HOSTS = {
    "DeadLetterSource",  # the source of a command of pipelines
    "RotatingSink",  # the base class of sinks that write files
    "PublishSink",  # made by `publisher.sink`
}


def test_every_adapter_is_described(written: dict[str, str]) -> None:
    """Each store, source, sink, observer and similar class for hosts is in the reference."""
    headings = _headings(written)
    names = set[str]()
    for package in (adapters, pipelines):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if not re.search(r"\._", module.name):
                classes = public_classes(import_module(module.name))
                names |= {name for name, _ in classes if _ADAPTERS.fullmatch(name)}

    assert {"NatsSource", "MqttSource", "RedisStreamsSource", "KafkaTransactionSink"} <= names
    assert _NOT_FOR_HOSTS == names - headings.keys()


def test_everything_that_the_pages_import_is_described(written: dict[str, str]) -> None:
    """Each class and function that a documentation page imports is in the reference."""
    headings = _headings(written)
    pages = [page for page in PAGE_FILES if "decisions" not in page.parts]
    imports = {
        (item.module, alias.name)
        for page in pages
        for code in re.findall(
            r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        for item in ast.walk(ast.parse(code))
        if isinstance(item, ast.ImportFrom) and (item.module or "").partition(".")[0] == "moorage"
        for alias in item.names
    }

    assert len(imports) > 400
    assert [] == [
        f"{module}:{name}"
        for module, name in sorted(imports, key=str)
        if callable(getattr(import_module(str(module)), name, None)) and name not in headings
    ]


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


def test_troubleshooting_page_has_docstring_and_remedy_of_each_error() -> None:
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
