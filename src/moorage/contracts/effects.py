"""What the operations of the contracts bring about, and what vendors must state because of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts import email, payments, shipping, sms, storage
from moorage.contracts.vendor import UnknownOutcome
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.routes import Asked
    from moorage.contracts.vendor import Vendor
    from moorage.domain.service import Service

_STATE_IT: Final = (
    "State `idempotency = VendorKeys(memory=..., repeat=..., documentation=[...])` in the vendor's"
    " class."
)

ASKING: Final[Mapping[str, frozenset[str]]] = {
    email.KIND: frozenset({"validate_address", "get_statistics"}),
    sms.KIND: frozenset({"get", "validate_number", "check_balance"}),
    payments.KIND: frozenset({"get", "get_refund", "payments", "disputes", "payouts"}),
    shipping.KIND: frozenset(
        {"get_rates", "get_shipment", "get_label", "track", "track_shipment", "validate_address"}
    ),
    storage.KIND: frozenset({"head", "exists", "list", "list_stale_uploads", "download"}),
}
"""By contract, the names of operations."""


MOVING: Final[Mapping[str, Mapping[str, str | None]]] = {payments.KIND: payments.MOVING}
"""By contract that moves money, the operations that do, and the capability each needs."""


def moves_money(vendor: type[Vendor]) -> bool:
    """Whether a vendor fills a contract that moves money; then its keys must outlive a crash."""
    return any(kind in MOVING for kind in vendor.kinds)


def check_vendor(vendor: type[Vendor]) -> None:
    """Refuse a vendor that does not state what becomes of an unknown outcome.

    Raises:
        ConfigurationError: an operation that moves money says nothing, or is to be asked again at a
            vendor that states nothing of keys.
    """
    stated = vendor.unknown_outcomes
    wanted = [
        operation
        for kind in vendor.kinds
        for operation, capability in MOVING.get(kind, {}).items()
        if capability is None or capability in vendor.capabilities
    ]
    missing = [operation for operation in wanted if operation not in stated]
    if missing:
        raise ConfigurationError(
            f"The vendor {vendor.name} does not state what a repeat does after an unknown outcome"
            f" of: {', '.join(missing)}.",
            path="unknown_outcomes",
            remedy="State an UnknownOutcome for each in `unknown_outcomes` of the vendor's class.",
        )
    asked = [one for one in stated if stated[one] is UnknownOutcome.ASKED_AGAIN]
    if asked and vendor.idempotency is None:
        raise ConfigurationError(
            f"The vendor {vendor.name} is asked again after an unknown outcome of"
            f" {', '.join(asked)}, and does not state how it treats idempotency keys.",
            path="idempotency",
            remedy=_STATE_IT,
        )


def check_keys(vendor: Vendor, service: Service) -> None:
    """Refuse a service of a vendor that takes keys, unless the vendor states how it treats them.

    Raises:
        ConfigurationError: it states nothing, or a shorter memory than the service has.
    """
    if service.idempotency_header is None:
        return
    stated = vendor.idempotency
    if stated is None:
        raise ConfigurationError(
            f"The vendor {vendor.name} takes idempotency keys, and does not state how long it"
            " remembers them.",
            path="idempotency",
            remedy=_STATE_IT,
        )
    memory = service.idempotency_memory
    if memory is not None and memory > stated.memory:
        raise ConfigurationError(
            f"A service of the vendor {vendor.name} counts on keys for {memory:g} seconds, and the"
            f" vendor states {stated.memory:g}.",
            path="idempotency_memory",
            remedy="Make the service with **idempotency.settings of the vendor's class.",
        )


def has_effect(asked: Asked) -> bool:
    """Whether an operation brings something about at a vendor."""
    if asked.effect is not None:
        return asked.effect
    return asked.operation not in ASKING.get(asked.kind, frozenset())
