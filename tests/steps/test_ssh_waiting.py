"""Waiting for the pipes of the program `ssh`, with the system call poll and without."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

import pytest

from moorage.adapters.steps._ssh_wire import is_ready_by_poll, is_ready_by_select

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("is_ready", [is_ready_by_poll, is_ready_by_select])
def test_pipe_is_ready_once_it_can_be_read_or_written(
    is_ready: Callable[..., bool],
) -> None:
    """An empty pipe is ready to write; it is ready to read once it has bytes or is closed."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as reader:
        with os.fdopen(write_end, "wb", buffering=0) as writer:
            assert is_ready(writer, 60.0, writing=True)
            assert not _can_read(is_ready, reader)
            writer.write(b"x")
            assert _can_read(is_ready, reader)
            reader.read(1)
        assert _can_read(is_ready, reader)


def _can_read(is_ready: Callable[..., bool], reader: IO[bytes]) -> bool:
    return is_ready(reader, 0.0, writing=False)
