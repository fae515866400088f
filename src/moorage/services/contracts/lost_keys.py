"""Closes a payment whose stored request or response can no longer be decrypted."""

from __future__ import annotations

from moorage.errors import InvalidData


def check_reason(reason: str) -> None:
    """Refuse an empty reason for closing a payment whose stored data cannot be decrypted.

    Raises:
        InvalidData: the reason is empty.
    """
    if not reason.strip():
        raise InvalidData(
            "A payment cannot be closed with keys_lost without a reason, because the stored"
            " data can no longer be checked.",
            field="reason",
            remedy="Pass a reason for the audit trail: how the keys were lost, and where you"
            " looked up the outcome.",
        )


def readable_here(operation: str) -> InvalidData:
    """Return the error if this process can read a payment that was reported as unreadable."""
    return InvalidData(
        f"The stored data of this {operation} can be decrypted here, so its keys are not lost.",
        field="keys_lost",
        remedy="Close it without `keys_lost`.",
    )
