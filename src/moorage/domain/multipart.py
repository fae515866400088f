"""Forms with files in them (RFC 7578), as bytes where that is possible and else as a stream.

The boundary is made of the form itself: so a repeat is the same request, its length is known
beforehand, and nothing here needs luck. Bytes that had it in them would have to contain their own
digest. A stream, which is not read to make it, could have been written by somebody who worked it
out; so a stream is looked through as it goes out, and is cut off where the boundary comes up.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs

from moorage.domain.body import Body, BodyStream, Chunks, as_body
from moorage.domain.fingerprint import digest
from moorage.domain.headers import Headers
from moorage.domain.text import is_encodable
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.query import Pairs

FilesInput: TypeAlias = "Mapping[str, FormFile] | Iterable[tuple[str, FormFile]]"

_CONTROL: Final = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")
_ESCAPES: Final = {ord('"'): "%22", ord("\\"): "%5C", ord("\r"): "%0D", ord("\n"): "%0A"}


def _named(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    _check_text(value, attribute.name)


def _typed(_: object, __: object, value: str) -> None:
    Headers({"Content-Type": value})


@attrs.frozen
class FormFile:
    """A file to send as a part of a form.

    Attributes:
        filename: what it is called there.
        content: bytes, an open binary file, or a function that opens one, which may be read again.
        content_type: what it is.
    """

    filename: str = attrs.field(validator=_named)
    content: Body = attrs.field(converter=as_body, repr=False)
    content_type: str = attrs.field(default="application/octet-stream", validator=_typed)


def multipart(form: Pairs, files: FilesInput) -> tuple[str, Body]:
    """Return the `Content-Type` and the body of a form with these fields, then these files.

    Raises:
        InvalidData: something is no name or no file.
    """
    parts: list[tuple[bytes, Body]]
    parts = [(_field_head(name), value.encode()) for name, value in form]
    parts += [(_file_head(name, file), file.content) for name, file in _as_files(files)]
    boundary = _boundary(parts)
    delimiter = f"--{boundary}".encode()
    segments: list[Body] = []
    for head, content in parts:
        segments += [delimiter, b"\r\n", head, content, b"\r\n"]
    return f"multipart/form-data; boundary={boundary}", _joined([*segments, delimiter, b"--\r\n"])


def _as_files(files: FilesInput) -> Iterator[tuple[str, FormFile]]:
    given = cast("Any", files)  # whatever its type says, it is what a user gave
    try:
        pairs = [(name, file) for name, file in (given.items() if _maps(given) else given)]
    except (TypeError, ValueError):
        pairs = [("", None)]
    for name, file in pairs:
        if not isinstance(file, FormFile):
            raise InvalidData(
                "Files cannot be made of what was given.",
                field="files",
                remedy="Give a mapping of names to FormFile('invoice.pdf', content), or pairs.",
            )
        yield name, file


def _maps(given: object) -> bool:
    return isinstance(given, Mapping)


def _field_head(name: str) -> bytes:
    return f'Content-Disposition: form-data; name="{_escaped(name, "form")}"\r\n\r\n'.encode()


def _file_head(name: str, file: FormFile) -> bytes:
    shown = f'name="{_escaped(name, "files")}"; filename="{_escaped(file.filename, "filename")}"'
    fields = f"Content-Disposition: form-data; {shown}\r\nContent-Type: {file.content_type}\r\n\r\n"
    return fields.encode()


def _escaped(text: str, field: str) -> str:
    """The text between quotes, as browsers write it; no reader finds an end in it."""
    _check_text(text, field)
    return text.translate(_ESCAPES)


def _check_text(text: object, field: str) -> None:
    if not isinstance(text, str) or _CONTROL.search(text) or not is_encodable(text):
        raise InvalidData(
            "A name in the form is no text, or has a control character in it.",
            field=field,
            remedy="Give a name of letters, digits and punctuation.",
        )


def _boundary(parts: Iterable[tuple[bytes, Body]]) -> str:
    told: list[bytes] = []
    for head, content in parts:
        known = content if isinstance(content, bytes) else b"%d" % (content.length or 0)
        told += [head, known]
    return f"moorage-{digest(told).hex()[:40]}"


def _joined(segments: list[Body]) -> Body:
    """All of it as bytes, if it is, or else as one stream."""
    if not any(isinstance(segment, BodyStream) for segment in segments):
        return b"".join(cast("list[bytes]", segments))
    lengths = [
        segment.length if isinstance(segment, BodyStream) else len(segment) for segment in segments
    ]
    known = [length for length in lengths if length is not None]
    return BodyStream(
        lambda: _opened(segments),
        sum(known) if len(known) == len(lengths) else None,
        replayable=all(
            segment.replayable for segment in segments if isinstance(segment, BodyStream)
        ),
    )


def _opened(segments: list[Body]) -> Chunks:
    # All at once, because the first may not tell whether any has to be awaited.
    delimiter = cast("bytes", segments[0])
    opened = [
        (segment.open(), _Watch(delimiter)) if isinstance(segment, BodyStream) else segment
        for segment in segments
    ]
    if any(isinstance(one, tuple) and isinstance(one[0], AsyncIterator) for one in opened):
        return _awaited(opened)
    return _plain(cast("list[bytes | tuple[Iterator[bytes], _Watch]]", opened))


def _plain(opened: list[bytes | tuple[Iterator[bytes], _Watch]]) -> Iterator[bytes]:
    for one in opened:
        if isinstance(one, bytes):
            yield one
        else:
            chunks, watch = one
            yield from map(watch, chunks)


async def _awaited(opened: list[bytes | tuple[Chunks, _Watch]]) -> AsyncIterator[bytes]:
    for one in opened:
        if isinstance(one, bytes):
            yield one
            continue
        chunks, watch = one
        if isinstance(chunks, AsyncIterator):
            async for chunk in chunks:
                yield watch(chunk)
        else:
            for chunk in chunks:
                yield watch(chunk)


class _Watch:
    """Lets a stream's chunks through until the boundary comes up in them."""

    __slots__ = ("_delimiter", "_tail")

    def __init__(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        self._tail = b""

    def __call__(self, chunk: bytes) -> bytes:
        """Return the chunk.

        Raises:
            InvalidData: together with what came before, it has the boundary in it.
        """
        size = len(self._delimiter)
        if self._delimiter in chunk or self._delimiter in self._tail + chunk[:size]:
            raise InvalidData(
                "A file has the form's boundary in it, and could pass for other parts of the form.",
                field="files",
                remedy="Send the file as bytes; and ask who wrote it, because this is no accident.",
            )
        self._tail = chunk[-size:] if len(chunk) >= size else (self._tail + chunk)[-size:]
        return chunk
