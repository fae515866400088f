"""The types in the declaration of a contract, and the fields of its values.

Declarations and values import most types for type checkers alone, so the names are looked up in the
import statements of their modules.
"""

from __future__ import annotations

import ast
import inspect
from enum import StrEnum
from functools import cache
from importlib import import_module
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Union, get_args, get_origin, get_type_hints

import attrs

from moorage.contracts.catalog import contract
from moorage.contracts.declaration import Effect, Target
from moorage.errors import ConfigurationError
from moorage.runtime.bridge import run_now
from moorage.testing.sandbox_scenarios import BASIC
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from moorage.contracts.declaration import ContractOperation
    from moorage.testing.sandbox_scenarios.runner import Scenario

_NOT_OF_A_VENDOR: Final = frozenset({"extra", "raw", "replayed"})
"""Fields of values that no vendor gets or answers."""


@attrs.frozen
class ValueField:
    """A field of a value, or a parameter of an operation.

    Attributes:
        name: its name.
        type: its type without None.
        required: True if it has no default.
        optional: True if it may be None.
    """

    name: str
    type: Any
    required: bool
    optional: bool


@attrs.frozen(kw_only=True)
class DeclaredOperation:
    """An operation that every vendor of a contract has.

    Attributes:
        verb: name of the vendor's method.
        only_reads: True if it changes nothing at the vendor.
        by_reference: True if its first parameter is a reference.
        values: its other positional parameters.
        named: its keyword parameters.
        result: the class of its result; None if it has none.
    """

    verb: str
    only_reads: bool
    by_reference: bool
    values: tuple[ValueField, ...]
    named: tuple[ValueField, ...]
    result: Any


def too_complex(name: str) -> ConfigurationError:
    """Return the error of a contract that the template of vendors cannot express."""
    return ConfigurationError(
        f"{name} is too complex to write a vendor from the declaration of its contract.",
        path="choice",
        remedy="Give the contract a template in scaffold/templates.",
    )


def basic_operations(kind: str) -> Iterator[DeclaredOperation]:
    """Yield the operations of a contract that its basic scenarios call."""
    declaration = contract(kind)
    names = {name for names in BASIC[kind] for name in names.split(", ")}
    for name, operation in declaration.operations().items():
        if name in names:
            yield _declared(operation)


def basic_needs(kind: str) -> list[str]:
    """Return the capabilities without which a vendor cannot do the basic operations, in order.

    Raises:
        ConfigurationError: a basic scenario needs a sandbox of its contract.
    """
    needs: set[str] = set()
    for scenario in BASIC[kind].values():
        operations = _FirstCall(contract(kind).operations())
        fixture = SandboxFixture(options={})
        vendor = ScenarioVendor(
            operations=operations, fixture=fixture, name="acme", is_supported=False
        )
        try:
            run_now(_perform(scenario, vendor))
        except _CalledError:
            pass
        except AttributeError:
            raise too_complex(f"The sandbox of the contract {kind}") from None
        needs |= operations.needs
    return [capability for capability in contract(kind).capabilities if capability in needs]


async def _perform(scenario: Scenario, vendor: ScenarioVendor) -> None:
    await scenario(vendor)


class _CalledError(Exception):
    """Ends a scenario at its first call."""


class _FirstCall:
    """Operations that record what the first call needs, and then end the scenario.

    Attributes:
        needs: the capabilities that the call needs.
    """

    def __init__(self, operations: Mapping[str, ContractOperation]) -> None:
        self._operations = operations
        self.needs: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        def call(*arguments: Any, **named: Any) -> NoReturn:
            operation = self._operations.get(name)
            if operation is not None:
                self.needs = frozenset(operation.plan(None, *arguments, **named).needs)
            raise _CalledError

        return call


def _declared(operation: ContractOperation) -> DeclaredOperation:
    hints = get_type_hints(operation.plan, localns=_names(operation.plan.__module__))
    parameters = inspect.signature(operation.plan).parameters
    by_reference = operation.target is Target.REFERENCE
    values = operation.positional[by_reference:]
    fields = {
        name: _field(
            name, hints[name], required=parameters[name].default is inspect.Signature.empty
        )
        for name in (*values, *operation.named)
    }
    (result,) = get_args(hints["return"])
    return DeclaredOperation(
        verb=operation.verb,
        only_reads=operation.effect is Effect.NONE,
        by_reference=by_reference,
        values=tuple(fields[name] for name in values),
        named=tuple(fields[name] for name in operation.named),
        result=None if result is NoneType else result,
    )


def fields_of(kind: Any) -> list[ValueField]:
    """Return the fields of a value that a vendor sends or answers."""
    hints = get_type_hints(kind, localns=_names(kind.__module__))
    return [
        _field(field.name, hints[field.name], required=field.default is attrs.NOTHING)
        for field in attrs.fields(kind)
        if field.init and field.name not in _NOT_OF_A_VENDOR
    ]


def item_of(kind: Any) -> Any:
    """Return the type of the items of a tuple or sequence; None if the type is another."""
    origin = get_origin(kind)
    is_series = isinstance(origin, type) and origin not in {dict, type}
    return get_args(kind)[0] if is_series and len(set(get_args(kind)) - {...}) == 1 else None


def is_word(kind: Any) -> bool:
    """Return whether a type is an enumeration of texts."""
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def _field(name: str, kind: Any, *, required: bool) -> ValueField:
    is_union = get_origin(kind) in {Union, UnionType}
    types = get_args(kind) if is_union else (kind,)
    # The first type of a union is the one that others are converted to.
    used_type = next(item for item in types if item is not NoneType)
    return ValueField(name, used_type, required=required, optional=NoneType in types)


@cache
def _names(module_name: str) -> dict[str, Any]:
    """Return the names in a module, with those that it imports for type checkers alone."""
    module = import_module(module_name)
    names = dict(vars(module))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module not in {None, "__future__"}:
            source = import_module(str(node.module))
            for alias in node.names:
                names.setdefault(alias.asname or alias.name, getattr(source, alias.name, None))
    return names
