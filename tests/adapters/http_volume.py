"""A program that streams large bodies with an HTTP client, and prints the memory used.

`python -m tests.adapters.http_volume CLIENT URL BYTES` prints a line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.domain.http.requests import BodyStream, Request, Timeouts
from tests.support.http_clients import DrivenClient

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = bytes(65_536)
PATIENT = Timeouts(total=600.0)


def peak_memory() -> int:
    """Return the largest amount of memory that the process has used so far, in bytes.

    The value is read here because that of `getrusage` starts from the parent process's peak.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def pieces(size: int) -> Iterator[bytes]:
    """Yield a body of this many bytes, piece by piece."""
    for _ in range(size // len(PIECE)):
        yield PIECE


def main(client: str, url: str, size: int) -> None:
    """Warm up the client, download, upload, and print the memory used."""
    driver = DrivenClient(client)
    warm = 16 * len(PIECE)
    for bytes_ in (warm, size):
        peak_before = peak_memory()
        pending_drain = driver.drain(Request.get("/"), f"{url}/{bytes_}", PATIENT)
        body = BodyStream.of(lambda count=bytes_: pieces(count), length=bytes_)  # type: ignore[misc]  # a default
        answer = driver.send(Request.put("/", body=body), f"{url}/", PATIENT)
        fields = {
            "down": pending_drain,
            "up": int(answer.body),
            "grown": peak_memory() - peak_before,
        }
    sys.stdout.write(json.dumps(fields))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
