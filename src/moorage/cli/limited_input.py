"""Reads files and the standard input, if a command's options name them, up to a size limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from typing import BinaryIO

LONGEST_INPUT: Final = 256_000_000
"""The maximum number of bytes of a file that an option names."""

_CHUNK: Final = 1_000_000


def read_all(file: BinaryIO, name: str, option: str) -> bytes:
    """Return the bytes of an open file, which may be a device or a pipe that never ends.

    Args:
        file: the file.
        name: the name of the file, for the message.
        option: the option that names the file.

    Raises:
        ConfigurationError: the file has more than `LONGEST_INPUT` bytes.
    """
    content = bytearray()
    while chunk := file.read(_CHUNK):
        content += chunk
        if len(content) > LONGEST_INPUT:
            raise ConfigurationError(
                f"{name} has more than {LONGEST_INPUT} bytes.",
                path=option,
                remedy="Pass a smaller file, or send the content from a program of your own.",
            )
    return bytes(content)
