"""The stored form of what a publication returned, for repeats of its idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.idempotency.refusals import pack_refusal, unpack_refusal
from moorage.domain.messages.message import PublishReceipt
from moorage.domain.values.result import Result
from moorage.errors import ConnectorError, VendorFailed

if TYPE_CHECKING:
    from collections.abc import Iterable


def pack_receipt(receipt: PublishReceipt) -> dict[str, Any]:
    """Return a receipt as plain values."""
    return attrs.asdict(receipt)


def unpack_receipt(stored: Any) -> PublishReceipt:
    """Return the receipt of these plain values.

    Raises:
        TypeError: they are not those of a receipt.
    """
    return PublishReceipt(**stored)


def pack_results(results: Iterable[Result[PublishReceipt]]) -> tuple[Any, ...]:
    """Return the results of a batch as plain values."""
    return tuple(
        pack_receipt(result.unwrap()) if result.error is None else pack_error(result.error)
        for result in results
    )


def unpack_results(stored: Any) -> tuple[Result[PublishReceipt], ...]:
    """Return the results of a batch of these plain values.

    Raises:
        TypeError, ValueError: they are not those of a batch.
    """
    return tuple(
        Result(error=unpack_refusal(item))
        if isinstance(item, bytes)
        else Result(unpack_receipt(item))
        for item in stored
    )


def pack_error(error: Exception) -> bytes:
    """Return the error of one message; only the class of a foreign error is stored."""
    if not isinstance(error, ConnectorError):
        error = VendorFailed(f"The client library raised {type(error).__name__}.")
    return pack_refusal(error)
