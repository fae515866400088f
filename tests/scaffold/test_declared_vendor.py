"""Scaffolded vendors of contracts without a template, which follow the contract's declaration."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError
from moorage.contracts.catalog import CONTRACTS, contract
from moorage.contracts.ref import Ref
from moorage.scaffold import write
from moorage.scaffold.declared_types import ValueField
from moorage.scaffold.declared_vendor import annotation, sent_field
from moorage.scaffold.generation import vendor_from_declaration
from tests.scaffold.test_scaffold import UNUSED_PLUGINS

if TYPE_CHECKING:
    from pathlib import Path

LINES = {
    "chat": 47,
    "einvoices": 79,
    "inference": 86,
    "push": 56,
    "signatures": 104,
    "sms": 51,
    "tax": 62,
}
"""The contracts whose vendors follow from their declarations, and the length of each vendor."""
COMPLEX = sorted(CONTRACTS.keys() - LINES.keys())
"""The contracts that the template cannot express."""


@pytest.mark.parametrize("kind", LINES)
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
    assert len(code.splitlines()) <= LINES[kind]
    assert all(f"| `{name}` | " in texts["README.md"] for name in contract(kind).capabilities)


@pytest.mark.parametrize(
    "kind, row",
    [
        ("sms", "| `scheduled` | no | send `send_at` |"),
        ("sms", "| `cancel` | no | write `cancel` |"),
        ("push", "| `device_token` | yes | |"),
        ("signatures", "| `phone_check` | no | send `phone` |"),
        ("signatures", "| `void_reason` | no | send `reason` |"),
        ("tax", "| `uk_numbers` | no | state it if BlueBird can do it |"),
    ],
)
def test_readme_says_what_each_capability_needs(kind: str, row: str) -> None:
    """For each capability that the vendor does not declare, the README says how to add it."""
    assert row in vendor_from_declaration("blue-bird", kind)["README.md"]


def test_body_has_no_fields_whose_use_is_refused_until_vendor_states_capability() -> None:
    """A request body omits fields that need a capability that the vendor does not declare."""
    code = vendor_from_declaration("blue-bird", "signatures")["src/blue_bird_vendor/vendor.py"]

    assert "value.email" in code
    assert "value.phone" not in code


@pytest.mark.parametrize(
    "kind, type_text, sent_fields",
    [
        (str, "str | None", {"from": "from_"}),
        (Ref, "sdk.Ref | None", {"from": "None if from_ is None else from_.id"}),
        (date, "Any", {"from": "None if from_ is None else from_.isoformat()"}),
        (object, "Any", {}),
    ],
)
def test_parameter_with_a_plain_name_has_its_type(
    kind: Any, type_text: str, sent_fields: dict[str, str]
) -> None:
    """A parameter is annotated with its type or with Any, and is sent if JSON can represent it."""
    field = ValueField("from_", kind, required=False, optional=True, others=False)

    assert type_text == annotation(field)
    assert sent_fields == sent_field("from_", field)


@pytest.mark.parametrize("kind", LINES)
def test_code_of_a_vendor_is_formatted(kind: str, tmp_path: Path) -> None:
    """The generated code passes the formatter and a linter unchanged."""
    pytest.importorskip("ruff", reason="ruff is for development only")
    write(vendor_from_declaration("blue-bird", kind), tmp_path)
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
    """A contract that the template cannot express is refused; the error contains the reason."""
    with pytest.raises(ConfigurationError, match="too complex") as excinfo:
        vendor_from_declaration("blue-bird", kind)

    assert "choice" == excinfo.value.path
