"""The changes between two versions of an API description that affect a given program."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.openapi.document import Document
from moorage.domain.openapi.fields import (
    DescribedOperation,
    Field,
    Fields,
    FieldSide,
    base_paths,
    fields_of,
    matching_operation,
    operations,
)
from moorage.domain.values.json_text import is_object
from moorage.errors import DescriptionRefused, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MOST_LISTED: Final = 5
_NO_WORDS: Final[frozenset[str]] = frozenset()


class ChangeKind(StrEnum):
    """The kind of a change between two descriptions of an API."""

    OPERATION_REMOVED = "operation removed"
    DEPRECATED = "deprecated"
    FIELD_REMOVED = "field removed"
    NOW_REQUIRED = "now required"
    NOW_OPTIONAL = "now optional"
    TYPE_CHANGED = "type changed"
    FORMAT_CHANGED = "format changed"
    WORDS_REMOVED = "words removed"
    WORDS_ADDED = "words added"


_HARMLESS_CHANGES: Final = frozenset({ChangeKind.DEPRECATED, ChangeKind.WORDS_ADDED})


@attrs.frozen(kw_only=True)
class Change:
    """A change in an API description that affects a given program.

    Attributes:
        kind: the kind of change.
        operation: method and path of the operation.
        side: the part of the exchange; None for the whole operation.
        path: the dotted path of the field; empty for the whole operation.
        sentence: the change in words.
        words: the words that the change is about, if any.
    """

    kind: ChangeKind
    operation: str
    side: FieldSide | None = None
    path: str = ""
    sentence: str
    words: tuple[str, ...] = ()

    @property
    def breaks(self) -> bool:
        """True if requests may fail, or if their responses may no longer be readable."""
        return self.kind not in _HARMLESS_CHANGES


@attrs.frozen(kw_only=True)
class Usage:
    """The parts of an API that a program uses.

    Attributes:
        requests: methods and paths of its requests.
        names: names of fields, and words, that the program contains.
        sent: by method and path, the fields of body and query that every request contains.
    """

    requests: frozenset[tuple[str, str]]
    names: frozenset[str]
    sent: Mapping[tuple[str, str], frozenset[str]] = attrs.field(factory=dict[Any, Any])


@attrs.frozen
class DescriptionDifferences:
    """The differences between two API descriptions that affect a program.

    Attributes:
        changes: the changes that affect the program.
        compared: the operations that were compared, as methods and paths.
        undescribed: the requests that neither description contains.
    """

    changes: tuple[Change, ...]
    compared: tuple[str, ...]
    undescribed: tuple[tuple[str, str], ...]


def find_drift(old_tree: object, new_tree: object, usage: Usage) -> DescriptionDifferences:
    """Return the changes from one description to another that affect a program.

    Raises:
        DescriptionRefused: one of the descriptions is not an OpenAPI description of version 2 or 3.
    """
    old_description, new_description = _Description(old_tree, "old"), _Description(new_tree, "new")
    changes: dict[Change, None] = {}
    compared_names: dict[str, None] = {}
    undescribed_operations: list[tuple[str, str]] = []
    for request in sorted(usage.requests):
        old_operation, new_operation = _same_operation(old_description, new_description, request)
        if old_operation is None:
            if new_operation is None:
                undescribed_operations.append(request)
            continue
        compared_names[old_operation.name] = None
        changes |= dict.fromkeys(
            _operation_changes(
                (old_description.document, old_operation),
                (new_description.document, new_operation),
                request,
                usage,
            )
        )
    return DescriptionDifferences(
        tuple(changes), tuple(compared_names), tuple(undescribed_operations)
    )


class _Description:
    def __init__(self, tree: object, name: str) -> None:
        if not is_object(tree) or not is_object(tree.get("paths")):
            raise DescriptionRefused.of(
                [
                    Problem(
                        "#/paths",
                        f"The {name} description has no paths.",
                        "Pass an OpenAPI description of version 2 or 3.",
                    )
                ]
            )
        self.document = Document(tree)
        self._operations = tuple(operations(self.document))
        self._bases = base_paths(self.document)

    def operation(self, method: str, path: str) -> DescribedOperation | None:
        return matching_operation(self._operations, method, path, self._bases)

    def describes(self, operation: DescribedOperation) -> bool:
        """Return whether an operation has the shape of another description's operation."""
        return any(item.shape == operation.shape for item in self._operations)


def _same_operation(
    old_description: _Description, new_description: _Description, request: tuple[str, str]
) -> tuple[DescribedOperation | None, DescribedOperation | None]:
    """Return the operation of a request in both descriptions.

    A request of /users/me also has the path of /users/{id}. If one description has only the latter
    and the other one both, they are different operations, and the first is new or was removed.
    """
    old_operation = old_description.operation(*request)
    new_operation = new_description.operation(*request)
    if old_operation is None or new_operation is None or old_operation.shape == new_operation.shape:
        return old_operation, new_operation
    if new_description.describes(old_operation):
        return None, new_operation
    if old_description.describes(new_operation):
        return old_operation, None
    return old_operation, new_operation


def _operation_changes(
    old: tuple[Document, DescribedOperation],
    new: tuple[Document, DescribedOperation | None],
    request: tuple[str, str],
    usage: Usage,
) -> Iterator[Change]:
    (old_document, old_operation), (new_document, new_operation) = old, new
    name = old_operation.name
    if new_operation is None:
        yield Change(
            kind=ChangeKind.OPERATION_REMOVED,
            operation=name,
            sentence="The operation is no longer described.",
        )
        return
    if _is_deprecated(new_operation) and not _is_deprecated(old_operation):
        yield Change(
            kind=ChangeKind.DEPRECATED, operation=name, sentence="The operation is now deprecated."
        )
    old_fields = fields_of(old_document, old_operation, usage.names.__contains__)
    new_fields = fields_of(new_document, new_operation, usage.names.__contains__)
    yield from _removed_fields(name, old_fields, new_fields)
    for (side, path), field in old_fields.items():
        if (side, path) in new_fields:
            is_sent = path in usage.sent.get(request, _NO_WORDS)
            for kind, sentence, words in _field_changes(
                side, field, new_fields[side, path], usage.names, is_sent=is_sent
            ):
                yield Change(
                    kind=kind, operation=name, side=side, path=path, sentence=sentence, words=words
                )
    yield from _new_requirements(name, old_fields, new_fields)


def _is_deprecated(operation: DescribedOperation) -> bool:
    return operation.node.child("deprecated").value is True


def _removed_fields(name: str, old_fields: Fields, new_fields: Fields) -> Iterator[Change]:
    """Yield the used fields that were removed; fields inside a removed field are not repeated."""
    removed_places: set[tuple[FieldSide, str]] = set()
    for (side, path), field in old_fields.items():
        if (side, path) not in new_fields and field.used:
            removed_places.add((side, path))
            if (side, _parent_path(path)) not in removed_places:
                yield Change(
                    kind=ChangeKind.FIELD_REMOVED,
                    operation=name,
                    side=side,
                    path=path,
                    sentence="The field is no longer described.",
                )


def _parent_path(path: str) -> str:
    return path.rpartition(".")[0].removesuffix(".*").removesuffix("[]")


def _new_requirements(name: str, old_fields: Fields, new_fields: Fields) -> Iterator[Change]:
    for (side, path), field in new_fields.items():
        if (side, path) in old_fields or side is FieldSide.ANSWER or not field.required:
            continue
        outer_path = _parent_path(path)
        is_below_new = outer_path and (side, outer_path) not in old_fields
        if not is_below_new:
            yield _required_change(name, side, path)


def _required_change(name: str, side: FieldSide, path: str) -> Change:
    return Change(
        kind=ChangeKind.NOW_REQUIRED,
        operation=name,
        side=side,
        path=path,
        sentence="Requests must now contain the field.",
    )


def _field_changes(
    side: FieldSide, old: Field, new: Field, names: frozenset[str], *, is_sent: bool
) -> Iterator[tuple[ChangeKind, str, tuple[str, ...]]]:
    is_answer = side is FieldSide.ANSWER
    if new.required and not old.required and not is_answer and not is_sent:
        yield ChangeKind.NOW_REQUIRED, "Requests must now contain the field.", ()
    if not old.used:
        return
    if old.required and not new.required and is_answer:
        yield ChangeKind.NOW_OPTIONAL, "Responses may now omit the field.", ()
    allowed_types, types = (old.types, new.types) if is_answer else (new.types, old.types)
    if old.types != new.types and not _includes_types(allowed_types, types):
        sentence = f"The type was {_join_words(old.types)}, and is now {_join_words(new.types)}."
        yield ChangeKind.TYPE_CHANGED, sentence, ()
    elif old.format and new.format and old.format != new.format:
        sentence = f"The format was {old.format}, and is now {new.format}."
        yield ChangeKind.FORMAT_CHANGED, sentence, ()
    yield from _word_changes(old, new, names, is_answer=is_answer)


def _includes_types(allowed_types: frozenset[str], types: frozenset[str]) -> bool:
    """Return whether a set of allowed types includes others; an empty set means any type."""
    if not allowed_types:
        return True
    wider_types = allowed_types | {"integer"} if "number" in allowed_types else allowed_types
    return bool(types) and types <= wider_types


def _word_changes(
    old: Field, new: Field, names: frozenset[str], *, is_answer: bool
) -> Iterator[tuple[ChangeKind, str, tuple[str, ...]]]:
    old_words, new_words = old.words or _NO_WORDS, new.words or _NO_WORDS
    if new.words is not None:
        removed_words = (old_words - new_words) & names
        if removed_words:
            list_text = _join_words(removed_words)
            yield (
                ChangeKind.WORDS_REMOVED,
                f"{list_text} is no longer described."
                if len(removed_words) == 1
                else f"{list_text} are no longer described.",
                tuple(sorted(removed_words)),
            )
        elif old.words is None and not is_answer:
            yield (
                ChangeKind.WORDS_REMOVED,
                (f"Requests may now contain only {_join_words(new_words)}."),
                (),
            )
    added_words = new_words - old_words
    if is_answer and old.words is not None and added_words - names and old_words & names:
        unknown_words = added_words - names
        yield (
            ChangeKind.WORDS_ADDED,
            f"Responses may now contain {_join_words(unknown_words)}.",
            tuple(sorted(unknown_words)),
        )


def _join_words(words: Iterable[str]) -> str:
    sorted_words = sorted(words)
    hidden_count = len(sorted_words) - _MOST_LISTED
    list_text = ", ".join(sorted_words[:_MOST_LISTED]) or "anything"
    return f"{list_text} and {hidden_count} more" if hidden_count > 0 else list_text
