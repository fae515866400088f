"""The types in the declaration of a contract, and the fields of its values.

Declarations and values import most types for type checkers alone, so the names are looked up in the
import statements of their modules.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import import_module
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    NoReturn,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

from moorage.contracts.catalog import contract
from moorage.contracts.declaration import Effect, Target
from moorage.contracts.ref import Ref
from moorage.domain.values.money import Money
from moorage.errors import ConfigurationError, ConnectorError
from moorage.runtime.flows import run_now
from moorage.testing.sandbox_scenarios import BASIC, BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from moorage.contracts.declaration import ContractOperation
    from moorage.testing.sandbox_scenarios.runner import Scenario

_INTERNAL_FIELDS: Final = frozenset({"extra", "raw", "replayed"})
"""Fields of values that no vendor gets or answers."""
_ATOMIC_CLASSES: Final = frozenset({Money, Ref})
"""The values that are sent as one."""
_REF: Final = Ref("acme", "acme", "1")


@attrs.frozen
class ValueField:
    """A field of a value, or a parameter of an operation.

    Attributes:
        name: the field's name.
        type: the field's type without None.
        required: True if it has no default.
        optional: True if it may be None.
        others: True if it may be a value of another class.
    """

    name: str
    type: Any
    required: bool
    optional: bool
    others: bool


@attrs.frozen(kw_only=True)
class DeclaredOperation:
    """An operation that every vendor of a contract has.

    Attributes:
        verb: name of the vendor's method.
        only_reads: True if it changes nothing at the vendor.
        by_reference: True if its first parameter is a reference.
        values: the operation's other positional parameters.
        named: the operation's keyword parameters.
        result: the class of its result; None if it has none.
    """

    verb: str
    only_reads: bool
    by_reference: bool
    values: tuple[ValueField, ...]
    named: tuple[ValueField, ...]
    result: Any


def too_complex(name: str) -> ConfigurationError:
    """Return the error for a contract that is too complex to generate a vendor for."""
    return ConfigurationError(
        f"{name} is too complex to write a vendor from the declaration of its contract.",
        path="choice",
        remedy="Give the contract a template in scaffold/templates.",
    )


@attrs.frozen
class ScenarioCall:
    """The first call that a contract's scenario makes.

    Attributes:
        operation: the operation that it calls.
        arguments: the operation's arguments that are not None, by name; without the reference that
            the operation is about.
    """

    operation: ContractOperation
    arguments: Mapping[str, Any]

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that the call needs."""
        return self.needs_with({})

    def needs_with(self, others: Mapping[str, Any]) -> frozenset[str]:
        """Return the capabilities that the call needs with other values of some arguments."""
        refs = [_REF] if self.operation.target is Target.REFERENCE else []
        requirements = self.operation.plan(None, *refs, **{**self.arguments, **others})
        return self.operation.needs.union(requirements.needs)


@attrs.frozen
class DeclaredContract:
    """The parts of a contract's declaration from which the code of a vendor is generated.

    Attributes:
        operations: the operations that the basic scenarios call.
        needs: the capabilities without which a vendor cannot do them, in order.
        optional_fields: the fields that need a further capability, each with the class of its
            value; of a parameter, the name of its operation.
        steps: the operations or fields to add for each further capability, as code.
    """

    operations: tuple[DeclaredOperation, ...]
    needs: tuple[str, ...]
    optional_fields: frozenset[tuple[Any, str]]
    steps: Mapping[str, str]


def declared_contract(kind: str) -> DeclaredContract:
    """Return the parts of a contract from which the code of a vendor is generated.

    Raises:
        ConfigurationError: a basic scenario needs a sandbox of its contract, or a flow.
    """
    calls = [first_call(kind, scenario) for scenario in BASIC[kind].values()]
    basic_calls = [call for call in calls if call is not None]
    if len(basic_calls) < len(calls):
        raise too_complex(f"A basic scenario of the contract {kind}")
    names = {name for names in BASIC[kind] for name in names.split(", ")}
    names |= {call.operation.verb for call in basic_calls}
    needs = {capability for call in basic_calls for capability in call.needs}
    basic_fields = {field for call in basic_calls for field in _set_fields(call)}
    optional_fields: set[tuple[Any, str]] = set()
    steps: dict[str, str] = {}
    for capability, scenario in BY_CAPABILITY[kind].items():
        call = first_call(kind, scenario)
        if capability in needs or call is None:
            continue
        if call.operation.verb not in names:
            steps[capability] = f"write `{call.operation.verb}`"
            continue
        needed_fields = [
            field
            for field in dict.fromkeys(_set_fields(call, basic_fields))
            if field not in basic_fields and _is_optional(basic_calls, call, field)
        ]
        optional_fields.update(needed_fields)
        if needed_fields:
            steps[capability] = "send " + ", ".join(f"`{name}`" for _, name in needed_fields)
    return DeclaredContract(
        operations=tuple(
            _declared_operation(operation)
            for name, operation in contract(kind).operations().items()
            if name in names
        ),
        needs=tuple(item for item in contract(kind).capabilities if item in needs),
        optional_fields=frozenset(optional_fields),
        steps=steps,
    )


def first_call(kind: str, scenario: Scenario) -> ScenarioCall | None:
    """Return the first operation that a scenario calls; None if it first uses something else."""
    fixture = SandboxFixture(options={})
    operations = _Operations(contract(kind).operations())
    vendor = ScenarioVendor(operations=operations, fixture=fixture, name="acme", is_supported=False)
    try:
        run_now(_perform(scenario, vendor))
    except _CalledError as called:
        return called.call
    except (AttributeError, ConnectorError, KeyError):
        return None
    return None


async def _perform(scenario: Scenario, vendor: ScenarioVendor) -> None:
    await scenario(vendor)


class _CalledError(Exception):
    """Raised by a scenario's first call, to end the scenario.

    Attributes:
        call: the call; None if it calls a flow.
    """

    def __init__(self, call: ScenarioCall | None) -> None:
        super().__init__()
        self.call = call


class _Operations:
    """Fake operations that end a scenario at its first call."""

    def __init__(self, operations: Mapping[str, ContractOperation]) -> None:
        self._operations = operations

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        def call(*arguments: Any, **named: Any) -> NoReturn:
            operation = self._operations.get(name)
            if operation is None:
                raise _CalledError(None)
            bound = inspect.signature(operation.plan).bind(None, *arguments, **named)
            is_about_ref = operation.target is Target.REFERENCE
            entries = list(bound.arguments.items())[1 + is_about_ref :]
            present = {name: value for name, value in entries if value is not None}
            raise _CalledError(ScenarioCall(operation, present))

        return call


def _set_fields(
    call: ScenarioCall, basic_fields: Container[Any] | None = None
) -> Iterator[tuple[Any, str]]:
    """Yield the parameters of a call, and the fields of its values that differ from defaults.

    Args:
        call: the call.
        basic_fields: the fields whose values are searched too; by default all.
    """
    for name, value in call.arguments.items():
        yield call.operation.verb, name
        if basic_fields is None or (call.operation.verb, name) in basic_fields:
            yield from _set_members(value, basic_fields)


def _set_members(value: Any, basic_fields: Container[Any] | None) -> Iterator[tuple[Any, str]]:
    kind: Any = value.__class__
    if isinstance(value, tuple):
        for item in value:  # pyright: ignore[reportUnknownVariableType]  # any content
            yield from _set_members(item, basic_fields)
    elif attrs.has(kind) and kind not in _ATOMIC_CLASSES:
        for field in attrs.fields(kind):
            member = getattr(value, field.name)
            if not field.init or member == _default(field.default):
                continue
            yield kind, field.name
            if basic_fields is None or (kind, field.name) in basic_fields:
                yield from _set_members(member, basic_fields)


def _default(default: Any) -> Any:
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]  # a class in types


def _is_optional(
    basic_calls: Iterable[ScenarioCall], call: ScenarioCall, field: tuple[Any, str]
) -> bool:
    """Return whether setting this field would require capabilities that the basic calls do not."""
    kind, name = field
    for basic_call in basic_calls:
        for parameter, value in basic_call.arguments.items():
            if type(value) is not kind or parameter not in call.arguments:
                continue
            try:
                changed = attrs.evolve(value, **{name: getattr(call.arguments[parameter], name)})
            except ConnectorError:
                return True
            return bool(basic_call.needs_with({parameter: changed}) - basic_call.needs)
    return True


def _declared_operation(operation: ContractOperation) -> DeclaredOperation:
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
    """Return the fields of a value in a request or response of a vendor."""
    hints = get_type_hints(kind, localns=_names(kind.__module__))
    return [
        _field(field.name, hints[field.name], required=field.default is attrs.NOTHING)
        for field in attrs.fields(kind)
        if field.init and field.name not in _INTERNAL_FIELDS
    ]


def item_of(kind: Any) -> Any:
    """Return the item type of a tuple or sequence type; None for any other type."""
    origin = get_origin(kind)
    is_series = isinstance(origin, type) and origin is not type and not is_mapping(kind)
    return get_args(kind)[0] if is_series and len(set(get_args(kind)) - {...}) == 1 else None


def is_mapping(kind: Any) -> bool:
    """Return whether a type is a mapping."""
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def is_word(kind: Any) -> bool:
    """Return whether a type is an enumeration of strings."""
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def _field(name: str, kind: Any, *, required: bool) -> ValueField:
    is_union = get_origin(kind) in {Union, UnionType}
    types = get_args(kind) if is_union else (kind,)
    # Other types of a union are converted to its first type.
    used_type, *other_types = (item for item in types if item is not NoneType)
    others = any(map(attrs.has, other_types))
    is_optional = NoneType in types
    return ValueField(name, used_type, required=required, optional=is_optional, others=others)


@cache
def _names(module_name: str) -> dict[str, Any]:
    """Return the names in a module, including those imported only for type checkers."""
    module = import_module(module_name)
    names = dict(vars(module))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module not in {None, "__future__"}:
            source = import_module(str(node.module))
            for alias in node.names:
                names.setdefault(alias.asname or alias.name, getattr(source, alias.name, None))
    return names
