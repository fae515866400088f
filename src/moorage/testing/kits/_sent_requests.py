"""Reads the requests that reached a sandbox, for several contracts' kits."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

import attrs

from moorage.contracts.ref import Ref
from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest

_WORD: Final = re.compile(r"\w+")


def require_no_repeats(name: str, requests: Sequence[SandboxRequest]) -> None:
    """Check that an operation sent no request twice.

    A request that only reads may be sent again after one that changes something.

    Args:
        name: the operation.
        requests: the requests that reached the sandbox meanwhile.
    """
    writes: list[object] = []
    reads: list[object] = []
    for request in requests:
        part = request.headers.get("content-range")
        content = (request.method, request.host, request.path, request.query, part, request.body)
        earlier_contents = reads if request.method in {"GET", "HEAD"} else writes
        line = f"{request.method} {request.path}"
        require(content not in earlier_contents, f"A {name} sent {line} twice.")
        earlier_contents.append(content)
        if earlier_contents is writes:
            reads = []


def require_no_stutter(name: str, requests: Sequence[SandboxRequest]) -> None:
    """Check that an operation never sent the same request twice in succession.

    Args:
        name: the operation.
        requests: the requests that reached the sandbox meanwhile.
    """
    for first, second in pairwise(requests):
        contents = [
            (request.method, request.host, request.path, request.query, request.body)
            for request in (first, second)
        ]
        part = second.headers.get("content-range")
        is_other = contents[0] != contents[1] or part != first.headers.get("content-range")
        require(is_other, f"`{name}` sent {second.method} {second.path} twice in a row.")


def require_known_references(result: Any, requests: Sequence[SandboxRequest]) -> None:
    """Check that references contain only ids that occur in the vendor's responses or in requests.

    A result without a response of the vendor is not checked, nor is the reference of a next page.

    Args:
        result: the result of an operation, whose `raw` fields are the vendor's responses.
        requests: the requests that reached the sandbox.
    """
    references: list[Ref] = []
    answers: list[str] = []
    pending_values: list[tuple[Any, bool]] = [(result, False)]
    while pending_values:
        value, is_answered = pending_values.pop()
        if isinstance(value, Ref):
            references += [value] if is_answered else []
        elif isinstance(value, (list, tuple)):
            pending_values += [(item, is_answered) for item in cast("Sequence[Any]", value)]
        elif attrs.has(value_class := value.__class__):
            fields = {field.name: getattr(value, field.name) for field in attrs.fields(value_class)}
            answer = fields.pop("raw", None)
            answers += [str(answer)] if answer else []
            fields.pop("next", None)
            pending_values += [(item, is_answered or bool(answer)) for item in fields.values()]
    texts = [f"{request.path} {request.query} {request.headers.pairs}" for request in requests]
    texts += [request.body.decode(errors="replace") for request in requests]
    shown_text = unquote("\n".join([*answers, *texts]))
    for reference in references:
        require(
            all(word in shown_text for word in _WORD.findall(reference.id)),
            f"The id {reference.id} of a reference is in no answer of the vendor.",
        )


def nested_values(path: str, value: Any) -> list[tuple[str, Any]]:
    """Return a JSON value and all values in it, each with its path.

    Args:
        path: the path to the value; names are joined by dots, and lists add none.
        value: the value.
    """
    inner_values: list[tuple[str, Any]] = []
    if is_object(value):
        for name, part in value.items():
            inner_values += nested_values(f"{path}.{name}" if path else name, part)
    elif is_list(value):
        for part in value:
            inner_values += nested_values(path, part)
    return [(path, value), *inner_values]


def moment_of(value: object) -> datetime | None:
    """Return the time in a request's value; None if it is not a time.

    A moment is an ISO 8601 text with a zone, a date of an email, or a Unix timestamp in the
    future.
    """
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    try:
        if isinstance(value, int):
            moment = datetime.fromtimestamp(value, UTC)
            return moment if moment > datetime.now(UTC) else None
        parsed = _parse_time(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return None if parsed is None or parsed.tzinfo is None else parsed


def _parse_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return parsedate_to_datetime(text)


def with_added_words(words: str, response: Response) -> Response:
    """Return a response after adding words to each sentence in its JSON."""
    return response.evolve(body=encode_json(_with_words(response.json(), words)))


def _with_words(value: Any, words: str) -> Any:
    if is_object(value):
        return {name: _with_words(part, words) for name, part in value.items()}
    if is_list(value):
        return [_with_words(part, words) for part in value]
    return f"{value}{words}" if is_sentence(value) else value


def is_sentence(value: object) -> bool:
    """Return whether a text in JSON is a sentence, written for people."""
    return isinstance(value, str) and (" " in value or value.endswith("."))
