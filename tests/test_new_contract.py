"""Adding a contract needs only its own files, and a line or two in three other files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tools.operations import hub_docstring

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("ruff", reason="ruff is for development only")

ROOT: Final = Path(__file__).parent.parent
OWN_FILES: Final = Path(__file__).parent / "packages" / "letters-contract"
CHANGED_FILES: Final[dict[str, Callable[[str], str]]] = {
    "src/moorage/contracts/catalog.py": lambda text: text.replace(
        '    "shipping": "Shipments",\n',
        '    "shipping": "Shipments",\n    "letters": "Letters",\n',
    ),
    "pyproject.toml": lambda text: text.replace(
        '[project.entry-points."moorage.vendors"]\n',
        '[project.entry-points."moorage.vendors"]\nquill = "moorage.vendors.letters.quill:Quill"\n',
    ).replace(" | inference | payments ", " | inference | letters | payments "),
    "docs/navigation.yml": lambda text: re.sub(
        r"^( *)- Shipping: reference/shipping.md\n",
        r"\g<0>\1- Letters: reference/letters.md\n",
        text,
        flags=re.MULTILINE,
    ),
}
"""The files that a new contract changes, and the change."""
CHECKS: Final = (
    "tests/contracts/test_declarations.py",
    "tests/contracts/test_rehearsals.py",
    "tests/scaffold/test_scaffold.py",
    "tests/test_vendor_sdk.py",
    "tests/testing/test_contract_conformance.py",
    "tests/vendors/test_capabilities.py",
    "tests/vendors/test_pings.py",
)
"""The tests of all contracts and vendors that find new ones by themselves."""
LISTS: Final = (
    "tests/contracts/test_declarations.py::test_generated_files_are_current",
    "tests/test_documentation.py::test_counts_are_right",
    "tests/test_documentation.py::test_every_page_is_found",
    "tests/test_entry_points.py::test_built_in_vendors_are_the_entry_points_of_the_package",
    "tests/test_public_api.py::test_public_api_is_the_recorded_one",
    "tests/vendors/test_refusal_statuses.py::test_tables_of_the_page_list_vendors",
    "tests/vendors/test_vendor_tables.py::test_every_table_is_of_a_vendor",
)
"""The tests that compare all contracts and vendors with a list or a page."""


def run(folder: Path, *arguments: str) -> str:
    """Run a Python program in a copy of the project, and return its output."""
    process = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}"},
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module", name="project")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project, add the new contract, and generate its classes."""
    folder = tmp_path_factory.mktemp("project")
    without = shutil.ignore_patterns("__pycache__", "node_modules")
    for part in ("src", "tools", "tests", "docs"):
        shutil.copytree(ROOT / part, folder / part, ignore=without)
    shutil.copy(ROOT / "README.md", folder)
    for name, change in CHANGED_FILES.items():
        text_before = (ROOT / name).read_text("utf-8")
        (folder / name).write_text(change(text_before), "utf-8")
        assert text_before != change(text_before)
    for file in OWN_FILES.rglob("*.py.txt"):
        path = folder / file.relative_to(OWN_FILES).with_suffix("")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, path)
    points = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = folder / "src" / "moorage-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: moorage\nVersion: 0\n")
    lines = (
        f"{name} = {value}" if value else f"[{name}]"
        for group, entry_points_of_group in points["entry-points"].items()
        for name, value in ((group, ""), *entry_points_of_group.items())
    )
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    for command in ("tools.operations", "tools.public_api", "tests.vendors.vendor_tables"):
        run(folder, "-m", command)
    return folder


def test_new_contract_works_everywhere(project: Path) -> None:
    """Hubs, outboxes, stores, schemas and pages work with a new contract."""
    found_results: dict[str, Any] = json.loads(run(project, "use.py"))

    assert {
        "sync": ["quill:quill:L1"] * 2,
        "deferred": 1,
        "refused": "letter",
        "rehearsed": "letters.post",
        "scenarios": [True, True],
        "async": "quill:quill:L3",
        "packed": True,
        "grade": "gold",
        "schema": True,
        "capabilities": ["|  | [quill](quill.md) |"],
        "reference": True,
    } == found_results


def test_project_tests_accept_the_new_contract(project: Path) -> None:
    """The project's own tests include the new contract and its vendor, and pass."""
    words = "letters or quill"

    output = run(
        project, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", words, *CHECKS
    )

    passed_match = re.search(r"(\d+) passed", output)
    assert passed_match is not None
    assert int(passed_match[1]) >= 30


def test_new_contract_changes_no_other_list_or_page(project: Path) -> None:
    """For a new contract and its vendor, no other list, page or count has to be changed."""
    run(project, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *LISTS)


def test_long_titles_do_not_make_long_lines() -> None:
    """The generated docstring has several lines if the title of the contract is long."""
    assert hub_docstring("letters") == (
        "Return the tenant's operations on letters; `subject` is the person concerned."
    )
    assert (
        "Return the tenant's operations on registers of companies.\n\n"
        "        `subject` is the person concerned.\n        "
    ) == hub_docstring("registers of companies")


def test_generated_classes_are_readable(project: Path) -> None:
    """The generated class has normal methods with the declared parameters and docstrings."""
    text = (project / "src/moorage/operations/letters.py").read_text("utf-8")

    assert "class AsyncLetters(Uncopyable):" in text
    assert (
        "    def post(\n"
        "        self, letter: Letter, *, idempotency_key: str | None = None,"
        " timeout: float | None = None\n"
        "    ) -> LetterReceipt:\n"
        '        """Print a letter and post it.\n'
    ) in text


def test_navigation_leads_to_the_contract(project: Path) -> None:
    """The site's navigation includes the page of the new contract."""
    assert "reference/letters.md" in (project / "docs" / "navigation.yml").read_text("utf-8")
