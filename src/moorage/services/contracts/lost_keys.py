"""Conditions for closing a payment whose stored request or answer cannot be decrypted."""

from __future__ import annotations

from moorage.errors import InvalidData


def check_reason(reason: str) -> None:
    """Raise an error if no reason is given for closing a payment without its evidence.

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
    """Return the error for closing a payment as unreadable although it can be read here."""
    return InvalidData(
        f"What is stored about this {operation} can be read here, so that its keys are not lost.",
        field="keys_lost",
        remedy="Close it without `keys_lost`.",
    )
