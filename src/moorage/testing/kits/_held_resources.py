"""The resources that this process uses, for checks that look for leaks."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

_STATUS: Final = Path("/proc/self/status")
_OWN_MEMORY: Final = re.compile(r"^(?:RssAnon|RssShmem|VmSwap):\s*(\d+) kB$", re.MULTILINE)
"""The memory that a process has written, also if the system has moved it to a disk.

Pages of programs and libraries are left out, because the system takes them back at any time.
"""
_clear_caches: Final = cast(
    "Callable[[], object]",
    getattr(sys, "_clear_internal_caches", None) or getattr(sys, "_clear_type_cache", gc.collect),
)
"""A function that clears Python's caches of attribute look-ups; since Python 3.13 it has a new
name.

The caches keep thousands of names. A program that looks up ever new names fills the caches, which
is not a leak.
"""


@attrs.frozen
class ProcessResources:
    """The file descriptors, threads and tasks that this process uses in the running event loop."""

    descriptors: int
    threads: int
    tasks: int

    def growth_since(self, before: ProcessResources, spare: int = 0) -> dict[str, int]:
        """Return the kinds of resources that grew by more than `spare`, and by how much."""
        differences = {
            "file descriptors": self.descriptors - before.descriptors,
            "threads": self.threads - before.threads,
            "tasks": self.tasks - before.tasks,
        }
        return {name: count for name, count in differences.items() if count > spare}


@attrs.frozen
class ProcessMemory:
    """The memory that this process uses.

    Attributes:
        objects: the number of blocks that Python has allocated.
        bytes: the bytes that the process has written; 0 if the system does not state them.
    """

    objects: int
    bytes: int


@attrs.frozen
class MemoryGrowth:
    """The memory that stays in use after a number of operations; see `ProcessMemory`."""

    operations: int
    objects: int
    memory: int


def process_resources() -> ProcessResources:
    """Return the resources that this process uses."""
    return ProcessResources(
        descriptors=sum(1 for _ in Path("/dev/fd").iterdir()),
        threads=threading.active_count(),
        tasks=len(asyncio.all_tasks()),
    )


def memory_after(forget: Callable[[], object] | None) -> ProcessMemory:
    """Return the memory that this process uses after `forget` has dropped recorded messages."""
    if forget is not None:
        forget()
    gc.collect()
    _clear_caches()
    status = _STATUS.read_text() if _STATUS.exists() else ""
    return ProcessMemory(
        objects=sys.getallocatedblocks(),
        bytes=sum(map(int, _OWN_MEMORY.findall(status))) * 1024,
    )
