"""Rules for the text of a SQL statement: values must be parameters, not part of the text.

A text is read into tokens without a grammar of SQL, so the rules hold for every database:

1. Quoted text, comments, backslashes and dollar quotes are refused, and so is a semicolon: there is
   one statement, and no place in which a value could hide.
2. A number is refused where a parameter belongs: beside a comparison, in a list of values, after
   LIMIT and the like. Elsewhere it is part of the statement, as in `numeric(10, 2)`.
3. A parameter is `:name`. After IN it stands for a list.
4. CREATE, ALTER and DROP accept no parameters, so values in them are refused with another remedy.
5. A statement that changes the connection, such as BEGIN or SET, is refused, because another
   caller uses the connection next.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>--|/\*|\#(?![>\-]))
    | (?P<quoted>'|\$|\\)
    | (?P<identifier>"(?:[^"]|"")*"|`(?:[^`]|``)*`)
    | (?P<cast>::)
    | (?<![:\w]):(?P<bind>\w+)(?!:)
    | (?P<operator>->>?|\#>>?|\#-|@>|<@|\|\||&&)
    | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+\-]?\d+)?)
    | (?P<word>[^\W\d]\w*)
    | (?P<comparison><=>|<=|>=|<>|!=|!~\*?|~\*?|=|<|>)
    | (?P<semicolon>;)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_WORDS_BEFORE_VALUE: Final = frozenset(
    {
        "AND", "BETWEEN", "FETCH", "FIRST", "HAVING", "ILIKE", "IN", "IS", "LIKE", "LIMIT",
        "NEXT", "NOT", "OFFSET", "ON", "OR", "REGEXP", "RLIKE", "TOP", "VALUES", "WHEN", "WHERE",
        "XOR",
    }
)  # fmt: skip
"""SQL words after which a value may stand."""

_LIST_KEYWORDS: Final = frozenset({"IN", "VALUES"})

_READING_WORDS: Final = frozenset(
    {"SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DESCRIBE"}
)
_WRITING_WORDS: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "INTO"})

_CONTROLS: Final = frozenset(
    {
        "ABORT", "BEGIN", "COMMIT", "DEALLOCATE", "DISCARD", "END", "LISTEN", "PREPARE", "RELEASE",
        "RESET", "ROLLBACK", "SAVEPOINT", "SET", "START", "UNLISTEN", "USE",
    }
)  # fmt: skip
"""First words of SQL statements that change the connection for its next user."""

_DEFINITION_WORDS: Final = frozenset({"ALTER", "CREATE", "DROP"})
"""First words of SQL statements that take no parameters."""

_QUOTATION_MARKS: Final = frozenset('"`')


@attrs.frozen
class SqlText:
    """The text of one SQL statement that contains no values.

    Attributes:
        text: the text.
        parameters: the names of its parameters.
        lists: the names of the parameters that stand after IN, each for a list of values.
        reads: True if the statement begins like a query, and contains no clause that begins
            like a change. A
            function that it calls may still change something.
        has_double_quotes: True if a name is in double quotes, which MySQL reads as a value.
    """

    text: str
    parameters: frozenset[str]
    lists: frozenset[str]
    reads: bool = True
    has_double_quotes: bool = False


@attrs.frozen
class SqlToken:
    """A lexical token of a SQL statement: a word, a name, a parameter or a symbol.

    Attributes:
        kind: the token's kind, such as "word" or "bind".
        text: the token's text.
        at: the token's position in the statement.
    """

    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """Return a keyword or name in capitals; an empty string for any other token."""
        return self.text.upper() if self.kind == "word" else ""


def read_sql(text: object) -> SqlText:
    """Return a SQL text, checked to be one statement without values or comments.

    Raises:
        InvalidData: the text holds a value, a comment or several statements, or it is not a string.
    """
    if type(text) is not str or not text.strip():
        raise InvalidData(
            f"A SQL statement must be a string, not {type(text).__name__}."
            if type(text) is not str
            else "The SQL statement is empty.",
            field="text",
            remedy="Write the statement as a literal text with parameters such as :name.",
        )
    tokens = sql_tokens(text)
    if tokens[0].word in _CONTROLS:
        raise InvalidData(
            f"The SQL statement begins with {tokens[0].word}, which changes the connection.",
            field="text",
            remedy="For a transaction, use `transaction` or `batch`. For settings of the"
            " connections, use the connector's `options`.",
        )
    parameters, lists = set[str](), set[str]()
    for number, token in enumerate(tokens):
        refusal = _refusal(tokens[0].word, token)
        if refusal is not None:
            raise refusal
        if token.kind == "bind":
            parameters.add(token.text)
            if _begins_list(tokens, number):
                lists.add(token.text)
    _refuse_literal_numbers(tokens)
    return SqlText(
        text,
        frozenset(parameters),
        frozenset(lists),
        _reads_only(tokens),
        any(token.kind == "identifier" and token.text.startswith('"') for token in tokens),
    )


def sql_tokens(text: str) -> list[SqlToken]:
    """Return the lexical tokens of a SQL text, without checking them."""
    return [
        SqlToken(match.lastgroup or "other", match[match.lastgroup or 0], match.start())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "space"
    ]


def _reads_only(tokens: Sequence[SqlToken]) -> bool:
    first_word = next((token.word for token in tokens if token.text != "("), "")
    return first_word in _READING_WORDS and not any(
        token.word in _WRITING_WORDS
        and (
            tokens[number - 1].text in {"(", ")"} or token.word == "INTO" or first_word == "EXPLAIN"
        )
        for number, token in enumerate(tokens)
    )


def _begins_list(tokens: Sequence[SqlToken], number: int) -> bool:
    """Return whether a parameter is the only item after IN, so that it stands for a list."""
    previous_token = tokens[number - 1] if number else None
    if previous_token is None:
        return False
    if previous_token.word == "IN":
        return True
    next_text = tokens[number + 1].text if number + 1 < len(tokens) else ""
    return (
        previous_token.text == "("
        and next_text == ")"
        and number > 1
        and tokens[number - 2].word == "IN"
    )


def _refuse_literal_numbers(tokens: Sequence[SqlToken]) -> None:
    """Refuse a literal number in a SQL text where a parameter belongs."""
    lists: list[bool] = []
    for number, token in enumerate(tokens):
        previous_token = tokens[number - 1] if number else None
        if token.text == "(":
            lists.append(
                (previous_token is not None and previous_token.word in _LIST_KEYWORDS)
                or (
                    previous_token is not None
                    and previous_token.text == ","
                    and _continues_values(tokens, number)
                )
            )
        elif token.text == ")":
            if lists:
                lists.pop()
        elif token.kind == "number" and (
            _is_compared(tokens, number) or (bool(lists) and lists[-1])
        ):
            raise _value_refusal(tokens[0].word, token)


def _continues_values(tokens: Sequence[SqlToken], number: int) -> bool:
    """Return whether a parenthesis begins another row of VALUES."""
    depth = 0
    for token in reversed(tokens[:number]):
        depth += (token.text == ")") - (token.text == "(")
        if depth == 0 and token.kind == "word":
            return token.word == "VALUES"
    return False


def _is_compared(tokens: Sequence[SqlToken], number: int) -> bool:
    """Return whether a number is an operand of a comparison or of a condition."""
    left_index = number - 1
    while left_index >= 0 and tokens[left_index].text in {"+", "-", "("}:
        left_index -= 1
    left_token = tokens[left_index] if left_index >= 0 else None
    if left_token is not None and (
        left_token.kind == "comparison" or left_token.word in _WORDS_BEFORE_VALUE
    ):
        return True
    right_index = number + 1
    while right_index < len(tokens) and tokens[right_index].text == ")":
        right_index += 1
    right_token = tokens[right_index] if right_index < len(tokens) else None
    return right_token is not None and right_token.kind == "comparison"


def _refusal(first: str, token: SqlToken) -> InvalidData | None:
    """Return the error for a token that no SQL statement may contain; None if it may.

    The SQL text may contain a secret value, so the errors name only the position.

    Args:
        first: the first word of the statement.
        token: a token of the statement.
    """
    if token.kind == "comment":
        return InvalidData(
            f"The SQL statement contains a comment, at character {token.at + 1}.",
            field="text",
            remedy="Move the comment into the Python code.",
        )
    if token.kind == "semicolon":
        return InvalidData(
            f"The SQL statement contains a semicolon, at character {token.at + 1}.",
            field="text",
            remedy="Declare each statement separately, without a semicolon.",
        )
    if token.kind == "quoted":
        return _value_refusal(first, token)
    if token.kind == "other" and token.text in _QUOTATION_MARKS:
        return InvalidData(
            f"The SQL statement contains an unclosed quote, at character {token.at + 1}.",
            field="text",
            remedy="Close the quote.",
        )
    if token.kind == "bind" and not token.text.isidentifier():
        return InvalidData(
            "The SQL statement contains a parameter name that begins with a digit, at"
            f" character {token.at + 1}.",
            field="text",
            remedy="Begin the name of a parameter with a letter, as in :name.",
        )
    return None


def _value_refusal(first: str, token: SqlToken) -> InvalidData:
    """Return the error for a value in a statement with this first word."""
    if first in _DEFINITION_WORDS:
        return InvalidData(
            f"The {first} statement contains a value, at character {token.at + 1}, but {first}"
            " accepts no parameters.",
            field="text",
            remedy="Declare the statement as a SQLAlchemy expression, such as"
            " CreateTable(table), or run it in the program that migrates your tables.",
        )
    if token.kind == "number":
        return InvalidData(
            "The SQL statement contains a number that should be a parameter, at character"
            f" {token.at + 1}.",
            field="text",
            remedy="Write a parameter such as :name instead, and pass the number when you"
            " perform the statement.",
        )
    return InvalidData(
        "The SQL statement contains quoted text, a dollar sign or a backslash, at character"
        f" {token.at + 1}.",
        field="text",
        remedy="Write a parameter such as :name instead, and pass the value when you perform"
        " the statement.",
    )
