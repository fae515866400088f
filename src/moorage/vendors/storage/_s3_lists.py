"""The buckets of an account at S3, and the unfinished uploads in a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.vendor_sdk import Request, VendorRejected, malformed
from moorage.vendors.storage import _s3_answers as answers
from moorage.vendors.storage import _s3_requests as requests
from moorage.vendors.storage._common import in_order, without_content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.storage import Container, Upload
    from moorage.vendor_sdk import Wire

MOST_KEYS: Final = 1_000
BUCKETS: Final = "buckets"
"""Name of the service whose URL has no bucket."""


async def list_buckets(wire: Wire) -> tuple[Container, ...]:
    """List the buckets of the account, in all regions."""
    containers: list[Container] = []
    token: str | None = None
    while True:
        request = Request.get("/", query={"max-buckets": MOST_KEYS, "continuation-token": token})
        response = await wire.send(request, to=BUCKETS)
        previous_token = token
        page, token = answers.containers(response)
        containers += page
        if token is None:
            return in_order(containers)
        if token == previous_token:
            raise malformed(response, "other ContinuationToken")


async def create_bucket(wire: Wire, name: str, region: str) -> None:
    """Create a bucket, unless the account already has it."""
    try:
        await wire.send(requests.create_bucket(name, region), to=BUCKETS)
    except VendorRejected as error:
        if error.vendor_code != "BucketAlreadyOwnedByYou":
            raise


async def delete_bucket(wire: Wire, name: str) -> None:
    """Delete an empty bucket, if it exists."""
    try:
        without_content(await wire.send(Request.delete(f"/{name}"), to=BUCKETS))
    except VendorRejected as error:
        if error.vendor_code != "NoSuchBucket":
            raise


async def unfinished_uploads(wire: Wire, prefix: str) -> Sequence[Upload]:
    """List the unfinished uploads of objects whose keys have a prefix."""
    uploads: list[Upload] = []
    next_markers: dict[str, str | None] | None = {}
    while next_markers is not None:
        query = {"uploads": "", "encoding-type": "url", "prefix": prefix or None, **next_markers}
        response = await wire.send(Request.get("/", query=query))
        previous_markers = next_markers
        page, next_markers = answers.uploads(wire, response)
        if next_markers == previous_markers:
            raise malformed(response, "other NextKeyMarker")
        uploads += page
    return uploads
