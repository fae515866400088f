"""A program that transfers a large object and prints the growth of its own memory.

`python -m tests.storage.volume 1024 s3` does so with a gigabyte, and with a sandbox beside it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.storage.azure_blob import AzureBlobSandbox
from moorage.testing.sandboxes.storage.gcs import GcsSandbox
from moorage.testing.sandboxes.storage.s3 import S3Sandbox
from moorage.wiring.installed_vendors import vendor_class

if TYPE_CHECKING:
    from collections.abc import Iterator

MEGABYTE = 1024 * 1024


def peak_memory() -> int:
    """Return this process's peak memory since the last reset, in bytes."""
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def reset_peak_memory() -> None:
    """Reset the measured peak memory."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def main(megabytes: int, vendor: str, options: dict[str, Any]) -> None:
    """Upload and download an object of this size, and print the growth of memory in bytes."""
    block = bytes(range(256)) * (MEGABYTE // 256)
    put, result = hashlib.sha256(), hashlib.sha256()

    def source() -> Iterator[bytes]:
        for number in range(megabytes):
            piece = number.to_bytes(8, "big") + block[8:]
            put.update(piece)
            yield piece

    with Hub([Account(vendor, vendor_class(vendor)(**options))]) as hub:
        storage = hub.storage()
        storage.upload("warm", b"x" * MEGABYTE)
        storage.download("warm").read_all()
        reset_peak_memory()
        peak_before, start_time = peak_memory(), time.monotonic()
        storage.upload("long", source)
        upload_growth, upload_end = peak_memory() - peak_before, time.monotonic()
        size = 0
        for piece in storage.download("long"):
            result.update(piece)
            size += len(piece)
        download_growth = peak_memory() - peak_before
        end_time = time.monotonic()
    is_whole = size == megabytes * MEGABYTE and put.digest() == result.digest()
    print(  # noqa: T201 - its answer
        is_whole,
        upload_growth,
        download_growth,
        f"{upload_end - start_time:.1f}",
        f"{end_time - upload_end:.1f}",
    )


def over_s3(sandbox: S3Sandbox, url: str) -> dict[str, Any]:
    """Return the options of an account at a running S3 sandbox."""
    key = sandbox.key
    return {
        "bucket": sandbox.bucket,
        "endpoint": url,
        "access_key_id": key.id,
        "credentials": key.secret,
    }


def over_gcs(sandbox: GcsSandbox, url: str) -> dict[str, Any]:
    """Return the options of an account at a running Google sandbox."""
    key = sandbox.key_file(f"{url}/token")
    return {"bucket": sandbox.bucket, "endpoint": url, "credentials": key}


def over_azure(sandbox: AzureBlobSandbox, url: str) -> dict[str, Any]:
    """Return the options of an account at a running Azure sandbox."""
    return {
        "account": sandbox.account.name,
        "container": sandbox.container,
        "credentials": sandbox.account.key,
        "endpoint": url,
    }


VENDORS: dict[str, tuple[Any, Any]] = {
    "azure_blob": (AzureBlobSandbox, over_azure),
    "gcs": (GcsSandbox, over_gcs),
    "s3": (S3Sandbox, over_s3),
}
"""The sandbox of each vendor, and the account there."""


def measure(megabytes: int, vendor: str) -> list[str]:
    """Run a measurement with this size and vendor in a separate process, and return it."""
    make, options_of = VENDORS[vendor]
    harness = make()
    command = [sys.executable, "-m", "tests.storage.volume", str(megabytes), vendor, "there"]
    try:
        with harness.serving() as server:
            value = json.dumps(options_of(harness, server.url))
            answer = subprocess.run(
                command, input=value, capture_output=True, text=True, check=True
            )
    finally:
        harness.close()
    return answer.stdout.split()


if __name__ == "__main__":
    amount, which, *there = sys.argv[1:]
    if there:
        main(int(amount), which, json.load(sys.stdin))
    else:
        print(measure(int(amount), which))  # noqa: T201 - its answer
