"""Declared SQL statements refuse SQL text that could contain a value."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from moorage import InvalidData
from moorage.adapters.sql.statements import Command, Query
from moorage.domain.connectors.sql_text import read_sql

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = sa.table("orders", sa.column("id"), sa.column("status"), sa.column("total"))
EVIL = "1 OR TRUE"
IDENTIFIER = "orders, passwords"

GOOD_TEXTS = [
    "SELECT 1",
    "SELECT id, total + 1 FROM orders WHERE id = :id",
    "SELECT id FROM orders WHERE id IN :ids AND status IN (:statuses) LIMIT :limit",
    "SELECT CAST(total AS numeric(10, 2)), data -> 0, data ->> :key FROM orders",
    "SELECT created::date, coalesce(total, 0) FROM orders ORDER BY 2",
    "INSERT INTO orders (id, total) VALUES (:id, :total), (:other, :rest) RETURNING id",
    'SELECT "Order", `key` FROM orders',
    "SELECT tags[1 : 2] FROM orders",
    "SELECT id FROM orders LIMIT :limit)",
    "(:id, :total), (8)",
    ":id",
]


@pytest.mark.parametrize("text", GOOD_TEXTS)
def test_usual_statements_are_accepted(text: str) -> None:
    """A statement whose values are parameters or constant numbers is accepted."""
    assert text == read_sql(text).text


@pytest.mark.parametrize(
    "text, reason",
    [
        ("SELECT id FROM orders WHERE status = 'open'", "quoted text"),
        ("SELECT id FROM orders WHERE status = $tag$open$tag$", "dollar sign"),
        (r"SELECT id FROM orders WHERE status = :a \:b", "backslash"),
        ("SELECT id FROM orders -- WHERE total > :limit", "comment"),
        ("SELECT id /* all */ FROM orders", "comment"),
        ("SELECT id FROM orders # all", "comment"),
        ("SELECT id FROM orders; DELETE FROM orders", "semicolon"),
        ("SELECT id FROM orders;", "semicolon"),
        ("SELECT id FROM orders WHERE id = 7", "number"),
        ("SELECT id FROM orders WHERE id = -7.5e3", "number"),
        ("SELECT id FROM orders WHERE 7 < id", "number"),
        ("SELECT id FROM orders WHERE id BETWEEN :low AND 7", "number"),
        ("SELECT id FROM orders WHERE id IN (:first, 7)", "number"),
        ("SELECT id FROM orders WHERE id = :id OR 1", "number"),
        ("SELECT id FROM orders LIMIT 7", "number"),
        ("INSERT INTO orders VALUES (:id, 7)", "number"),
        ("INSERT INTO orders VALUES (:id, :total), (8, :other)", "number"),
        ("UPDATE orders SET total = 7", "number"),
        ('SELECT "id FROM orders', "unclosed quote"),
        ("SELECT :1", "begins with a digit"),
        ("", "empty"),
    ],
)
def test_values_in_a_text_are_refused(text: str, reason: str) -> None:
    """A statement with a literal, comment or second statement is refused; no error quotes it."""
    with pytest.raises(InvalidData, match=reason) as excinfo:
        read_sql(text)

    assert not text or text not in str(excinfo.value)


@pytest.mark.parametrize(
    "text, first",
    [
        ("CREATE TABLE stock (pieces integer CHECK (pieces >= 0))", "CREATE"),
        ("create table stock (state varchar(20) DEFAULT 'open')", "CREATE"),
        ("ALTER TABLE stock ADD CHECK (pieces > 0)", "ALTER"),
        ("DROP TABLE 'stock'", "DROP"),
    ],
)
def test_error_for_value_in_ddl_does_not_recommend_a_parameter(text: str, first: str) -> None:
    """If CREATE, ALTER or DROP contains a value, the error does not recommend a parameter."""
    with pytest.raises(InvalidData) as excinfo:
        read_sql(text)

    assert f"{first} accepts no parameters" in str(excinfo.value)
    assert "CreateTable(table)" in excinfo.value.remedy
    assert ":name" not in excinfo.value.remedy


def test_definitions_without_values_are_accepted() -> None:
    """CREATE, ALTER and DROP are accepted if their only values are sizes and numeric defaults."""
    text = "CREATE TABLE stock (total numeric(10, 2) DEFAULT 0, name varchar(40))"

    assert text == read_sql(text).text


def test_parameters_and_lists_are_found() -> None:
    """A statement's parameters are recognised, and those after IN as lists."""
    sql = read_sql("SELECT id FROM orders WHERE id IN (:ids) AND kind IN :kinds AND total > :low")

    assert {"ids", "kinds", "low"} == set(sql.parameters)
    assert {"ids", "kinds"} == set(sql.lists)


@given(st.text(alphabet=string.printable, max_size=40))
def test_no_quote_or_second_statement_survives(tail: str) -> None:
    """Accepted statements have no quoted value or comment, and ";" only within a quoted name."""
    try:
        sql = read_sql(f"SELECT id FROM orders WHERE status = :status {tail}")
    except InvalidData:
        return
    outside = "".join(
        part for number, part in enumerate(sql.text.replace("`", '"').split('"')) if not number % 2
    )
    assert not set("';$\\") & set(outside)
    assert "--" not in outside
    assert "/*" not in outside


def _by_concatenation(value: str) -> str:
    return "SELECT id FROM orders WHERE id = " + value


def _by_percent(value: str) -> str:
    return "SELECT id FROM orders WHERE id = %s" % value  # noqa: UP031 - the door that is tried


def _by_format(value: str) -> str:
    return "SELECT id FROM orders WHERE id = {}".format(value)  # noqa: UP032 - the door that is tried


def _by_f_string(value: str) -> str:
    return f"SELECT id FROM orders WHERE id = {value}"


def _by_join(value: str) -> str:
    return " ".join(["SELECT id FROM orders WHERE id =", value])  # noqa: FLY002 - the door that is tried


def _by_template(value: str) -> str:
    return string.Template("SELECT id FROM orders WHERE id = ${value}").substitute(value=value)


def _by_replacement(value: str) -> str:
    return "SELECT id FROM orders WHERE id = VALUE".replace("VALUE", value)


def _by_json(value: str) -> str:
    return "SELECT id FROM orders WHERE data = " + json.dumps({"id": value})


def _by_array(value: str) -> str:
    return "SELECT id FROM orders WHERE id = ANY(" + str([value]) + ")"


def _by_parameter_name(value: str) -> str:
    return "SELECT id FROM orders WHERE id = :" + value


DOORS = [
    _by_concatenation,
    _by_percent,
    _by_format,
    _by_f_string,
    _by_join,
    _by_template,
    _by_replacement,
    _by_json,
    _by_array,
    _by_parameter_name,
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("value", [EVIL, IDENTIFIER, "id", "x'; DROP TABLE orders; --"])
@pytest.mark.parametrize("kind", [Query, Command])
def test_statement_built_at_run_time_is_refused(
    kind: Callable[..., object], door: Callable[[str], str], value: str
) -> None:
    """A statement text built at run time is refused, even if it is harmless SQL."""
    with pytest.raises(InvalidData, match="built at run time"):
        kind(door(value), name="orders.find")


def test_text_of_another_function_is_refused() -> None:
    """A statement whose text comes from a function's argument is refused."""

    def declare(text: str) -> object:
        return Query(text, name="orders.find")  # pyright: ignore[reportArgumentType]  # the door that is tried

    with pytest.raises(InvalidData, match="built at run time"):
        declare("SELECT id FROM orders")


class Text(str):
    """A subclass of str."""

    __slots__ = ()


def test_other_types_are_refused() -> None:
    """Bytes, subclasses of str, and other objects are refused as SQL statements."""
    for statement in (b"SELECT 1", Text("SELECT 1"), 7, None, ORDERS):
        wrong: Any = statement
        with pytest.raises(InvalidData):
            Query(wrong, name="orders.find")


def test_literals_are_accepted_wherever_they_stand() -> None:
    """A string literal is accepted as a statement in a function, dict or loop, or on many lines."""
    table = {"find": Query("SELECT id FROM orders WHERE id = :id", name="find")}
    queries = [
        # The strings in the loop are constants in this function's code.
        Query(text, name="loop")
        for text in ("SELECT id FROM orders", "SELECT total FROM orders")
    ]
    long_query = Query("SELECT id FROM orders WHERE id = :id AND status = :status", name="long")

    assert ["find", "loop", "loop", "long"] == [
        query.name for query in (*table.values(), *queries, long_query)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM orders",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "SELECT id INTO copies FROM orders",
    ],
)
def test_statement_that_changes_rows_is_not_a_read(text: str) -> None:
    """A statement that changes rows is not classified as a read."""
    assert not read_sql(text).reads


def test_change_as_query_is_refused() -> None:
    """A Query that changes rows is refused, because queries are retried."""
    with pytest.raises(InvalidData, match="not a query"):
        Query("DELETE FROM orders", name="orders.delete")
    with pytest.raises(InvalidData, match="not a query"):
        Query(sa.delete(ORDERS), name="orders.delete")
    inserted = sa.insert(ORDERS).returning(ORDERS.c.id).cte()
    with pytest.raises(InvalidData, match="contains a change"):
        Query(sa.select(inserted), name="orders.insert")


@pytest.mark.parametrize(
    "expression",
    [
        sa.text(EVIL),
        sa.select(ORDERS).where(sa.text(EVIL)),
        sa.select(sa.literal_column(EVIL)),
        sa.select(ORDERS).where(ORDERS.c.id.op(f"= {EVIL} OR")(1)),
        sa.select(ORDERS).where(ORDERS.c.id.bool_op(EVIL)(1)),
        sa.select(ORDERS).prefix_with(EVIL),
        sa.select(ORDERS).suffix_with(EVIL),
        sa.select(ORDERS).with_hint(ORDERS, EVIL),
        sa.select(ORDERS).with_statement_hint(EVIL),
        sa.select(sa.extract(EVIL, ORDERS.c.id)),
        sa.select(ORDERS).where(ORDERS.c.id == sa.bindparam("x", EVIL, literal_execute=True)),
        sa.select(ORDERS).where(ORDERS.c.id.in_(sa.select(sa.literal_column(EVIL)))),
    ],
)
def test_text_in_an_expression_is_refused(expression: Any) -> None:
    """An SQLAlchemy expression that contains raw text is refused, however deeply nested."""
    with pytest.raises(InvalidData) as excinfo:
        Query(expression, name="orders.find")

    assert EVIL not in str(excinfo.value)


def test_upsert_constraint_must_be_a_plain_name() -> None:
    """The constraint of an upsert must be a plain name."""
    upsert = postgresql.insert(ORDERS).on_conflict_do_nothing(constraint=EVIL)
    with pytest.raises(InvalidData, match="constraint"):
        Command(upsert, name="orders.upsert")


@pytest.mark.parametrize(
    "expression",
    [
        sa.select(ORDERS).where(ORDERS.c.status == EVIL),
        sa.select(ORDERS).where(ORDERS.c.id.in_([EVIL])),
        sa.select(sa.table(EVIL, sa.column(IDENTIFIER))),
        sa.select(ORDERS.c.id.label(EVIL)).limit(7),
        sa.select(sa.func.count()).select_from(ORDERS),
    ],
)
def test_values_of_expressions_are_parameters_or_quoted_names(expression: Any) -> None:
    """Values in an SQLAlchemy expression become parameters, and names are quoted."""
    statement = Query(expression, name="orders.find")
    text = str(statement.expression)

    assert EVIL not in text.replace(f'"{EVIL}"', "").replace(f'"{IDENTIFIER}"', "")


def test_statements_cannot_be_changed() -> None:
    """A declared statement is immutable, and its repr shows its name."""
    query = Query("SELECT id FROM orders", name="orders.list")
    with pytest.raises(AttributeError):
        query.text = read_sql("SELECT 2")

    assert "<Query orders.list>" == repr(query)


def test_name_is_required() -> None:
    """A statement without a name is refused, because events and errors need the name."""
    with pytest.raises(InvalidData, match="no name"):
        Query("SELECT 1", name="")


@pytest.mark.parametrize(
    "text", ["BEGIN", "commit", "SET search_path TO x", "ROLLBACK", "SAVEPOINT a", "USE erp"]
)
def test_statements_that_change_the_connection_are_refused(text: str) -> None:
    """A statement that changes the connection's state, such as SET or BEGIN, is refused."""
    with pytest.raises(InvalidData, match="changes the connection") as excinfo:
        read_sql(text)

    assert "transaction" in excinfo.value.remedy
