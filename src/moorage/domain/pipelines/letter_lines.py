"""Dead letters as lines of JSON, from which the original records can be restored."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.pipelines.records import SinkRecord
from moorage.domain.pipelines.settings import DeadLetter
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN_FIELDS: Final = (
    "topic",
    "partition",
    "offset",
    "id",
    "content_type",
    "schema",
    "producer",
    "deliveries",
)
"""The fields of a record that JSON can represent."""


def line_of(letter: DeadLetter, id: str) -> bytes:
    """Return a dead letter as a JSON line; `id` identifies it within its file."""
    record = letter.record
    document = {
        "letter": id,
        "pipeline": letter.pipeline,
        "at": letter.at.isoformat(),
        "error": letter.error,
        "message": letter.message,
        "attempts": letter.attempts,
        **{name: getattr(record, name) for name in _PLAIN_FIELDS},
        "published_at": None if record.published_at is None else record.published_at.isoformat(),
        "key": None if record.key is None else _base64(record.key),
        "headers": [[name, _header(value)] for name, value in record.attributes],
        "payload": _base64(record.payload),
    }
    return json.dumps(document).encode() + b"\n"


def letter_of(line: bytes) -> tuple[str, DeadLetter] | None:
    """Return the id and the dead letter in a line; None if the line contains no dead letter.

    Such a line was torn by a crash: the record of its letter was not settled, and is delivered
    again.
    """
    try:
        document = json.loads(line)
        published_at, key = document["published_at"], document["key"]
        record = SinkRecord(
            b64decode(document["payload"], validate=True),
            key=None if key is None else b64decode(key, validate=True),
            attributes=[(name, _header_value(value)) for name, value in document["headers"]],
            published_at=None if published_at is None else datetime.fromisoformat(published_at),
            **{name: document[name] for name in _PLAIN_FIELDS},
        )
        letter = DeadLetter(
            pipeline=document["pipeline"],
            record=record,
            error=document["error"],
            message=document["message"],
            attempts=document["attempts"],
            at=datetime.fromisoformat(document["at"]),
        )
        return document["letter"], letter
    except (InvalidData, KeyError, TypeError, ValueError):
        return None


def lines_without(lines: Sequence[bytes], ids: frozenset[str]) -> list[bytes]:
    """Return the lines of a file except the dead letters that have one of these ids."""
    return [line for line in lines if (entry := letter_of(line)) is None or entry[0] not in ids]


def size_without_torn_line(content: bytes) -> int:
    """Return the size of a file's content without a last line that a crash cut off.

    A last line of another kind, such as a note that somebody has added, counts as whole.
    """
    start = content.rfind(b"\n") + 1
    last_line = content[start:]
    is_torn = last_line.startswith(b"{") and letter_of(last_line) is None
    return start if is_torn else len(content)


def _header(value: str | bytes) -> str | dict[str, str]:
    return value if isinstance(value, str) else {"base64": _base64(value)}


def _header_value(value: Any) -> str | bytes:
    return value if isinstance(value, str) else b64decode(value["base64"], validate=True)


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
