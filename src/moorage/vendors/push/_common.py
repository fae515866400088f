"""Helpers of push vendors: collapse keys, reserved names and sizes."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from moorage import vendor_sdk as sdk
from moorage.contracts.push import PushMessage, PushPriority

if TYPE_CHECKING:
    import re


def filled(**fields: Any) -> dict[str, Any]:
    """The non-empty fields of a table; None and empty tables are left out."""
    return {name: value for name, value in fields.items() if value is not None and value != {}}


def short_key(key: str | None, *, form: re.Pattern[str], most: int) -> str | None:
    """A collapse key that the push service accepts; a key that does not fit becomes a digest.

    Args:
        key: collapse key of the notification.
        form: pattern that the whole key must match.
        most: number of characters of a digest, at most 43.
    """
    if key is None or form.fullmatch(key) is not None:
        return key
    return urlsafe_b64encode(sha256(key.encode()).digest()).decode()[:most]


def is_urgent(message: PushMessage) -> bool:
    """True if a notification is delivered at once and wakes the device; False for a silent one."""
    return message.priority is PushPriority.HIGH and not message.silent


def check_data(message: PushMessage, vendor: str, reserved: tuple[str, ...]) -> None:
    """Refuse data under a name that the push service reserves.

    Args:
        message: notification with the data.
        vendor: the vendor's name as people write it.
        reserved: beginnings of reserved names; one that ends with a space is a whole name.

    Raises:
        InvalidData: a name is reserved.
    """
    for name in message.app_data:
        if f"{name} ".startswith(reserved):
            raise sdk.InvalidData(
                f"{vendor} reserves the name {name[:80]!r}.",
                field="data",
                remedy="Use another name for this text in `data`.",
            )


def check_size(body: bytes, most: int, vendor: str) -> None:
    """Refuse a notification that is too large for the push service.

    Raises:
        InvalidData: the notification is too large.
    """
    if len(body) > most:
        raise sdk.InvalidData(
            f"The notification has {len(body)} bytes, but {vendor} accepts at most {most}.",
            field="data",
            remedy="Shorten the texts, and let the app fetch the rest.",
        )
