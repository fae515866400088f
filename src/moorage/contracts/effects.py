"""Which operations of the contracts only ask. Whatever is not here brings something about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts import email, payments, shipping, sms, storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.routes import Asked

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


def has_effect(asked: Asked) -> bool:
    """Whether an operation brings something about at a vendor."""
    if asked.effect is not None:
        return asked.effect
    return asked.operation not in ASKING.get(asked.kind, frozenset())
