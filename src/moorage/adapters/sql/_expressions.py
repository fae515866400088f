"""Uses SQLAlchemy expressions as statements; their values are always sent as parameters.

An expression may still contain text: `text()`, `literal_column()`, custom operators, hints and
prefixes. At this point it cannot be seen whether that text was a literal, so such text is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import DDL, BindParameter, Extract, bindparam, text
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ClauseElement, TextClause
from sqlalchemy.sql.expression import Executable, SelectBase
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.sql.visitors import iterate

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.adapters.sql.statements import Statement

_HINTS: Final = ("_hints", "_statement_hints", "_prefixes", "_suffixes", "_with_options")


def check_expression(expression: object, *, safe: bool) -> Executable:
    """Check that a SQLAlchemy expression contains no literal SQL text, and return it.

    Raises:
        InvalidData: the value is not an expression, contains text, or is of the wrong kind.
    """
    if not isinstance(expression, ClauseElement) or not isinstance(expression, Executable):
        raise InvalidData(
            f"An object of the type {type(expression).__name__} is not an SQL statement.",
            field="statement",
            remedy="Pass a string literal, or an SQLAlchemy expression such as select(table).",
        )
    if safe and not isinstance(expression, SelectBase) and not isinstance(expression, TextClause):
        raise InvalidData(
            f"An expression of the type {type(expression).__name__} is not a query.",
            field="statement",
            remedy="Declare the statement as a Command.",
        )
    for element in iterate(cast("Any", expression)):
        found_part = "a change" if safe and isinstance(element, UpdateBase) else _own_text(element)
        if found_part is not None:
            raise InvalidData(
                f"The expression contains {found_part}.",
                field="statement",
                remedy="Use only tables, columns, functions and values of SQLAlchemy, or"
                " write the whole statement as a string literal. Declare statements"
                " that change data as a Command.",
            )
    return expression


def _own_text(element: object) -> str | None:
    return _text_of_clause(element) or _text_of_options(element)


def _text_of_clause(element: object) -> str | None:
    if isinstance(element, TextClause):
        return "text()"
    if isinstance(element, DDL):
        return "DDL()"
    if isinstance(element, Extract) and not element.field.isidentifier():
        return "a field of extract() that is not a name"
    if isinstance(element, BindParameter) and element.literal_execute:
        return "a value that is rendered into the text"
    return None


def _text_of_options(element: Any) -> str | None:
    if getattr(element, "is_literal", False) and element.name != "*":
        return "literal_column()"
    clause = getattr(element, "_post_values_clause", None)
    constraint = getattr(clause, "constraint_target", None)
    if isinstance(constraint, str) and not constraint.isidentifier():
        return "a constraint that is not a name"
    for operator in ("operator", "modifier"):
        if isinstance(getattr(element, operator, None), custom_op):
            return "a custom operator"
    if any(getattr(element, name, None) for name in _HINTS):
        return "a hint or a prefix"
    return None


def executable_of(statement: Statement) -> tuple[Any, frozenset[str], frozenset[str]]:
    """Return the statement for SQLAlchemy, and the names of its single and list parameters."""
    sql = statement.text
    if sql is None:
        expression = cast("Any", statement.expression)
        required_names: set[str] = set()
        for element in iterate(expression):
            if isinstance(element, BindParameter) and element.required:
                required_names.add(element.key)
        lists = frozenset(
            element.key
            for element in iterate(expression)
            if isinstance(element, BindParameter) and element.required and element.expanding
        )
        return expression, frozenset(required_names), lists
    clause = text(sql.text)
    if sql.lists:
        list_parameters: list[Any] = [bindparam(name, expanding=True) for name in sql.lists]
        clause = clause.bindparams(*list_parameters)
    return clause, sql.parameters, sql.lists
