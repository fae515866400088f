"""Contracts are declared once; files, classes and pages are generated from the declarations."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moorage import AsyncHub, Hub, operations
from moorage.contracts.catalog import CONTRACTS, contract
from moorage.testing.kits.contract_conformance import require_declared_parameters
from moorage.testing.sandbox_scenarios import BASIC, BY_CAPABILITY
from moorage.wiring.installed_vendors import vendor_class, vendor_names
from tools.operations import ROOT, main

if TYPE_CHECKING:
    from moorage.contracts.declaration import ContractOperation

EACH_CONTRACT = pytest.mark.parametrize("kind", CONTRACTS)


def test_generated_files_are_current(tmp_path: Path) -> None:
    """The generated files match the declarations of the contracts."""
    pytest.importorskip("ruff", reason="ruff is for development only")
    main(tmp_path)
    texts = {path.relative_to(tmp_path): path.read_text("utf-8") for path in tmp_path.rglob("*.py")}

    assert Path("src/moorage/operations/sms.py") in texts
    stale_files = [
        str(path) for path, text in texts.items() if text != (ROOT / path).read_text("utf-8")
    ]
    assert [] == stale_files, "run `make operations`"


@EACH_CONTRACT
def test_users_call_the_declared_operations(kind: str) -> None:
    """Sync and async hubs have the operations that a contract declares, with their parameters."""
    declaration = contract(kind)
    name = kind.capitalize()
    flows = importlib.import_module(f"moorage.operations.{kind}")
    for mode in ("", "Async"):
        users_class = getattr(operations, f"{mode}{name}")
        for operation in declaration.operation_effects():
            method = inspect.signature(getattr(users_class, operation))
            flow = inspect.signature(getattr(getattr(flows, f"{name}Flows"), operation))
            assert flow.parameters == method.parameters
    assert inspect.getdoc(declaration) == inspect.getdoc(getattr(operations, name))
    assert callable(getattr(Hub, kind))
    assert callable(getattr(AsyncHub, kind))


@EACH_CONTRACT
def test_scenarios_exist_for_each_contract(kind: str) -> None:
    """Each contract has scenarios that test its vendors, and at least one for each capability."""
    assert BASIC[kind]
    assert set(contract(kind).capabilities) == BY_CAPABILITY[kind].keys()


def vendor_methods() -> list[tuple[str, ContractOperation]]:
    """Return the declared operations that each vendor implements."""
    return [
        (name, member)
        for name in vendor_names()
        for kind in vendor_class(name).kinds
        for member in contract(kind).operations().values()
        if hasattr(vendor_class(name), member.verb)
    ]


@pytest.mark.untraced
@pytest.mark.parametrize(
    "name, operation", vendor_methods(), ids=lambda value: getattr(value, "name", value)
)
def test_vendors_take_the_declared_arguments(name: str, operation: ContractOperation) -> None:
    """A vendor's method has the parameters that its operation's declaration requires."""
    require_declared_parameters(vendor_class(name), operation)
