"""The stored form of publish results, for repeats of their idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.idempotency.refusals import pack_refusal, unpack_refusal
from moorage.domain.messages.message import PublishReceipt
from moorage.domain.values.result import Result, Results
from moorage.errors import ConnectorError, VendorFailed

if TYPE_CHECKING:
    from collections.abc import Iterable


def pack_receipt(receipt: PublishReceipt) -> dict[str, Any]:
    """Return a publish receipt as plain values."""
    return attrs.asdict(receipt)


def unpack_receipt(stored: Any) -> PublishReceipt:
    """Return the publish receipt in plain values that `pack_receipt` returned.

    Raises:
        TypeError: the values are not a packed receipt.
    """
    return PublishReceipt(**stored)


def pack_results(results: Iterable[Result[PublishReceipt]]) -> tuple[Any, ...]:
    """Return the results of a published batch as plain values."""
    return tuple(
        pack_receipt(result.unwrap()) if result.error is None else pack_error(result.error)
        for result in results
    )


def unpack_results(stored: Any) -> Results[PublishReceipt]:
    """Return the results of a published batch from the plain values of `pack_results`.

    Raises:
        TypeError, ValueError: the values are not a packed batch.
    """
    return Results(
        Result(error=unpack_refusal(item))
        if isinstance(item, bytes)
        else Result(unpack_receipt(item))
        for item in stored
    )


def pack_error(error: Exception) -> bytes:
    """Encode one message's error for the store; for a foreign error, only its class."""
    if not isinstance(error, ConnectorError):
        error = VendorFailed(f"The client library raised {type(error).__name__}.")
    return pack_refusal(error)
