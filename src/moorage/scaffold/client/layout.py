"""Formats Python expressions within 100 columns, as a code formatter would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH: Final = 100
_MARKS: Final = "«»"
"""The marks around the names of classes in annotations."""
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}


class Group(NamedTuple):
    """An expression with brackets, such as a call or a list.

    Attributes:
        head: the text before the bracket, such as the name of a function.
        items: the parts between the brackets, which commas separate.
        bracket: the opening bracket.
    """

    head: str
    items: tuple[Part, ...]
    bracket: str = "("


Part: TypeAlias = "str | Group"


def flat(part: Part) -> str:
    """Return an expression of code as one line."""
    if isinstance(part, str):
        return part
    items = ", ".join(map(flat, part.items))
    return f"{part.head}{part.bracket}{items}{_CLOSING[part.bracket]}"


def laid_out(part: Part, *, indent: int = 0, before: str = "", after: str = "") -> Iterator[str]:
    """Yield the lines of an expression of code, broken to fit the width.

    Args:
        part: the part.
        indent: the column of its first line.
        before: the text before it on its first line.
        after: the text after it on its last line.
    """
    margin = " " * indent
    line = f"{margin}{before}{flat(part)}{after}"
    if isinstance(part, str) or not part.items or len(line) <= _WIDTH:
        yield line
        return
    yield f"{margin}{before}{part.head}{part.bracket}"
    inner_line = f"{margin}    {', '.join(map(flat, part.items))}"
    is_display = not part.head or part.head[-1] in "= "
    if len(inner_line) <= _WIDTH and not is_display and not part.head.startswith("def "):
        yield inner_line
    else:
        for item in part.items:
            yield from laid_out(item, indent=indent + 4, after=",")
    yield f"{margin}{_CLOSING[part.bracket]}{after}"


def assigned_field(name: str, annotation: str, value: Part) -> Iterator[str]:
    """Yield the lines of an annotated field of a class."""
    margin = "    "
    start = f"{name}: {annotation} = "
    head = "" if isinstance(value, str) else f"{value.head}{value.bracket}"
    if len(f"{margin}{start}{flat(value)}") <= _WIDTH:
        yield f"{margin}{start}{flat(value)}"
    elif head and len(f"{margin}{start}{head}") <= _WIDTH:
        yield from laid_out(value, indent=4, before=start)
    elif len(f"{margin}{start}(") <= _WIDTH:
        yield f"{margin}{start}("
        yield from laid_out(value, indent=8)
        yield f"{margin})"
    else:
        yield f"{margin}{name}: ("
        yield f"{margin}    {annotation}"
        yield from laid_out(value, indent=4, before=") = ")


def assigned_text(name: str, text: str) -> Iterator[str]:
    """Yield the lines of a member of an enumeration."""
    value = literal(text)
    if len(f"    {name} = {value}") <= _WIDTH or len(f"        {value}") > _WIDTH:
        yield f"    {name} = {value}"
    else:
        yield from (f"    {name} = (", f"        {value}", "    )")


def literal(text: str) -> str:
    """Return a string as Python literal, with a formatter's choice of quotation marks."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(_escape(character, quote) for character in text) + quote


def _escape(character: str, quote: str) -> str:
    if character in {"\\", quote}:
        return f"\\{character}"
    if character.isprintable() and character not in _MARKS:
        return character
    code = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x1_0000 else f"\\U{code:08x}"
