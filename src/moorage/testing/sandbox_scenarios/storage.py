"""Example calls to storage vendors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.storage import ByteRange, PutOptions, StorageCapability
from moorage.testing.sandbox_scenarios.runner import await_if_needed

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

KEY: Final = "a.txt"
KEYS: Final = (KEY, "b.txt")
"""The keys of the files."""


async def upload(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Upload a file with these options."""
    return await vendor("upload", KEY, b"Hello.", PutOptions(**fields))


async def download_part(vendor: ScenarioVendor) -> Any:
    """Download a part of a file."""
    if vendor.is_supported:
        await upload(vendor)
    download = await vendor("download", KEY, range=ByteRange(1, 3))
    return await await_if_needed(download.read_all()) == b"ell"


async def download_if_changed(vendor: ScenarioVendor) -> Any:
    """Download a file only if it has changed."""
    tag = (await upload(vendor)).etag if vendor.is_supported else "1"
    return not (await vendor("download", KEY, if_none_match=tag)).modified


async def upload_with_metadata(vendor: ScenarioVendor) -> Any:
    """Store metadata with a file."""
    await upload(vendor, metadata={"invoice": "7"})
    return (await vendor("head", KEY)).metadata == {"invoice": "7"}


async def abort_upload(vendor: ScenarioVendor) -> Any:
    """Start and abort an upload in parts."""
    started_upload = await vendor("start_upload", KEY)
    await vendor("abort_upload", started_upload.ref)
    return True


async def list_stale_uploads(vendor: ScenarioVendor) -> Any:
    """List unfinished uploads."""
    if vendor.is_supported:
        await vendor("start_upload", KEY)
    return await vendor("list_stale_uploads")


async def copy(vendor: ScenarioVendor) -> Any:
    """Copy an object to another key."""
    if vendor.is_supported:
        await upload(vendor)
    await vendor("copy", KEY, "b.txt")
    return await vendor("exists", "b.txt")


async def download_version(vendor: ScenarioVendor) -> Any:
    """Download an earlier version of a file."""
    earlier_version = "1"
    if vendor.is_supported:
        earlier_version = (await vendor("upload", KEY, b"Before.")).version
        await vendor("upload", KEY, b"After.")
    return (
        await await_if_needed((await vendor("download", KEY, version=earlier_version)).read_all())
        == b"Before."
    )


async def signed_url(vendor: ScenarioVendor) -> Any:
    """Return a signed URL for a browser."""
    return (await vendor("signed_url", KEY, expires=60)).url


async def signed_post(vendor: ScenarioVendor) -> Any:
    """Return a signed upload form for a browser."""
    return (await vendor("signed_post", KEY, expires=60, largest=100)).url


async def public_url(vendor: ScenarioVendor) -> Any:
    """Return a file's public URL."""
    return (await vendor("public_url", KEY)).endswith(f"/{KEY}")


async def create_container(vendor: ScenarioVendor) -> Any:
    """Create, list and delete a container."""
    await vendor("create_container", "acme-archive")
    containers = await vendor("list_containers")
    await vendor("delete_container", "acme-archive")
    return "acme-archive" in {container.name for container in containers}


async def round_trip(vendor: ScenarioVendor) -> Any:
    """Upload, download, list and delete a file."""
    await upload(vendor)
    content = await await_if_needed((await vendor("download", KEY)).read_all())
    await vendor("head", KEY)
    page = await vendor("list", prefix="a")
    await vendor("delete", KEY)
    await vendor("delete_many", [KEY])
    return content == b"Hello." and page


BASIC: Final[dict[str, Scenario]] = {"upload, download, head, list, delete": round_trip}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    StorageCapability.RANGE: download_part,
    StorageCapability.CONDITIONAL_GET: download_if_changed,
    StorageCapability.CONDITIONAL_PUT: partial(upload, if_none_match="*"),
    StorageCapability.METADATA: upload_with_metadata,
    StorageCapability.MULTIPART: abort_upload,
    StorageCapability.STALE_UPLOADS: list_stale_uploads,
    StorageCapability.COPY: copy,
    StorageCapability.VERSIONS: download_version,
    StorageCapability.TAGS: partial(upload, tags={"a": "b"}),
    StorageCapability.VISIBILITY: partial(upload, visibility="public"),
    StorageCapability.STORAGE_CLASS: lambda vendor: upload(
        vendor, storage_class=vendor.fixture.vendor_values.get("storage_class", "COLD")
    ),
    StorageCapability.ENCRYPTION: lambda vendor: upload(
        vendor, encryption=vendor.fixture.vendor_values.get("encryption", "AES256")
    ),
    StorageCapability.SIGNED_URL: signed_url,
    StorageCapability.SIGNED_POST: signed_post,
    StorageCapability.PUBLIC_URL: public_url,
    StorageCapability.CONTAINERS: create_container,
}
