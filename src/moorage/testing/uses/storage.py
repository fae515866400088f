"""Example calls to storage vendors."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.storage import ByteRange, PutOptions, StorageCapability
from moorage.testing.uses.asking import given

if TYPE_CHECKING:
    from moorage.testing.uses.asking import At, Use

KEY: Final = "a.txt"
KEYS: Final = (KEY, "b.txt")
"""What the files are called."""


async def kept(at: At, **fields: Any) -> Any:
    """A file that is kept in a special way."""
    return await at("upload", KEY, b"Hello.", PutOptions(**fields))


async def part(at: At) -> Any:
    """Some of a file."""
    if at.able:
        await kept(at)
    download = await at("download", KEY, range=ByteRange(1, 3))
    return await given(download.read_all()) == b"ell"


async def changed(at: At) -> Any:
    """A file only if it is another."""
    tag = (await kept(at)).etag if at.able else "1"
    return not (await at("download", KEY, if_none_match=tag)).modified


async def labelled(at: At) -> Any:
    """A file with words of ours."""
    await kept(at, metadata={"invoice": "7"})
    return (await at("head", KEY)).metadata == {"invoice": "7"}


async def begun(at: At) -> Any:
    """An upload in parts."""
    upload = await at("start_upload", KEY)
    await at("abort_upload", upload.ref)
    return True


async def stale(at: At) -> Any:
    """List unfinished uploads."""
    if at.able:
        await at("start_upload", KEY)
    return await at("list_stale_uploads", older_than=timedelta(0))


async def copied(at: At) -> Any:
    """Copy an object to another key."""
    if at.able:
        await kept(at)
    await at("copy", KEY, "b.txt")
    return await at("exists", "b.txt")


async def version(at: At) -> Any:
    """A file as it was before."""
    before = "1"
    if at.able:
        before = (await at("upload", KEY, b"Before.")).version
        await at("upload", KEY, b"After.")
    return await given((await at("download", KEY, version=before)).read_all()) == b"Before."


async def signed(at: At) -> Any:
    """Return a signed URL for a browser."""
    return (await at("signed_url", KEY, expires=60)).url


async def form(at: At) -> Any:
    """Return an upload form for a browser."""
    return (await at("signed_post", KEY, expires=60, largest=100)).url


async def whole(at: At) -> Any:
    """A file that is written, read, listed and deleted."""
    await kept(at)
    read = await given((await at("download", KEY)).read_all())
    await at("head", KEY)
    page = await at("list", prefix="a")
    await at("delete", KEY)
    await at("delete_many", [KEY])
    return read == b"Hello." and page


BASIC: Final[dict[str, Use]] = {"upload, download, head, list, delete": whole}

ABLE: Final[dict[str, Use]] = {
    StorageCapability.RANGE: part,
    StorageCapability.CONDITIONAL_GET: changed,
    StorageCapability.CONDITIONAL_PUT: partial(kept, if_none_match="*"),
    StorageCapability.METADATA: labelled,
    StorageCapability.MULTIPART: begun,
    StorageCapability.STALE_UPLOADS: stale,
    StorageCapability.COPY: copied,
    StorageCapability.VERSIONS: version,
    StorageCapability.TAGS: partial(kept, tags={"a": "b"}),
    StorageCapability.VISIBILITY: partial(kept, visibility="public"),
    StorageCapability.STORAGE_CLASS: lambda at: kept(
        at, storage_class=at.trade.words.get("storage_class", "COLD")
    ),
    StorageCapability.ENCRYPTION: lambda at: kept(
        at, encryption=at.trade.words.get("encryption", "AES256")
    ),
    StorageCapability.SIGNED_URL: signed,
    StorageCapability.SIGNED_POST: form,
}
