"""Generated modules are laid out as by a formatter, and their names are valid and unique."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.scaffold.client.layout import Group, assigned_field, assigned_text, laid_out, literal
from moorage.scaffold.client.words import (
    TAKEN_CLASSES,
    attribute_name,
    class_name,
    member_name,
    unique,
)


@given(st.text())
def test_literal_is_the_text(text: str) -> None:
    """A string literal in generated code is printable and evaluates to the original text."""
    assert text == ast.literal_eval(literal(text))
    assert literal(text).isprintable()


@pytest.mark.parametrize(
    "text, code",
    [
        ('say "a"', "'say \"a\"'"),
        ('it\'s "a"', "'it\\'s \"a\"'"),
        ("'\"", '"\'\\""'),
        ("a\\b\n\t\r", '"a\\\\b\\n\\t\\r"'),
        ("\x07\xa0\u2028\U000e0001", '"\\x07\\xa0\\u2028\\U000e0001"'),
    ],
)
def test_literal_has_the_usual_quotes(text: str, code: str) -> None:
    """String literals in generated code have the quotes and escapes that a formatter keeps."""
    assert code == literal(text)


@pytest.mark.parametrize(
    "name, annotation, value, lines",
    [
        ("a", "int", "1", ["    a: int = 1"]),
        (
            "a" * 40,
            "str",
            Group("attrs.field", ("b" * 40, "c" * 40)),
            [
                f"    {'a' * 40}: str = attrs.field(",
                f"        {'b' * 40}, {'c' * 40}",
                "    )",
            ],
        ),
        ("a" * 40, "b" * 40, "c" * 20, [f"    {'a' * 40}: {'b' * 40} = (", f"        {'c' * 20}"]),
        (
            "a" * 40,
            "b" * 60,
            Group("attrs.field", ("default=None",)),
            [f"    {'a' * 40}: (", f"        {'b' * 60}", "    ) = attrs.field(default=None)"],
        ),
    ],
)
def test_long_fields_are_broken(
    name: str, annotation: str, value: str | Group, lines: list[str]
) -> None:
    """A field definition that is too long is split at brackets, which are added if needed."""
    assert lines == [*assigned_field(name, annotation, value)][: len(lines)]


def test_long_expressions_are_broken() -> None:
    """Arguments are laid out on one line if they fit, and list items on a line each."""
    items = ("a" * 50, "b" * 44)
    assert ["f()"] == [*laid_out(Group("f", ()))]
    assert ["call(", f"    {', '.join(items)}", ")"] == [*laid_out(Group("call", items))]
    display = laid_out(Group("", items, "["), before="names = ")
    assert ["names = [", f"    {items[0]},", f"    {items[1]},", "]"] == [*display]


def test_long_members_are_broken() -> None:
    """A string that fits on its own line, but not after its name, is put in parentheses."""
    assert ['    A = "a"'] == [*assigned_text("A", "a")]
    text = "a" * 85
    assert [f"    {'B' * 20} = (", f'        "{text}"', "    )"] == [*assigned_text("B" * 20, text)]
    assert [f'    A = "{"a" * 100}"'] == [*assigned_text("A", "a" * 100)]


@pytest.mark.parametrize(
    "taken, name, result",
    [
        ({"a"}, "a", "a_2"),
        ({"a", "a_2"}, "a", "a_3"),
        ({"OrderLine"}, "OrderLine", "OrderLine2"),
        ({"BIG"}, "BIG", "BIG_2"),
    ],
)
def test_taken_names_get_a_number(taken: set[str], name: str, result: str) -> None:
    """A name that is already taken gets the next free number."""
    assert result == unique(name, taken)
    assert result in taken


@given(st.text())
def test_names_are_valid(text: str) -> None:
    """Any string is converted to a valid Python name."""
    for make_name in (class_name, attribute_name, member_name):
        name = unique(make_name(text), set(TAKEN_CLASSES))
        ast.parse(f"{name} = 1")
        assert name.isidentifier()
