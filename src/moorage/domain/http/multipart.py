"""Multipart forms with files (RFC 7578), as bytes or as a stream.

The boundary is a digest of the form itself. So a repeat is the same request, its length is known
beforehand, and no randomness is needed. Bytes in memory cannot contain the boundary, because it is
their own digest. A stream is not read to make the digest, so an attacker could have written the
boundary into it. A stream is therefore searched while it is sent, and sending stops if the boundary
occurs in it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs

from moorage.domain.http.body import Body, BodyStream, Chunks, as_body
from moorage.domain.http.fingerprint import digest
from moorage.domain.http.headers import Headers
from moorage.domain.values.text import is_encodable
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.http.query import Pairs

FilesInput: TypeAlias = "Mapping[str, FormFile] | Iterable[tuple[str, FormFile]]"

_CONTROL: Final = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")
_ESCAPES: Final = {ord('"'): "%22", ord("\\"): "%5C", ord("\r"): "%0D", ord("\n"): "%0A"}


def _check_name(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    _check_text(value, attribute.name)


def _check_type(_: object, __: object, value: str) -> None:
    Headers({"Content-Type": value})


@attrs.frozen
class FormFile:
    """A file that is sent as a part of a multipart form.

    Attributes:
        filename: the file's name in the form.
        content: bytes, an open binary file, or a function that opens one, which may be read again.
        content_type: the media type of the content.
    """

    filename: str = attrs.field(validator=_check_name)
    content: Body = attrs.field(converter=as_body, repr=False)
    content_type: str = attrs.field(default="application/octet-stream", validator=_check_type)


def multipart(
    form: Pairs, files: FilesInput, content_types: Mapping[str, str] | None = None
) -> tuple[str, Body]:
    """Return the `Content-Type` and the body of a multipart form with these fields and files.

    Args:
        form: the fields as pairs of name and text.
        files: the files by the names of their parts.
        content_types: the media types of fields that are not plain text, by name.

    Raises:
        InvalidData: a field or file has an invalid name or content.
    """
    parts: list[tuple[bytes, Body]]
    types = content_types or {}
    parts = [(_field_head(name, types.get(name)), value.encode()) for name, value in form]
    parts += [(_file_head(name, file), file.content) for name, file in _as_files(files)]
    boundary = _boundary(parts)
    delimiter = f"--{boundary}".encode()
    segments: list[Body] = []
    for head, content in parts:
        segments += [delimiter, b"\r\n", head, content, b"\r\n"]
    return f"multipart/form-data; boundary={boundary}", _join_segments(
        [*segments, delimiter, b"--\r\n"]
    )


def _as_files(files: FilesInput) -> Iterator[tuple[str, FormFile]]:
    file_fields = cast("Any", files)  # whatever its type, it is a value that a user passed
    try:
        pairs = [
            (name, file)
            for name, file in (file_fields.items() if _is_mapping(file_fields) else file_fields)
        ]
    except (TypeError, ValueError):
        pairs = [("", None)]
    for name, file in pairs:
        if not isinstance(file, FormFile):
            raise InvalidData(
                "The value of files cannot be converted to form files.",
                field="files",
                remedy="Pass a mapping of names to FormFile('invoice.pdf', content), or pairs"
                " of these.",
            )
        yield name, file


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _field_head(name: str, content_type: str | None) -> bytes:
    head = f'Content-Disposition: form-data; name="{_escape(name, "form")}"\r\n'
    if content_type is not None:
        head += f"Content-Type: {content_type}\r\n"
    return f"{head}\r\n".encode()


def _file_head(name: str, file: FormFile) -> bytes:
    parameters = f'name="{_escape(name, "files")}"; filename="{_escape(file.filename, "filename")}"'
    fields = (
        f"Content-Disposition: form-data; {parameters}\r\nContent-Type: {file.content_type}\r\n\r\n"
    )
    return fields.encode()


def _escape(text: str, field: str) -> str:
    """Return a form's name or file name, escaped for quotes in the way of browsers."""
    _check_text(text, field)
    return text.translate(_ESCAPES)


def _check_text(text: object, field: str) -> None:
    if not isinstance(text, str) or _CONTROL.search(text) or not is_encodable(text):
        raise InvalidData(
            "A name in the form is not a string, or contains a control character.",
            field=field,
            remedy="Use letters, digits and punctuation in names.",
        )


def _boundary(parts: Iterable[tuple[bytes, Body]]) -> str:
    digested_parts: list[bytes] = []
    for head, content in parts:
        summary = content if isinstance(content, bytes) else b"%d" % (content.length or 0)
        digested_parts += [head, summary]
    return f"moorage-{digest(digested_parts).hex()[:40]}"


def _join_segments(segments: list[Body]) -> Body:
    """Return the segments of a form as bytes if all of them are bytes, else as a stream."""
    if not any(isinstance(segment, BodyStream) for segment in segments):
        return b"".join(cast("list[bytes]", segments))
    lengths = [
        segment.length if isinstance(segment, BodyStream) else len(segment) for segment in segments
    ]
    sizes = [length for length in lengths if length is not None]
    return BodyStream(
        lambda: _open_part(segments),
        sum(sizes) if len(sizes) == len(lengths) else None,
        replayable=all(
            segment.replayable for segment in segments if isinstance(segment, BodyStream)
        ),
    )


def _open_part(segments: list[Body]) -> Chunks:
    # All parts are opened now, because the first one alone does not show whether any part must be
    # awaited.
    delimiter = cast("bytes", segments[0])
    open_parts = [
        (segment.open(), _BoundaryCheck(delimiter)) if isinstance(segment, BodyStream) else segment
        for segment in segments
    ]
    if any(
        isinstance(piece, tuple) and isinstance(piece[0], AsyncIterator) for piece in open_parts
    ):
        return _async_stream(open_parts)
    return _sync_stream(cast("list[bytes | tuple[Iterator[bytes], _BoundaryCheck]]", open_parts))


def _sync_stream(
    opened_segments: list[bytes | tuple[Iterator[bytes], _BoundaryCheck]],
) -> Iterator[bytes]:
    for piece in opened_segments:
        if isinstance(piece, bytes):
            yield piece
        else:
            chunks, watch = piece
            yield from map(watch, chunks)


async def _async_stream(
    opened_segments: list[bytes | tuple[Chunks, _BoundaryCheck]],
) -> AsyncIterator[bytes]:
    for piece in opened_segments:
        if isinstance(piece, bytes):
            yield piece
            continue
        chunks, watch = piece
        if isinstance(chunks, AsyncIterator):
            async for chunk in chunks:
                yield watch(chunk)
        else:
            for chunk in chunks:
                yield watch(chunk)


class _BoundaryCheck:
    """Checks the chunks of a stream, and fails if they contain the form's boundary."""

    __slots__ = ("_delimiter", "_tail")

    def __init__(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        self._tail = b""

    def __call__(self, chunk: bytes) -> bytes:
        """Return the chunk unchanged; raise an error if it contains the form's boundary.

        Raises:
            InvalidData: the chunk, after those before it, contains the boundary.
        """
        size = len(self._delimiter)
        if self._delimiter in chunk or self._delimiter in self._tail + chunk[:size]:
            raise InvalidData(
                "A file contains the boundary of the form, so a part of the file could be"
                " read as another part of the form.",
                field="files",
                remedy="Pass the file as bytes, and find out who created it. The boundary is"
                " random, so this is not a coincidence.",
            )
        self._tail = chunk[-size:] if len(chunk) >= size else (self._tail + chunk)[-size:]
        return chunk
