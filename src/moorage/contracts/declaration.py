"""Declarations of contracts: a contract is a class, and its methods are the operations.

A declared method has the parameters and the docstring that users see. Its body checks the
arguments and returns the `Requirements` of the operation, from which the account is chosen. It
calls no vendor. Operations that need more than one call at one vendor are flows in
`services.contracts`; the declaration only lists their names.
"""

from __future__ import annotations

import inspect
from enum import Enum
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
)

from moorage.domain.values.frozen_values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from enum import StrEnum
    from types import ModuleType

P = ParamSpec("P")
R = TypeVar("R")

KEY: Final = "idempotency_key"
TIMEOUT: Final = "timeout"
ACCOUNT: Final = "account"
AFTER: Final = "after"
_NO_ARGUMENTS: Final[Mapping[str, Any]] = {}


class Effect(Enum):
    """The effect of an operation at the vendor."""

    NONE = "none"
    """The operation only reads."""
    DEFERRABLE = "deferrable"
    """The operation changes something, and an outbox may store it for later."""
    IMMEDIATE = "immediate"
    """The operation changes something, and its caller needs the result at once."""


_NO_FLOWS: Final[Mapping[str, Effect]] = {}
_NO_VERBS: Final[Mapping[str, str]] = {}


class Target(Enum):
    """The account that an operation uses, and the meaning of the operation's first argument."""

    ROUTED = "routed"
    """The routes choose the account."""
    REFERENCE = "reference"
    """The first argument is a reference: its account is used, and the vendor gets the reference."""
    ACCOUNT = "account"
    """The keyword `account` names an account; without it, the routes choose the account."""
    KEY = "key"
    """The first argument is a key, or a reference with an account; the vendor gets the key."""
    PAGE = "page"
    """The operation returns a page of a list.

    The keyword `after` is the reference that continues a list, and `account` names an account; the
    operation goes there, and to the routed account without both. The vendor gets `after` as its
    last positional argument.
    """


@frozen(kw_only=True)
class Requirements(Generic[R]):
    """The properties of an operation by which routing chooses its account.

    Attributes:
        needs: capabilities that the vendor needs for these arguments, besides the operation's own.
        country: ISO 3166 code of the country, for routes by country.
        currency: ISO 4217 code of the currency, for routes by currency.
        recipients: addresses that the operation sends to; the configuration may forbid them.
        arguments: converted arguments for the vendor, in place of the caller's, by name.
        check_limits: refuses arguments that exceed the limits of the chosen vendor.
    """

    needs: Iterable[str] = ()
    country: str | None = None
    currency: str | None = None
    recipients: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = _NO_ARGUMENTS
    check_limits: Callable[[Mapping[str, int]], None] | None = None


class ContractOperation:
    """A declared operation of a contract; each has a method of the same name for callers.

    Attributes:
        plan: checks the arguments and returns the requirements.
        effect: effect of the operation at the vendor.
        target: account that the operation goes to.
        name: name of the operation.
        verb: name of the vendor's method.
        positional: names of the vendor's positional parameters.
        named: names of the vendor's keyword parameters, except for its `key`.
        keyed: True if the operation accepts an idempotency key.
        requires_key: True if the operation cannot be called without an idempotency key.
        needs: capabilities without which no vendor can do it, as a set of one or none.
    """

    def __init__(
        self,
        plan: Callable[..., Requirements[Any]],
        effect: Effect,
        target: Target,
        verb: str,
        needs: str | None,
    ) -> None:
        self.__doc__ = plan.__doc__
        self.plan = plan
        self.effect = effect
        self.target = target
        self.name = plan.__name__
        self.verb = verb or self.name
        self.needs = frozenset(() if needs is None else (needs,))
        _, *parameters = inspect.signature(plan).parameters.values()
        keyword_names = [item.name for item in parameters if item.kind is item.KEYWORD_ONLY]
        page_parameters = (AFTER,) if target is Target.PAGE else ()
        self.positional = (
            *(item.name for item in parameters if item.name not in keyword_names),
            *page_parameters,
        )
        self.named = tuple(
            name for name in keyword_names if name not in {KEY, TIMEOUT, ACCOUNT, *self.positional}
        )
        self.keyed = KEY in keyword_names
        self.requires_key = any(
            parameter.name == KEY and parameter.default is parameter.empty
            for parameter in parameters
        )
        self._defaults = {
            item.name: item.default for item in parameters if item.default is not item.empty
        }

    def arguments(
        self, values: tuple[Any, ...], options: Mapping[str, Any], converted: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments with which the vendor is called.

        Args:
            values: positional arguments of the caller.
            options: keyword arguments of the caller, without key and timeout.
            converted: arguments that replace the caller's, by name.
        """
        named_arguments = dict(zip(self.positional, values, strict=False))
        all_arguments = {**self._defaults, **named_arguments, **options, **converted}
        positional_arguments = tuple(all_arguments[name] for name in self.positional)
        return positional_arguments, {name: all_arguments[name] for name in self.named}


class OperationDecorator(Protocol):
    """A decorator that turns a declared method into an operation with the method's parameters."""

    def __call__(
        self, plan: Callable[Concatenate[Any, P], Requirements[R]], /
    ) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]: ...


def reads(
    *, target: Target = Target.ROUTED, verb: str = "", needs: str | None = None
) -> OperationDecorator:
    """Declare an operation that changes nothing at the vendor.

    Args:
        target: account that the operation goes to.
        verb: name of the vendor's method, if it has another name.
        needs: capability without which no vendor can do the operation.
    """
    return _declare(Effect.NONE, target, verb, needs)


def changes(
    *,
    target: Target = Target.ROUTED,
    verb: str = "",
    deferrable: bool = True,
    needs: str | None = None,
) -> OperationDecorator:
    """Declare an operation that changes something at the vendor.

    Args:
        target: account that the operation goes to.
        verb: name of the vendor's method, if it has another name.
        deferrable: False if the caller needs the result immediately, so that no outbox may store
            it.
        needs: capability without which no vendor can do the operation.
    """
    return _declare(Effect.DEFERRABLE if deferrable else Effect.IMMEDIATE, target, verb, needs)


def _declare(effect: Effect, target: Target, verb: str, needs: str | None) -> OperationDecorator:
    # Flows replace an operation by a method of the promised type.
    declare: Any = partial(ContractOperation, effect=effect, target=target, verb=verb, needs=needs)
    return cast("OperationDecorator", declare)


class Contract:
    """The base class of declarations.

    The docstring of a declaration is used for its synchronous class for users.

    Attributes:
        kind: name of the contract in configurations, such as "sms".
        capabilities: optional features of its vendors.
        event: class of its events; None if its vendors report none.
        values: modules whose classes a store may keep, besides the declaration's own module.
        flows: operations that are flows in `services.contracts`, with their effects.
        flow_verbs: methods of vendors that only flows call, with the capability without which a
            vendor lacks the method.
    """

    kind: ClassVar[str]
    capabilities: ClassVar[type[StrEnum]]
    event: ClassVar[type | None] = None
    values: ClassVar[tuple[ModuleType, ...]] = ()
    flows: ClassVar[Mapping[str, Effect]] = _NO_FLOWS
    flow_verbs: ClassVar[Mapping[str, str]] = _NO_VERBS

    @classmethod
    def operations(cls) -> dict[str, ContractOperation]:
        """The declared operations, by name."""
        members = [item for base in reversed(cls.__mro__) for item in vars(base).values()]
        return {item.name: item for item in members if isinstance(item, ContractOperation)}

    @classmethod
    def operation_effects(cls) -> dict[str, Effect]:
        """The effect of each operation, by name."""
        declared_effects = {name: item.effect for name, item in cls.operations().items()}
        return {**cls.flows, **declared_effects}

    @classmethod
    def optional_verbs(cls) -> dict[str, str]:
        """The vendor's methods that need a capability, each with this capability."""
        declared_needs = {
            item.verb: capability for item in cls.operations().values() for capability in item.needs
        }
        return {**declared_needs, **cls.flow_verbs}

    @classmethod
    def deferrable(cls) -> frozenset[str]:
        """Names of the operations that an outbox may store."""
        effects = cls.operation_effects()
        return frozenset(name for name in effects if effects[name] is Effect.DEFERRABLE)
