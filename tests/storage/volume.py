"""Puts and gets a long object in a process of its own, and tells how much it grew by that.

`python -m tests.storage.volume 1024 azure_blob` does so with a gigabyte, at a sandbox.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mooring.contracts.routes import Account
from mooring.hub import Hub
from mooring.testing.sandbox.azure_blob import AzureBlobSandbox
from mooring.testing.sandbox.s3 import S3Sandbox
from tests.storage.azure_lab import container
from tests.storage.labs import s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mooring.contracts.vendor import Vendor
    from mooring.testing.sandbox._spooling import SpoolingSandbox

MEGABYTE = 1024 * 1024
SANDBOXES: dict[str, Callable[[], SpoolingSandbox]] = {
    "azure_blob": AzureBlobSandbox,
    "s3": S3Sandbox,
}
BUCKETS: dict[str, Callable[..., Vendor]] = {
    "azure_blob": lambda **where: container(AzureBlobSandbox(), **where),
    "s3": lambda **where: s3(S3Sandbox(), **where),
}


def peak() -> int:
    """The most memory that this process has had since it was last asked to forget, in bytes."""
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget() -> None:
    """Count the most memory anew."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def main(megabytes: int, vendor: str, url: str) -> None:
    """Put so much, get it, and print the growth in bytes."""
    block = bytes(range(256)) * (MEGABYTE // 256)
    put, got = hashlib.sha256(), hashlib.sha256()

    def source() -> Iterator[bytes]:
        for number in range(megabytes):
            piece = number.to_bytes(8, "big") + block[8:]
            put.update(piece)
            yield piece

    with Hub([Account("volume", BUCKETS[vendor](endpoint=url))]) as hub:
        storage = hub.storage()
        storage.upload("warm", b"x" * MEGABYTE)
        storage.download("warm").read_all()
        forget()
        before, began = peak(), time.monotonic()
        storage.upload("long", source)
        up, middle = peak() - before, time.monotonic()
        size = 0
        for piece in storage.download("long"):
            got.update(piece)
            size += len(piece)
        down = peak() - before
        ended = time.monotonic()
    whole = size == megabytes * MEGABYTE and put.digest() == got.digest()
    print(whole, up, down, f"{middle - began:.1f}", f"{ended - middle:.1f}")  # noqa: T201 - its answer


def measure(megabytes: int, vendor: str, url: str) -> list[str]:
    """What a process of its own tells of so much."""
    command = [sys.executable, "-m", "tests.storage.volume", str(megabytes), vendor, url]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return answer.stdout.split()


if __name__ == "__main__":
    amount, name, *place = int(sys.argv[1]), *sys.argv[2:]
    if place:
        main(amount, name, *place)
    else:
        with SANDBOXES[name]().serving() as server:
            print(measure(amount, name, server.url))  # noqa: T201 - its answer
