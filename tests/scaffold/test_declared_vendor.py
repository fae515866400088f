"""A vendor of a contract without a template is written from the contract's declaration."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from moorage import ConfigurationError
from moorage.contracts.catalog import CONTRACTS, contract
from moorage.scaffold import write
from moorage.scaffold.making import vendor_from_declaration
from tests.scaffold.test_scaffold import UNUSED_PLUGINS

if TYPE_CHECKING:
    from pathlib import Path

SIMPLE = ("chat", "sms")
"""The contracts whose basic operations have one subject each, and flat results."""
COMPLEX = sorted(CONTRACTS.keys() - {*SIMPLE, "einvoices", "email"})
"""The contracts that the template cannot express; two others need more in their sandbox."""


@pytest.mark.parametrize("kind", SIMPLE)
def test_vendor_follows_from_the_declaration(kind: str, tmp_path: Path) -> None:
    """The vendor has the declared operations, is short, and passes its own tests at once."""
    texts = vendor_from_declaration("blue-bird", kind)
    write(texts, tmp_path)
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *(f"-pno:{plugin}" for plugin in UNUSED_PLUGINS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == process.returncode, process.stdout + process.stderr
    code = texts["src/blue_bird_vendor/vendor.py"]
    assert len(code.splitlines()) <= 110
    assert all(f"| `{name}` | no |" in texts["README.md"] for name in contract(kind).capabilities)


def test_code_of_a_vendor_is_formatted(tmp_path: Path) -> None:
    """The generated code passes the formatter and a linter unchanged."""
    pytest.importorskip("ruff", reason="ruff is for development only")
    write(vendor_from_declaration("blue-bird", "sms"), tmp_path)
    for command in (["format", "--check", "--line-length=100"], ["check", "--line-length=100"]):
        process = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == process.returncode, process.stdout


@pytest.mark.parametrize("kind", COMPLEX)
def test_complex_contracts_need_a_template(kind: str) -> None:
    """A contract that the template cannot express is refused, and the error names the reason."""
    with pytest.raises(ConfigurationError, match="too complex") as excinfo:
        vendor_from_declaration("blue-bird", kind)

    assert "choice" == excinfo.value.path
