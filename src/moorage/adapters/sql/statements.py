"""SQL statements, declared once as values and performed with parameters.

A string has to be a literal of the program. A type checker checks that with `LiteralString`; at run
time, a literal is a constant of the code that declares the statement. A string that was built from
values, by any means, is a new object and not a constant.
"""

from __future__ import annotations

from inspect import currentframe
from typing import TYPE_CHECKING, Any, Final, LiteralString, NoReturn, Self, cast

from moorage.domain.connectors.sql_text import SqlText, read_sql
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from types import FrameType

    from sqlalchemy.sql.expression import Executable


_COMPREHENSIONS: Final = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>"})


class Statement:
    """An immutable declared SQL statement: a `Query` or a `Command`.

    Attributes:
        name: the statement's name in events, errors and logs.
        safe: True if it changes nothing.
        repeatable: True if performing it twice has the same effect as performing it once.
        text: the checked text; None if the statement is an expression of SQLAlchemy.
        expression: the expression of SQLAlchemy; None if the statement was written as a string.
        compiled: the form that connectors prepare at the first use; None before it.
    """

    __slots__ = ("compiled", "expression", "name", "repeatable", "safe", "text")

    name: str
    safe: bool
    repeatable: bool
    text: SqlText | None
    expression: Executable | None
    compiled: tuple[Any, frozenset[str], frozenset[str]] | None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A statement cannot be changed: {name}.")

    def __copy__(self) -> Self:
        """Return the statement itself, which never changes."""
        return self

    def __deepcopy__(self, _: object) -> Self:
        """Return the statement itself, which never changes."""
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise InvalidData(
            f"The statement {self.name!r} cannot be pickled, because the unpickled text would"
            " not be a string literal of the program.",
            field="statement",
            remedy="Declare the statement in a module that each process imports.",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Query(Statement):
    """A statement that only reads, and may be repeated after any failure.

    Numbers and strings in the statement are refused, even harmless ones such as `LIMIT 10`: write
    parameters such as `LIMIT :most`, and give their values with the call.

    Args:
        statement: a literal text such as "SELECT name FROM customers WHERE id = :id", or an
            expression of SQLAlchemy such as `select(customers)`. Values are parameters: `:id` for
            one value, `IN :ids` for a list of them.
        name: the name of the statement, such as "customers.find".
    """

    __slots__ = ()

    def __init__(self, statement: LiteralString | Executable, *, name: str) -> None:
        _declare(self, statement, name, currentframe(), safe=True, repeatable=True)


class Command(Statement):
    """A statement that changes rows, and is repeated only if it certainly had no effect.

    Args:
        statement: a literal text such as "DELETE FROM carts WHERE id = :id", or an expression of
            SQLAlchemy such as `delete(carts)`.
        name: the name of the statement, such as "carts.delete".
        repeatable: True if performing it twice has the same effect as performing it once. Then it
            is repeated like a query.
    """

    __slots__ = ()

    def __init__(
        self, statement: LiteralString | Executable, *, name: str, repeatable: bool = False
    ) -> None:
        _declare(self, statement, name, currentframe(), safe=False, repeatable=repeatable)


def configured_statement(name: str, text: str, *, repeatable: bool) -> Statement:
    """Return a statement whose text comes from a configuration file.

    A configured statement must not contain values either, so its text is checked like a literal.

    Args:
        name: the name of the statement.
        text: the whole text; it is a query if it begins like one, and a command otherwise.
        repeatable: whether a command may be repeated after a failure.

    Raises:
        InvalidData: the text contains a value, or is not a single statement.
    """
    checked = read_sql(text)
    kind = Query if checked.reads else Command
    statement = kind.__new__(kind)
    _assign(statement, checked, None, name, safe=checked.reads, repeatable=repeatable)
    return statement


def _declare(
    target: Statement,
    statement: object,
    name: str,
    frame: FrameType | None,
    *,
    safe: bool,
    repeatable: bool,
) -> None:
    if type(name) is not str or not name:
        raise InvalidData(
            "A SQL statement has no name.",
            field="name",
            remedy='Pass a name such as "customers.find".',
        )
    text: SqlText | None = None
    expression: object = None
    if isinstance(statement, str):
        if not _is_literal(statement, frame):
            raise InvalidData(
                f"The text of the statement {name!r} was built at run time, so it may contain"
                " a value.",
                field="statement",
                remedy="Write the text as a single string literal in the declaration, and"
                " pass values as parameters such as :name. For variable columns and"
                " conditions, declare an SQLAlchemy expression, such as"
                " select(table).where(…).",
            )
        text = read_sql(statement)
        if safe and not text.reads:
            raise InvalidData(
                f"The statement {name!r} is not a query.",
                field="statement",
                remedy="Declare the statement as a Command.",
            )
    else:
        from moorage.adapters.sql._expressions import (  # noqa: PLC0415 - imports SQLAlchemy
            check_expression,
        )

        expression = check_expression(statement, safe=safe)
    _assign(target, text, expression, name, safe=safe, repeatable=repeatable)


def _assign(
    target: Statement,
    text: SqlText | None,
    expression: object,
    name: str,
    *,
    safe: bool,
    repeatable: bool,
) -> None:
    """Set the fields of a new immutable statement."""
    values = {"text": text, "expression": expression, "name": name, "safe": safe}
    for field, value in {**values, "repeatable": repeatable or safe, "compiled": None}.items():
        object.__setattr__(target, field, value)


def _is_literal(text: str, frame: FrameType | None) -> bool:
    """Return whether a string is a literal in the code that declared the statement."""
    frame = frame and frame.f_back
    while frame is not None:
        if _is_constant(text, frame.f_code.co_consts):
            return True
        # Before Python 3.12, a comprehension is a separate function, but its literals count as the
        # caller's.
        frame = frame.f_back if frame.f_code.co_name in _COMPREHENSIONS else None
    return False


def _is_constant(text: str, constants: tuple[object, ...]) -> bool:
    """Return whether a string is one of the constants, or is in a tuple of the constants."""
    return any(
        constant is text
        or (
            isinstance(constant, (tuple, frozenset))
            and _is_constant(text, tuple(cast("tuple[object, ...]", constant)))
        )
        for constant in constants
    )
