"""Short summaries of SQL statements."""

from __future__ import annotations

import pytest

from moorage.domain.connectors.sql_summary import summary_of

CASES = {
    "SELECT name FROM customers WHERE id = :id": ("SELECT customers", "SELECT", "customers"),
    'select a.x FROM shop.a a, b JOIN "c d" ON a.i = b.i WHERE x IS DISTINCT FROM y': (
        'select shop.a b "c d"',
        "select",
        None,
    ),
    "INSERT INTO orders (id, note) SELECT id, note FROM carts": (
        "INSERT orders SELECT carts",
        None,
        None,
    ),
    "INSERT INTO t (a) VALUES (:a) ON CONFLICT (a) DO UPDATE SET a = :a": (
        "INSERT t",
        "INSERT",
        "t",
    ),
    "UPDATE t SET a = :a WHERE b IN :bs": ("UPDATE t", "UPDATE", "t"),
    "SELECT id FROM t FOR UPDATE": ("SELECT t", "SELECT", "t"),
    "DELETE FROM ONLY carts WHERE id = :id": ("DELETE carts", "DELETE", "carts"),
    "WITH s(n) AS (SELECT id FROM t) SELECT n FROM s JOIN y ON s.n = y.n": (
        "SELECT t SELECT y",
        None,
        None,
    ),
    "WITH x AS (SELECT a FROM t) INSERT INTO u (a) SELECT a FROM x": (
        "SELECT t INSERT u SELECT",
        None,
        None,
    ),
    "CREATE TABLE IF NOT EXISTS orders (id integer)": ("CREATE orders", "CREATE", "orders"),
    "CREATE UNIQUE INDEX i ON t (a)": ("CREATE i", "CREATE", "i"),
    "SELECT EXTRACT(YEAR FROM d) FROM t ORDER BY a, b": ("SELECT t", "SELECT", "t"),
    "SELECT REPLACE(a, b, c) FROM t": ("SELECT t", "SELECT", "t"),
    "SELECT n FROM generate_series(:a, :b)": ("SELECT", "SELECT", None),
    "SELECT count(*) FROM (SELECT id FROM t) q": ("SELECT SELECT t", None, "t"),
    "MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN UPDATE SET x = :x": (
        "MERGE a b",
        "MERGE",
        None,
    ),
    "SHOW TABLES": ("SHOW", "SHOW", None),
    "DELETE FROM": ("DELETE", "DELETE", None),
    "INSERT INTO SELECT": ("INSERT SELECT", None, None),
    "UPDATE SET a = :a": ("UPDATE", "UPDATE", None),
    "": ("", None, None),
}


@pytest.mark.parametrize("statement", CASES)
def test_summary_has_commands_and_tables(statement: str) -> None:
    """An SQL summary has a statement's commands and tables."""
    summary = summary_of(statement)

    assert CASES[statement] == (summary.text, summary.operation, summary.collection)


def test_long_summary_ends_between_names() -> None:
    """An SQL summary has at most 255 characters, and its last name is whole."""
    tables = [f"table_{number:03}" for number in range(60)]

    text = summary_of(f"SELECT a FROM {', '.join(tables)}").text

    assert len(text) <= 255
    assert set(text.split()) <= {"SELECT", *tables}
