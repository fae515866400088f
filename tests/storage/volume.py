"""Puts and gets a long object in a process of its own, and tells how much it grew by that.

`python -m tests.storage.volume 1024` does so with a gigabyte, and with a sandbox beside it.
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
from mooring.testing.sandbox.s3 import S3Sandbox
from tests.storage.labs import s3

if TYPE_CHECKING:
    from collections.abc import Iterator

MEGABYTE = 1024 * 1024


def peak() -> int:
    """The most memory that this process has had since it was last asked to forget, in bytes."""
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget() -> None:
    """Count the most memory anew."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def main(megabytes: int, url: str) -> None:
    """Put so much, get it, and print the growth in bytes."""
    block = bytes(range(256)) * (MEGABYTE // 256)
    put, got = hashlib.sha256(), hashlib.sha256()

    def source() -> Iterator[bytes]:
        for number in range(megabytes):
            piece = number.to_bytes(8, "big") + block[8:]
            put.update(piece)
            yield piece

    with Hub([Account("s3", s3(S3Sandbox(), endpoint=url))]) as hub:
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


def measure(megabytes: int, url: str) -> list[str]:
    """What a process of its own tells of so much."""
    command = [sys.executable, "-m", "tests.storage.volume", str(megabytes), url]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return answer.stdout.split()


if __name__ == "__main__":
    amount = int(sys.argv[1])
    if len(sys.argv) > 2:
        main(amount, sys.argv[2])
    else:
        with S3Sandbox().serving() as server:
            print(measure(amount, server.url))  # noqa: T201 - its answer
