"""Canaries (unique secret texts), and a search for them in all kinds of output.

A canary occurs nowhere else. The search finds it as it is, and percent-encoded, in base64, and in a
`repr`.
"""

from __future__ import annotations

import base64
import pickle
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage import ConnectorError

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_TESTS: Final = str(Path(__file__).parents[1])
_DEEP: Final = 5  # as deep as error trackers look into values
_MARKS: Final = ("cnry", *(base64.b64encode(part).decode() for part in (b"cnr", b"nry", b"ry-")))
"""One of these is in whatever a canary is in, so that most texts are looked at only briefly."""


class Canaries:
    """The secret texts, each with a name, and the outputs in which each was found."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}
        self._forms: dict[str, str] = {}
        self._marks = list(_MARKS)

    def plant(self, name: str, text: str | None = None) -> str:
        """Create a secret under this name and return it; it must not appear in any output."""
        assert name not in self.planted
        if text is None:
            text = f"cnry-{len(self.planted):03}-{name}-5e{len(name)}Zq"
        else:
            self._marks.append(text)
        self.planted[name] = text
        plain_bytes = text.encode()
        for form in (text, quote(text, safe=""), repr(text)[1:-1]):
            self._forms[form] = name
        for shift in range(3):
            # Wherever it begins among other bytes, this part of its base64 text is the same.
            encoded_secret = base64.b64encode(b"\0" * shift + plain_bytes).decode()
            self._forms[encoded_secret[4 * (shift > 0) : -4]] = name
        return text

    def heard(self, text: str) -> set[str]:
        """Return the names of the planted secrets that a text contains."""
        if not any(mark in text for mark in self._marks):
            return set()
        return {name for form, name in self._forms.items() if form in text}

    def search(self, where: str, value: object) -> list[str]:
        """Search all text that shows a value, and return the places where canaries appear."""
        fields: dict[str, None] = {}
        for path, text in revealed_texts(value, where):
            for name in sorted(self.heard(text)):
                fields[f"{name} in {path}"] = None
        return list(fields)


def revealed_texts(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Return every text that printing, logging, pickling or tracking makes of a value."""
    yield from _printed_texts(value, path, _DEEP, set())
    if isinstance(value, BaseException):
        yield from _traceback_texts(value, path)
    if isinstance(value, ConnectorError):
        yield f"{path} pickled", pickle.dumps(value).decode("latin-1")


def _printed_texts(
    value: object, path: str, depth: int, seen: set[int]
) -> Iterator[tuple[str, str]]:
    """Yield the texts that printing a value, and then each of its contents, reveals."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, (str, bytes, bytearray)):
        yield path, value if isinstance(value, str) else bytes(value).decode("latin-1")
        return
    for show in (repr, str):
        try:
            yield path, show(value)
        except Exception as broken_value:  # noqa: BLE001 - half-made values have no `repr`
            yield path, f"{broken_value}"
    if depth == 0:
        return
    for name, part in _contents_of(value):
        yield from _printed_texts(part, f"{path}{name}", depth - 1, seen)


def _contents_of(value: Any) -> Iterator[tuple[str, object]]:
    """Return the contents of a container or of an object's attributes."""
    if isinstance(value, Mapping):
        try:
            yield from [(f"[{key!r}]", part) for key, part in value.items()]
        except Exception:  # noqa: BLE001 - half-made
            return
    elif isinstance(value, (Sequence, AbstractSet)) and not isinstance(value, (str, bytes)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif attrs.has(type(value)):
        # As the library rich does, whatever the class's own `repr` returns.
        for field in attrs.fields(type(value)):
            if field.repr:
                yield f".{field.name}", getattr(value, field.name, None)
    elif isinstance(value, BaseException):
        yield ".args", value.args
        for name, part in vars(value).items():
            yield f".{name}", part


def _traceback_texts(error: BaseException, path: str) -> Iterator[tuple[str, str]]:
    """Return the text of a traceback, with its frames and causes."""
    for item in error_chain(error):
        item_location = path if item is error else f"{path} ← {type(item).__name__}"
        yield f"{item_location} formatted", _format_traceback(item)
        yield from _printed_texts(item, item_location, _DEEP, set())
        for frame in traceback_frames(item.__traceback__):
            location = (
                f"{item_location} {Path(frame.f_code.co_filename).name}:{frame.f_code.co_qualname}"
            )
            for name, local in frame.f_locals.items():
                yield from _printed_texts(local, f"{location}: {name}", _DEEP, set())


def _format_traceback(error: BaseException) -> str:
    """Return the traceback of an error, without the carets below its lines.

    Carets hold no secret, and Python parses every line to place them.
    """
    summary = traceback.TracebackException.from_exception(error)
    for frame in summary.stack:
        frame.colno = None
    return "".join(summary.format(chain=False))


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """Return an error and all its causes and contexts, suppressed or not."""
    seen_errors: dict[int, BaseException] = {}
    remaining_errors: list[BaseException | None] = [error]
    while remaining_errors:
        single_error = remaining_errors.pop()
        if single_error is None or id(single_error) in seen_errors:
            continue
        seen_errors[id(single_error)] = single_error
        yield single_error
        remaining_errors += [single_error.__cause__, single_error.__context__]
        if isinstance(single_error, BaseExceptionGroup):
            remaining_errors += single_error.exceptions


def traceback_frames(trace: TracebackType | None) -> Iterator[FrameType]:
    """Return the frames of a traceback, except those of tests, which contain the secrets."""
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_TESTS):
            yield trace.tb_frame
        trace = trace.tb_next


def file_contents(folder: Path) -> Iterable[tuple[str, bytes]]:
    """Return the content of every file in a folder and its subfolders."""
    return [(path.name, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
