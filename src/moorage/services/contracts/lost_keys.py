"""Closing a payment whose stored request or answer cannot be decrypted any more."""

from __future__ import annotations

from moorage.errors import InvalidData


def check_reason(reason: str) -> None:
    """Refuse an empty reason for closing a payment whose stored data cannot be decrypted.

    Raises:
        InvalidData: the reason is empty.
    """
    if not reason.strip():
        raise InvalidData(
            "Closing a payment whose encryption keys are lost needs a reason, because nobody"
            " can check the stored data later.",
            field="reason",
            remedy="Give a reason for the audit trail: how the keys were lost, and where you"
            " looked up the outcome.",
        )


def readable_here(operation: str) -> InvalidData:
    """Return the error if this process can read a payment that was reported as unreadable."""
    return InvalidData(
        f"What is stored about this {operation} can be read here, so that its keys are not lost.",
        field="keys_lost",
        remedy="Close it without `keys_lost`.",
    )
