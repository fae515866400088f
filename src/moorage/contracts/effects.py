"""Operations that change something at a vendor, and facts about them that a vendor must state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.catalog import CONTRACTS, contract
from moorage.contracts.declaration import Effect
from moorage.contracts.vendor import UnknownOutcome
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.contracts.routes import RoutingRequest
    from moorage.contracts.vendor import Vendor
    from moorage.domain.service.settings import Service

_STATEMENT_REMEDY: Final = (
    "State `idempotency = VendorKeys(memory=..., repeat=..., documentation=[...])` in the vendor's"
    " class."
)

_MOVES_MONEY: Final = "payments"
"""The contract that moves money."""


def moves_money(vendor: type[Vendor]) -> bool:
    """True if a vendor moves money, so that its idempotency keys must survive a crash."""
    return _MOVES_MONEY in vendor.kinds


def check_vendor(vendor: type[Vendor]) -> None:
    """Refuse a vendor that does not state how to settle an operation with an unknown outcome.

    Raises:
        ConfigurationError: an operation that moves money has no statement, or is stated to be sent
            again while the vendor states nothing about idempotency keys.
    """
    stated_outcomes = vendor.unknown_outcomes
    undeclared_operations: list[str] = []
    if moves_money(vendor):
        from moorage.contracts.payments import MOVING  # noqa: PLC0415 - few vendors take payments

        undeclared_operations = [
            operation
            for operation, capability in MOVING.items()
            if (capability is None or capability in vendor.capabilities)
            and operation not in stated_outcomes
        ]
    if undeclared_operations:
        raise ConfigurationError(
            f"The vendor {vendor.name} does not state what happens if these operations are"
            f" repeated after an unknown outcome: {', '.join(undeclared_operations)}.",
            path="unknown_outcomes",
            remedy="State an UnknownOutcome for each in `unknown_outcomes` of the vendor's class.",
        )
    repeated_operations = [
        item for item in stated_outcomes if stated_outcomes[item] is UnknownOutcome.ASKED_AGAIN
    ]
    if repeated_operations and vendor.idempotency is None:
        raise ConfigurationError(
            f"The vendor {vendor.name} states that {', '.join(repeated_operations)} may be repeated"
            f" after an unknown outcome, but does not state how it treats idempotency keys.",
            path="idempotency",
            remedy=_STATEMENT_REMEDY,
        )


def check_keys(vendor: Vendor, service: Service) -> None:
    """Refuse a service that sends idempotency keys unless its vendor states how it treats them.

    Raises:
        ConfigurationError: the vendor states nothing, or forgets keys sooner than the service
            needs.
    """
    if service.idempotency_header is None:
        return
    stated_keys = vendor.idempotency
    if stated_keys is None:
        raise ConfigurationError(
            f"The vendor {vendor.name} accepts idempotency keys, but does not state how long it"
            " remembers them.",
            path="idempotency",
            remedy=_STATEMENT_REMEDY,
        )
    memory = service.idempotency_memory
    if memory is not None and memory > stated_keys.memory:
        raise ConfigurationError(
            f"A service of the vendor {vendor.name} relies on idempotency keys for {memory:g}"
            f" seconds, but the vendor remembers them for only {stated_keys.memory:g} seconds.",
            path="idempotency_memory",
            remedy="Pass **self.idempotency.settings where the vendor class creates the service.",
        )


def has_effect(request: RoutingRequest) -> bool:
    """True if the operation changes something at a vendor."""
    if request.effect is not None:
        return request.effect
    effects = contract(request.kind).operation_effects() if request.kind in CONTRACTS else {}
    return effects.get(request.operation) is not Effect.NONE
