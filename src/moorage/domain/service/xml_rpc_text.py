"""XML-RPC values as text, and safe parsing: no entities, limited size and depth."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast
from xml.parsers import expat
from xml.sax.saxutils import escape

from moorage.domain.secrets.secret import Secret
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_BYTES: Final = 64 * 1024 * 1024
_MOST_ELEMENTS: Final = 2_000_000
_MAX_DEPTH: Final = 200
_DEEPEST_VALUE: Final = 48
_FORBIDDEN_CHARACTERS: Final = late_pattern("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_INTEGER: Final = late_pattern(r"[+-]?[0-9]{1,19}", re.ASCII)
_DOUBLE_TEXT: Final = late_pattern(
    r"[+-]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?", re.ASCII
)
_SMALLEST, _LARGEST_INTEGER = -(2**63), 2**63 - 1
_INT_RANGE: Final = range(-(2**31), 2**31)


class NotXmlRpcError(ValueError):
    """Raised if a string is not XML-RPC, or uses a feature of XML that is refused."""


class _Element:
    __slots__ = ("children", "name", "texts")

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts: list[str] = []
        self.children: list[_Element] = []

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def only(self, name: str) -> _Element:
        """Return the only child element, after checking its name."""
        if len(self.children) != 1 or self.children[0].name != name:
            raise NotXmlRpcError
        return self.children[0]


def method_call(method: str, parameters: Sequence[Any]) -> bytes:
    """Return the body of an XML-RPC method call.

    Raises:
        InvalidData: a parameter cannot be written in XML-RPC.
    """
    values = "".join(
        f"<param>{_value_xml(value, f'parameters.{number}', 0)}</param>"
        for number, value in enumerate(parameters)
    )
    name = _escape(method, "method")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<methodCall><methodName>{name}</methodName>'
        f"<params>{values}</params></methodCall>"
    ).encode()


def method_response(body: bytes) -> tuple[bool, Any]:
    """Return whether an XML-RPC response is a fault, and the value that it contains.

    Raises:
        NotXmlRpcError: the response is not an XML-RPC response, has a DTD, or is too large or
            too deep.
    """
    root = _parse_tree(body)
    if root.name != "methodResponse" or len(root.children) != 1:
        raise NotXmlRpcError
    if root.children[0].name == "fault":
        return True, _value(root.children[0].only("value"), 0)
    return False, _value(root.only("params").only("param").only("value"), 0)


def _value_xml(value: object, field: str, depth: int) -> str:
    if depth > _DEEPEST_VALUE:
        raise _unwritable("The parameters are nested too deeply", field)
    if isinstance(value, Secret):
        value = value.reveal()
    content = _scalar(value, field)
    if content is None:
        content = _collection(value, field, depth)
    return f"<value>{content}</value>"


def _scalar(value: object, field: str) -> str | None:
    if value is None:
        return "<nil/>"
    if isinstance(value, bool):
        return f"<boolean>{value:d}</boolean>"
    if isinstance(value, str):
        return f"<string>{_escape(value, field)}</string>"
    if isinstance(value, int):
        if not _SMALLEST <= value <= _LARGEST_INTEGER:
            raise _unwritable("The number has more than 64 bits", field)
        kind = "int" if value in _INT_RANGE else "i8"
        return f"<{kind}>{value:d}</{kind}>"
    if isinstance(value, float):
        if not isfinite(value):
            raise _unwritable("The number is not finite", field)
        return f"<double>{Decimal(repr(value)):f}</double>"
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC)
        # `%Y` does not write four digits of a year before 1000 on every system.
        text = f"{moment.year:04}{moment:%m%dT%H:%M:%S}"
        return f"<dateTime.iso8601>{text}</dateTime.iso8601>"
    return f"<base64>{b64encode(value).decode()}</base64>" if isinstance(value, bytes) else None


def _collection(value: object, field: str, depth: int) -> str:
    if isinstance(value, Mapping):
        members = "".join(
            f"<member><name>{_escape(name, field)}</name>"
            f"{_value_xml(item, f'{field}.{name}', depth + 1)}</member>"
            for name, item in cast("Mapping[str, Any]", value).items()
        )
        return f"<struct>{members}</struct>"
    if isinstance(value, (list, tuple)):
        items = "".join(
            _value_xml(item, f"{field}.{number}", depth + 1)
            for number, item in enumerate(cast("Sequence[Any]", value))
        )
        return f"<array><data>{items}</data></array>"
    raise _unwritable(f"{with_article(type(value).__name__)} cannot be sent with XML-RPC", field)


def _escape(text: object, field: str) -> str:
    if not isinstance(text, str):
        raise _unwritable("A name is not a string", field)
    if text.isascii() and text.isalnum():
        return text  # most names have nothing to escape
    if _FORBIDDEN_CHARACTERS.search(text):
        raise _unwritable("The text contains a character that XML does not allow", field)
    return escape(text, {"\r": "&#13;"})


def _unwritable(problem: str, field: str) -> InvalidData:
    return InvalidData(
        f"{problem[0].upper()}{problem[1:]}.",
        field=field,
        remedy="Pass None, booleans, numbers of 64 bits, texts, bytes, datetimes, and lists"
        " and mappings of these.",
    )


def _parse_tree(body: bytes) -> _Element:
    if len(body) > _MAX_BYTES:
        raise NotXmlRpcError
    root = _Element("")
    stack = [root]
    number = 0

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal number
        number += 1
        if len(stack) > _MAX_DEPTH or number > _MOST_ELEMENTS:
            raise NotXmlRpcError
        element = _Element(name.rpartition(" ")[2])
        stack[-1].children.append(element)
        stack.append(element)

    def add(text: str) -> None:
        stack[-1].texts.append(text)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.CharacterDataHandler = add
    try:
        parser.Parse(body.lstrip(), True)
    except (expat.ExpatError, LookupError, ValueError):
        # Python's parser raises other errors for an encoding that is unknown or not allowed in XML.
        raise NotXmlRpcError from None
    return root.children[0]


def _refuse_doctype(*_: object) -> NoReturn:
    raise NotXmlRpcError


def _value(element: _Element, depth: int) -> Any:
    if not element.children:
        return element.text  # a value without a type is a string
    if len(element.children) > 1 or element.text.strip() or depth > _DEEPEST_VALUE:
        raise NotXmlRpcError
    typed_element = element.children[0]
    if typed_element.name == "array":
        return [
            _value(_child_named(item, "value"), depth + 1)
            for item in typed_element.only("data").children
        ]
    if typed_element.name == "struct":
        return dict(_member(_child_named(item, "member"), depth) for item in typed_element.children)
    read_typed = _READERS.get(typed_element.name)
    if read_typed is None or typed_element.children:
        raise NotXmlRpcError
    try:
        return read_typed(typed_element.text)
    except ValueError:
        raise NotXmlRpcError from None


def _child_named(element: _Element, name: str) -> _Element:
    if element.name != name:
        raise NotXmlRpcError
    return element


def _member(element: _Element, depth: int) -> tuple[str, Any]:
    parts = {child.name: child for child in element.children}
    if len(element.children) != 2 or parts.keys() != {"name", "value"}:
        raise NotXmlRpcError
    return parts["name"].text, _value(parts["value"], depth + 1)


def _integer(text: str) -> int:
    number = int(text.strip()) if _INTEGER.fullmatch(text.strip()) else _LARGEST_INTEGER + 1
    if not _SMALLEST <= number <= _LARGEST_INTEGER:
        raise ValueError
    return number


def _parse_double(text: str) -> float:
    if not _DOUBLE_TEXT.fullmatch(text.strip()):
        raise ValueError
    return float(text)


def _boolean(text: str) -> bool:
    if text.strip() not in {"0", "1"}:
        raise ValueError
    return text.strip() == "1"


def _nil(text: str) -> None:
    if text.strip():
        raise ValueError


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("int", "i1", "i2", "i4", "i8"), _integer),
    "boolean": _boolean,
    "string": str,
    "double": _parse_double,
    "dateTime.iso8601": lambda text: datetime.fromisoformat(text.strip()),
    "base64": lambda text: b64decode("".join(text.split()), validate=True),
    "nil": _nil,
}
"""The parsers of XML-RPC's scalar values, by element name."""
