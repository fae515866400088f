"""Server-sent events: reads a stream of bytes as events, by the WHATWG's HTML standard."""

from __future__ import annotations

import re
from typing import Final

from moorage.domain.values.frozen_values import frozen
from moorage.errors import VendorFailed

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MOST_BYTES: Final = 4 * 1024 * 1024
"""The size of an event above which the stream is refused."""


@frozen
class ServerSentEvent:
    """An event of a stream.

    Attributes:
        name: name of the event; "message" if the server sent none.
        data: data of the event, whose lines are joined with newlines.
    """

    name: str
    data: str


class EventDecoder:
    """Decodes events from the pieces of a stream, in whatever sizes they arrive."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_start = True
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        """Return the events that this piece completes.

        Raises:
            VendorFailed: an event is larger than 4 MiB.
        """
        text = self._rest + piece
        if self._is_start and len(text) >= len(_BYTE_ORDER_MARK):
            text, self._is_start = text.removeprefix(_BYTE_ORDER_MARK), False
        # A final CR may be the first half of a CRLF.
        complete, held = (text[:-1], text[-1:]) if text.endswith(b"\r") else (text, b"")
        *lines, rest = _LINE_END.split(complete)
        self._rest = rest + held
        events = [event for line in lines if (event := self._read_line(line)) is not None]
        if self._size + len(self._rest) > _MOST_BYTES:
            raise VendorFailed("The vendor sent an event of more than 4 MiB.")
        return events

    def _read_line(self, line: bytes) -> ServerSentEvent | None:
        """Return the event that an empty line completes; None if this line completes none."""
        if not line:
            name, data = self._name, self._data
            self._name, self._data, self._size = "", [], 0
            return ServerSentEvent(name or "message", "\n".join(data)) if data else None
        self._size += len(line)
        field, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        return None
