"""The summary of a SQL statement: only its commands and tables.

OpenTelemetry's conventions for databases group spans by it. It is made from the tokens of the
statement without a grammar of SQL, so an unusual statement may get a shorter summary, but a summary
never contains a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.connectors.sql_text import sql_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moorage.domain.connectors.sql_text import SqlToken

_COMMANDS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "CALL"})
_WORDS_BEFORE_TABLE: Final = frozenset({"FROM", "JOIN", "INTO", "UPDATE", "USING", "CALL"})
_WORDS_WITHOUT_COMMAND: Final = frozenset(
    {"FOR", "DO", "KEY", "ON", "NO", "THEN", "BEFORE", "AFTER"}
)
"""Words after which UPDATE or DELETE belongs to another SQL command."""

_WORDS_BETWEEN: Final = frozenset(
    {"IF", "NOT", "EXISTS", "ONLY", "LATERAL", "IGNORE", "LOW_PRIORITY"}
)
_OBJECTS: Final = frozenset({"TABLE", "VIEW", "INDEX", "SEQUENCE", "SCHEMA", "DATABASE"})
_MAX_LENGTH: Final = 255


@attrs.frozen
class SqlSummary:
    """The commands and tables of a SQL statement.

    Attributes:
        text: the commands and tables in the order of the statement, such as "INSERT orders SELECT
            carts".
        operation: the command; None if there are several.
        collection: the table; None if there are several or none.
    """

    text: str
    operation: str | None
    collection: str | None


def summary_of(statement: str) -> SqlSummary:
    """Return the summary of a SQL statement: its commands and tables."""
    tokens = [token for token in sql_tokens(statement) if token.kind != "comment"]
    parts = list(_parts(tokens))
    if not any(is_command for is_command, _ in parts) and tokens:
        parts.insert(0, (True, tokens[0].text))
    commands = [text for is_command, text in parts if is_command]
    tables = {text for is_command, text in parts if not is_command}
    text = ""
    for _, part in parts:
        if len(text) + len(part) >= _MAX_LENGTH:
            break
        text = f"{text} {part}".strip()
    return SqlSummary(
        text,
        commands[0] if len(commands) == 1 else None,
        tables.pop() if len(tables) == 1 else None,
    )


def _parts(tokens: Sequence[SqlToken]) -> Iterator[tuple[bool, str]]:
    """Yield a statement's commands and tables in order; True marks a command, False a table."""
    own_names = _names_of_with(tokens)
    in_query = [True]
    in_list = False
    for number, token in enumerate(tokens):
        word = token.word
        previous_word = tokens[number - 1].word if number else ""
        if token.text == "(":
            next_word = tokens[number + 1].word if number + 1 < len(tokens) else ""
            in_query.append(next_word in {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"})
        elif token.text == ")" and len(in_query) > 1:
            in_query.pop()
        elif number == 0 and word in {"CREATE", "DROP", "ALTER", "TRUNCATE"}:
            yield True, token.text
        elif word in _OBJECTS and number <= 2:
            yield from _table_name_at(tokens, number + 1, own_names)
        elif word in _COMMANDS and _is_command(tokens, number, previous_word):
            yield True, token.text
        if (
            word in _WORDS_BEFORE_TABLE
            and in_query[-1]
            and previous_word not in {"DISTINCT", *_WORDS_WITHOUT_COMMAND}
        ):
            in_list = word == "FROM"
            yield from _table_name_at(tokens, number + 1, own_names)
        elif in_list and token.text == "," and in_query[-1]:
            yield from _table_name_at(tokens, number + 1, own_names)
        elif word in {"WHERE", "GROUP", "ORDER", "LIMIT", "SELECT", "ON", "SET", "UNION"}:
            in_list = False


def _is_command(tokens: Sequence[SqlToken], number: int, before: str) -> bool:
    next_text = tokens[number + 1].text if number + 1 < len(tokens) else ""
    # REPLACE(name, …) and INSERT(text, …) are functions.
    return before not in _WORDS_WITHOUT_COMMAND and (
        next_text != "(" or tokens[number].word == "SELECT"
    )


def _table_name_at(
    tokens: Sequence[SqlToken], number: int, own_names: frozenset[str]
) -> Iterator[tuple[bool, str]]:
    """Yield the table name that begins at a token, with its schema; nothing if there is none."""
    while number < len(tokens) and tokens[number].word in _WORDS_BETWEEN:
        number += 1
    if number >= len(tokens) or tokens[number].kind not in {"word", "identifier"}:
        return
    name = tokens[number].text
    if tokens[number].word in {*_OBJECTS, "SELECT", "VALUES", "SET"}:
        return
    while number + 2 < len(tokens) and tokens[number + 1].text == ".":
        number += 2
        name += f".{tokens[number].text}"
    next_text = tokens[number + 1].text if number + 1 < len(tokens) else ""
    is_function = next_text == "(" and tokens[number - 1].word in {"FROM", "JOIN", "LATERAL"}
    if not is_function and name.upper() not in own_names:
        yield False, name


def _names_of_with(tokens: Sequence[SqlToken]) -> frozenset[str]:
    """Return the names of the subqueries that a SQL statement defines in its WITH clause."""
    if not tokens or tokens[0].word != "WITH":
        return frozenset()
    return frozenset(
        token.word
        for number, token in enumerate(tokens[1:-1], 1)
        if token.word
        and (tokens[number - 1].word in {"WITH", "RECURSIVE"} or tokens[number - 1].text == ",")
        and (tokens[number + 1].text == "(" or tokens[number + 1].word == "AS")
    )
