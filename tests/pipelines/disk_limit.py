"""A process whose files may not grow beyond a limit, and a batch that does not fit."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys

from moorage import SinkRecord, StorageUnavailable
from moorage.adapters.files.file_sink import FileSink


async def write(folder: str) -> None:
    """Write a small batch, one that is too large, and another small one."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
    sink = FileSink(folder, "orders")
    for text in ("a", "b" * 5_000, "c"):
        try:
            await sink.process_batch([SinkRecord.of_json(text, topic="texts")])
        except StorageUnavailable:
            sys.stdout.write("refused\n")
    await sink.close()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1]))
