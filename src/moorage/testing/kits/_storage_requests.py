"""Checks of the requests of storage operations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from moorage.contracts.storage import PutOptions, StorageCapability
from moorage.testing.kits._sent_requests import require_no_repeats
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.testing.kits.storage_conformance import Factory


async def each_request_is_sent_once(factory: Factory) -> None:
    """Check that no operation repeats a request itself, because the hub decides on retries."""
    subject = factory()
    if subject.sandbox is None:
        return
    storage, sandbox = subject.storage, subject.sandbox
    base = f"check-{uuid4().hex}/"
    long_bytes = bytes(range(250)) * (2 * subject.part // 250 + 1)

    async def read(key: str) -> bytes:
        content: bytes = await (await storage.download(key)).read_all()
        return content

    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "whole upload": partial(storage.upload, f"{base}a", b"a", PutOptions(content_type="a/b")),
        "large upload": partial(storage.upload, f"{base}b", long_bytes, part_size=subject.part),
        "look at an object": partial(storage.head, f"{base}a"),
        "look whether an object exists": partial(storage.exists, f"{base}none"),
        "download": partial(read, f"{base}a"),
        "copy": partial(storage.copy, f"{base}a", f"{base}c"),
        "copy with options": partial(
            storage.copy, f"{base}a", f"{base}d", PutOptions(content_type="c/d")
        ),
        "list": partial(storage.list, base),
        "beginning of an upload": partial(storage.start_upload, f"{base}e"),
        "deletion": partial(storage.delete, f"{base}a"),
        "deletion of several": partial(storage.delete_many, [f"{base}b", f"{base}c"]),
    }
    if StorageCapability.STALE_UPLOADS in subject.can:
        calls["list of uploads"] = partial(storage.list_stale_uploads, base)
    if StorageCapability.CONTAINERS in subject.can:
        container = f"check-{uuid4().hex}"
        calls["creation of a container"] = partial(storage.create_container, container)
        calls["deletion of a container"] = partial(storage.delete_container, container)
    for name, call in calls.items():
        request_count = len(sandbox.requests)
        await call()
        require_no_repeats(name, sandbox.requests[request_count:])
    require(sandbox.requests, "No request reached the sandbox.")


REQUESTS: Final = (each_request_is_sent_once,)
