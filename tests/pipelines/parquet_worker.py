"""A program that writes numbers into Parquet files until it is killed.

Arguments: the folder, and the file to which the position is written after each flush.
"""

import asyncio
import sys
from pathlib import Path

from moorage import SinkRecord
from moorage.adapters.files.parquet_sink import ParquetSink


async def write(folder: Path, position: Path, number: int) -> None:
    """Write batches of numbers from a first number on; after each flush, store the next number."""
    sink = ParquetSink(folder, "orders", records=70)
    await sink.open()
    while True:
        batch = range(number, number + 10)
        records = [SinkRecord.of_json({"n": n}, topic="t", offset=n) for n in batch]
        await sink.process_batch(records)
        await sink.flush()
        number += 10
        coming = position.with_suffix(".coming")
        coming.write_text(str(number))
        coming.rename(position)


if __name__ == "__main__":
    FOLDER, POSITION = map(Path, sys.argv[1:])
    asyncio.run(write(FOLDER, POSITION, int(POSITION.read_text() or 0)))
