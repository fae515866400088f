"""The containers of an account at Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.vendors.storage import _azure_blob_answers as answers
from moorage.vendors.storage import _azure_blob_requests as requests
from moorage.vendors.storage._common import in_order, without_content

if TYPE_CHECKING:
    from moorage.contracts.storage import Container

_DELETED_CODES: Final = frozenset({"ContainerBeingDeleted", "ContainerNotFound"})
"""Codes of a container that Azure deletes or has deleted, at the request of an earlier call."""


async def list_containers(wire: sdk.Wire) -> tuple[Container, ...]:
    """List the containers of the account."""
    containers: list[Container] = []
    marker: str | None = None
    while True:
        response = await wire.send(requests.listed_containers(marker))
        previous_marker = marker
        page, marker = answers.containers(response)
        containers += page
        if marker is None:
            return in_order(containers)
        if marker == previous_marker:
            raise sdk.malformed(response, "other NextMarker")


async def create_container(wire: sdk.Wire, name: str) -> None:
    """Create a private container, unless it exists."""
    try:
        without_content(await wire.send(requests.created_container(name)))
    except sdk.VendorRejected as error:
        if error.vendor_code != "ContainerAlreadyExists":
            raise


async def delete_empty_container(wire: sdk.Wire, name: str) -> None:
    """Delete a container, if it exists; a container with blobs is refused."""
    try:
        await _check_empty(wire, name)
        without_content(await wire.send(requests.deleted_container(name)))
    except sdk.VendorRejected as error:
        if error.vendor_code not in _DELETED_CODES:
            raise


async def _check_empty(wire: sdk.Wire, name: str) -> None:
    """Read pages until one has a blob; Azure may return empty pages before others."""
    marker: str | None = None
    while True:
        response = await wire.send(requests.contents(name, marker))
        previous_marker = marker
        marker = answers.marker_of_empty_page(wire, response, name)
        if marker is None:
            return
        if marker == previous_marker:
            raise sdk.malformed(response, "other NextMarker")
