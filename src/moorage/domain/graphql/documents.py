"""A minimal parser of GraphQL documents, which finds only their operations."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEXEME: Final = late_pattern(
    r"(?:[\s,\ufeff]|#[^\n\r]*)+"
    r'|(?P<block>"""(?:[^\\"]|\\"""|\\|"(?!""))*""")'
    r'|(?P<string>"(?:[^"\\\n\r]|\\.)*")'
    r"|(?P<name>[_A-Za-z][_0-9A-Za-z]*)"
    r"|(?P<other>\.\.\.|[-+.0-9eE]+|[!$&()\[\]{}:=@|])"
)
_KINDS: Final = ("query", "mutation", "subscription")
_STRING: Final = '""'
_OPENING_BRACKETS: Final = frozenset("{([")
_CLOSING_BRACKETS: Final = frozenset("})]")


@attrs.frozen
class GraphQLDocument:
    """A GraphQL document with exactly one operation.

    Attributes:
        text: the document. Values belong in variables, never in the text.
        kind: `query`, `mutation` or `subscription`.
        name: the name of the operation; None if it has no name.
    """

    text: str = attrs.field(repr=False)
    kind: str
    name: str | None


def read_document(text: object) -> GraphQLDocument:
    """Parse a GraphQL document of one operation and any number of fragments.

    Raises:
        InvalidData: the text is not a document, or does not have exactly one operation.
    """
    if not isinstance(text, str):
        raise _no_document(f"The document is {with_article(type(text).__name__)}, not a string.")
    operations: list[tuple[str, str | None]] = []
    for definition_type, definition_name in _definitions(list(_lexemes(text))):
        if definition_type == "{":
            operations.append(("query", None))
        elif definition_type in _KINDS:
            operations.append(
                (definition_type, definition_name if definition_name.isidentifier() else None)
            )
        elif definition_type != "fragment":
            raise _no_document(
                f"A definition in the document begins with {definition_type[:40]!r}, which is"
                " not valid."
            )
    if len(operations) != 1:
        raise InvalidData(
            f"The document has {len(operations)} operations instead of one.",
            field="document",
            remedy="Write a separate document for each operation, with the fragments that it uses.",
        )
    ((kind, name),) = operations
    return GraphQLDocument(text, kind, name)


def _definitions(lexemes: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the first two lexical tokens of each definition, without its description."""
    depth = 0
    at_start = True
    for lexeme, next_lexeme in pairwise([*lexemes, ""]):
        if at_start and lexeme == _STRING:
            continue
        if at_start:
            yield lexeme, next_lexeme
        if lexeme in _OPENING_BRACKETS:
            depth += 1
        elif lexeme in _CLOSING_BRACKETS:
            depth -= 1
        # A GraphQL definition ends with its selection of fields, not with its list of variables.
        at_start = depth == 0 and lexeme == "}"
    if not at_start:
        raise _no_document("The braces and brackets of the document are not balanced.")


def _lexemes(text: str) -> Iterator[str]:
    """Yield the lexical tokens of a GraphQL text; strings are replaced by empty ones."""
    position = 0
    while position < len(text):
        match = _LEXEME.match(text, position)
        if match is None:
            line = text.count("\n", 0, position) + 1
            raise _no_document(f"Line {line} of the document has a character that is not allowed.")
        position = match.end()
        if match.lastgroup in {"block", "string"}:
            yield _STRING
        elif match.lastgroup is not None:
            yield match.group()


def _no_document(message: str) -> InvalidData:
    return InvalidData(
        message,
        field="document",
        remedy="Pass a GraphQL document, such as 'query Orders { orders { id } }'.",
    )
