"""Copies of blobs within an account at Azure, which Azure may make in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.vendors.storage import _azure_blob_answers as answers
from moorage.vendors.storage._common import identified

if TYPE_CHECKING:
    from moorage.contracts.storage import ObjectInfo

_PAUSE: Final = 1.0
_MOST_LOOKS: Final = 300
"""Number of polls of a copy that Azure makes in the background."""


async def copied_object(wire: sdk.Wire, path: str, key: str) -> ObjectInfo:
    """Wait for a copy, and return the new object.

    Within an account, a copy is usually complete immediately.

    Raises:
        VendorFailed: Azure did not complete the copy.
    """
    request = sdk.Request.head(path)
    response = await wire.send(request)
    for _ in range(_MOST_LOOKS):
        if response.header("x-ms-copy-status") != "pending":
            break
        await wire.sleep(_PAUSE)
        response = await wire.send(request)
    status = response.header("x-ms-copy-status")
    if status in {None, "success"}:
        return identified(answers.info(wire, key, response.headers), response)
    raise sdk.VendorFailed(
        f"Azure has not completed the copy. Its status is {status}.",
        response=response,
        retryable=False,
        remedy="Check the copy before you make it again.",
    )
