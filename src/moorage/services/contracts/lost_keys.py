"""The conditions for closing a payment without the keys that sealed its request or its answer."""

from __future__ import annotations

from moorage.errors import InvalidData


def check_reason(reason: str) -> None:
    """Refuse to close a payment without its evidence unless a person says why.

    Raises:
        InvalidData: the reason is empty.
    """
    if not reason.strip():
        raise InvalidData(
            "A payment whose keys are lost is closed without what is stored about it, and nobody"
            " can verify that later.",
            field="reason",
            remedy="Give a reason for the audit trail: how the keys were lost, and where you"
            " looked up the outcome.",
        )


def readable_here(operation: str) -> InvalidData:
    """Return the error for a payment whose keys are said to be lost although they are here."""
    return InvalidData(
        f"What is stored about this {operation} can be read here, so that its keys are not lost.",
        field="keys_lost",
        remedy="Close it without `keys_lost`.",
    )
