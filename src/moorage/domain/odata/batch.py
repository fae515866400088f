"""OData batches in the format multipart/mixed, which every OData v4 service supports.

The JSON format of OData 4.01 is not written: Microsoft Dataverse and SAP Gateway refuse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.http.response import Response
from moorage.domain.odata.answers import error_in_batch
from moorage.domain.resilience.classify import as_unreadable, unreadable_answer_error
from moorage.domain.service.operation import HttpOperation
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.result import Result
from moorage.errors import ConnectorError, InvalidData, VendorFailed, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.http.requests import Request

_MAX_OPERATIONS: Final = 1000
"""The maximum number of operations in a batch, as at Microsoft Dataverse."""

_LINE: Final = b"\r\n"
_BOUNDARY: Final = late_pattern(r'(?:^|;)\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;,"]{1,70}))')
_STATUS: Final = late_pattern(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?")
_LONGEST_HEAD: Final = 65_536


@attrs.frozen
class BatchContent:
    """The content of an OData batch, and the parsing of its response.

    Attributes:
        body: the content.
        content_type: the content's type, with the boundary.
        safe: True if all operations of the batch only read.
    """

    body: bytes = attrs.field(repr=False)
    content_type: str
    safe: bool
    _groups: tuple[tuple[HttpOperation[Any], ...] | HttpOperation[Any], ...] = attrs.field(
        repr=False
    )

    def read(self, response: Response) -> tuple[Result[Any], ...]:
        """Return the result of each operation in the batch.

        Raises:
            VendorFailed: the response is not a batch response, or parts are missing although no
                operation failed.
        """
        parts = _parts(response, response.header("content-type"), response.body)
        if len(parts) > len(self._groups):
            raise unreadable_answer_error(
                response, problem="has more parts than the batch has operations"
            )
        results: list[Result[Any]] = []
        is_stopped = False
        for position, group in enumerate(self._groups):
            size = len(group) if isinstance(group, tuple) else 1
            if position >= len(parts) and not is_stopped:
                is_stopped = True
                if not results or results[-1].error is None:
                    # A service stops only at a failure, so the missing operations may have been
                    # executed.
                    raise unreadable_answer_error(
                        response, problem="has fewer parts than the batch has operations"
                    )
            if is_stopped:
                results += [_stopped_result() for _ in range(size)]
            elif isinstance(group, tuple):
                results += _of_change_set(group, response, *parts[position])
            else:
                results.append(_result(group, _inner_response(response, parts[position][1])))
        return tuple(results)


def batch_of(
    entries: Sequence[HttpOperation[Any] | Sequence[HttpOperation[Any]]], path: str
) -> BatchContent:
    """Return the content of an OData batch; the URLs in its parts are relative to `path`."""
    groups = tuple(_check_entry(entry) for entry in entries)
    operations = [
        item for group in groups for item in (group if isinstance(group, tuple) else (group,))
    ]
    if not 0 < len(operations) <= _MAX_OPERATIONS:
        raise InvalidData(
            f"A batch must have 1 to {_MAX_OPERATIONS} operations, not {len(operations)}.",
            field="entries",
            remedy="Split the operations into several batches.",
        )
    # Equal operations must give equal bytes, because they are compared when an idempotency key is
    # repeated.
    parts: list[bytes] = []
    for group in groups:
        if isinstance(group, tuple):
            inner_responses = [
                _part(operation, path, number) for number, operation in enumerate(group, start=1)
            ]
            name = _boundary("changeset", inner_responses)
            head = f"Content-Type: multipart/mixed; boundary={name}".encode()
            parts.append(_LINE.join((head, b"", _multipart(inner_responses, name))))
        else:
            parts.append(_part(group, path, None))
    boundary = _boundary("batch", parts)
    return BatchContent(
        _multipart(parts, boundary),
        f"multipart/mixed; boundary={boundary}",
        all(operation.safe for operation in operations),
        groups,
    )


def _check_entry(entry: Any) -> tuple[HttpOperation[Any], ...] | HttpOperation[Any]:
    if isinstance(entry, HttpOperation):
        return _check_operation(entry)
    if not _is_list(entry):
        raise InvalidData(
            "An entry of the batch is not an operation or a list of operations.",
            field="entries",
            remedy="Pass operations that `OData` made.",
        )
    operations = tuple(_check_operation(item) for item in entry)
    if any(operation.safe for operation in operations):
        raise InvalidData(
            "A change set contains an operation that reads. OData does not allow this.",
            field="entries",
            remedy="Move the operation out of the list.",
        )
    return operations


def _is_list(entry: object) -> bool:
    return bool(entry) and not isinstance(entry, (str, bytes)) and isinstance(entry, Sequence)


def _check_operation(operation: Any) -> HttpOperation[Any]:
    entry: Any = operation
    if isinstance(operation, HttpOperation) and entry.system == "odata":
        request: Request = entry.request
        if isinstance(request.body, bytes) and not request.path.endswith("/$batch"):
            checked_operation: HttpOperation[Any] = entry
            return checked_operation
    raise InvalidData(
        "An operation of the batch was not made by `OData`, or is a batch itself.",
        field="entries",
        remedy="Pass operations that `OData` made.",
    )


def _part(operation: HttpOperation[Any], path: str, number: int | None) -> bytes:
    request = operation.request
    head = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if number is not None:
        head.append(f"Content-ID: {number}")
    place = request.path.removeprefix(path).removeprefix("/")
    fields = [f"{name}: {value}" for name, value in request.headers.pairs]
    lines = [*head, "", f"{request.method} {place} HTTP/1.1", *fields, "", ""]
    body = request.body
    return "\r\n".join(lines).encode("latin-1") + (body if isinstance(body, bytes) else b"")


def _boundary(kind: str, parts: list[bytes]) -> str:
    return f"{kind}_{sha256(b''.join(parts)).hexdigest()[:32]}"


def _multipart(parts: list[bytes], boundary: str) -> bytes:
    delimiter = f"--{boundary}".encode()
    content = b"".join(delimiter + _LINE + part + _LINE for part in parts)
    return content + delimiter + b"--" + _LINE


def _of_change_set(
    group: tuple[HttpOperation[Any], ...], response: Response, head: dict[str, str], body: bytes
) -> list[Result[Any]]:
    """Return the results of a change set. Its operations succeed or fail together."""
    if not head.get("content-type", "").lower().startswith("multipart/"):
        inner_response = _inner_response(response, body)
        error = error_in_batch(inner_response, safe=False) or unreadable_answer_error(
            inner_response, "answer per operation"
        )
        return [Result(error=error) for _ in group]
    answers = {
        part.get("content-id", str(number)): _inner_response(response, content)
        for number, (part, content) in enumerate(
            _parts(response, head["content-type"], body), start=1
        )
    }
    numbers = [str(number) for number in range(1, len(group) + 1)]
    if set(answers) != set(numbers):
        raise unreadable_answer_error(response, "answer for each operation of a change set")
    return [_result(item, answers[number]) for item, number in zip(group, numbers, strict=True)]


def _result(operation: HttpOperation[Any], response: Response) -> Result[Any]:
    error = error_in_batch(response, safe=operation.safe)
    if error is not None:
        return Result(error=error)
    try:
        return Result(operation.read(response))
    except ConnectorError as problem:
        return Result(error=as_unreadable(problem, response))


def _stopped_result() -> Result[Any]:
    return Result(
        error=VendorRejected(
            "The service stopped the batch before this operation, so the operation was not"
            " performed.",
            remedy="Correct the operation that failed, and send the remaining operations"
            " again, or set continue_on_error.",
        )
    )


def _parts(
    response: Response, content_type: str | None, body: bytes
) -> list[tuple[dict[str, str], bytes]]:
    """Return the headers and the content of each part of a multipart body."""
    match = _BOUNDARY.search(content_type or "")
    if match is None or not (match[1] or match[2]).isascii():
        raise _not_a_batch(response)
    delimiter = b"--" + (match[1] or match[2]).encode()
    pieces = (_LINE + body).split(_LINE + delimiter)
    if len(pieces) > _MAX_OPERATIONS + 2 or len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise _not_a_batch(response)
    return [_head_and_body(response, piece.lstrip(b" \t")) for piece in pieces[1:-1]]


def _inner_response(response: Response, body: bytes) -> Response:
    """Return the HTTP response that a batch part of type application/http contains."""
    line, _, remainder = body.partition(_LINE)
    match = _STATUS.fullmatch(line)
    if match is None:
        raise _not_a_batch(response)
    fields, content = _head_and_body(response, _LINE + remainder)
    return Response(int(match[1]), fields, content, url=response.url, replayed=response.replayed)


def _head_and_body(response: Response, piece: bytes) -> tuple[dict[str, str], bytes]:
    """Return the headers, by lower-case name, and the content of a part of a batch."""
    if not piece.startswith(_LINE):
        raise _not_a_batch(response)
    head, separator, body = piece.partition(_LINE * 2)
    if len(head) > _LONGEST_HEAD:
        raise _not_a_batch(response)
    if not separator:
        head, body = piece, b""
    return dict(_fields(response, head)), body


def _fields(response: Response, head: bytes) -> Iterator[tuple[str, str]]:
    for line in head.split(_LINE):
        name, colon, value = line.decode("latin-1").partition(":")
        if colon and name.isascii() and name.replace("-", "").isalnum() and value.isprintable():
            yield name.lower(), value.strip()
        elif line:
            raise _not_a_batch(response)


def _not_a_batch(response: Response) -> VendorFailed:
    return unreadable_answer_error(response, problem="is not the answer to a batch")
