"""A program that is killed at each line of a replay of dead letters, and prints the rest.

Each replay runs in a fork, which kills itself when it reaches the next line of the modules that
write files. Then a second replay processes what is left.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, Final

from moorage import BatchLimits, BatchSink, DeadLetter, Pipeline, PipelineConfig
from moorage.adapters.dead_letters import json_lines
from moorage.adapters.dead_letters.json_lines import DeadLetterFile, DeadLetterSource
from moorage.adapters.files import whole_files
from moorage.testing import make_records
from tests.pipelines.pipeline_waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from moorage import SinkRecord

LETTERS: Final = 3
_MODULES: Final = frozenset({json_lines.__file__, whole_files.__file__})
_AT: Final = datetime(2030, 1, 31, 12, tzinfo=UTC)


def write_letters(file: DeadLetterFile) -> None:
    """Write the dead letters, numbered from zero."""
    for record in make_records(LETTERS, keys=1):
        letter = DeadLetter(
            pipeline="orders", record=record, error="InvalidData", message="odd", attempts=1, at=_AT
        )
        asyncio.run(file.add(letter))


def replay(file: DeadLetterFile, processed: Path) -> None:
    """Replay all dead letters one by one, and write each letter's number to another file.

    A letter is processed once the one before it is committed.
    """
    stored_count = 0
    journal = processed.with_name("dead.jsonl.replay")

    async def store(records: Sequence[SinkRecord]) -> None:
        nonlocal stored_count
        await until(lambda: journal.read_bytes().count(b"\n") >= stored_count)
        stored_count += len(records)
        with processed.open("a") as output:
            output.writelines(f"{record.json()['number']}\n" for record in records)

    config = PipelineConfig(batch=BatchLimits(records=1))
    pipeline = Pipeline("orders", DeadLetterSource(file), BatchSink(store), config=config)
    asyncio.run(pipeline.run())


class KilledAtLine:
    """A trace function that kills the process at the n-th executed line of file-writing modules."""

    def __init__(self, line: int) -> None:
        self._left = line

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        """Count one executed line, and kill the process at the chosen one."""
        if frame.f_code.co_filename not in _MODULES:
            return None
        if event == "line":
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.trace


def killed_replay(file: DeadLetterFile, processed: Path, line: int) -> bool:
    """Replay dead letters in a fork that is killed at a line; return whether it was reached."""
    child = os.fork()
    if not child:
        trace = KilledAtLine(line).trace
        threading.settrace(trace)
        sys.settrace(trace)
        try:
            replay(file, processed)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main(folder: Path) -> None:
    """Print as JSON, for each line, which letters were processed and which were left."""
    line = 1
    while True:
        folder.mkdir()
        processed = folder / "processed"
        processed.touch()
        file = DeadLetterFile(folder / "dead.jsonl")
        write_letters(file)
        is_killed = killed_replay(file, processed, line)
        before = processed.read_text().split()
        left = [letter.record.json()["number"] for _, letter in file.letters()]
        replay(file, processed)
        result = {
            "killed": is_killed,
            "before": [int(number) for number in before],
            "left": left,
            "after": [int(number) for number in processed.read_text().split()],
            "files": sorted(path.name for path in folder.iterdir() if path.name[0] != "."),
            "remaining": len(file.letters()),
        }
        sys.stdout.write(f"{json.dumps(result)}\n")
        sys.stdout.flush()
        rmtree(folder)
        if not is_killed:
            return
        line += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
