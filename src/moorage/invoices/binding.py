"""Tables that map fields to XML elements; the same table is used to read and to write.

A table is a tuple of nodes in the order that the syntax prescribes.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias
from xml.sax.saxutils import escape, quoteattr

import attrs

from moorage.errors import InvalidData
from moorage.invoices.amounts import PLAIN, number_text
from moorage.invoices.codes import CURRENCIES
from moorage.invoices.values import Identifier, Totals
from moorage.invoices.values.totals import exemptions_of
from moorage.vendor_sdk.xml_text import NotXmlError, XmlElement, read_xml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from moorage.invoices.values import Invoice

_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_DAY_102: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")

Fields: TypeAlias = "dict[str, Any]"
"""The fields of a value that is being read, by their names."""


@attrs.frozen
class ElementPlace:
    """The current position while a document is read: its path, and the currency of its amounts."""

    path: str
    currency: str | None = None

    def inside(self, tag: str) -> ElementPlace:
        """Return the position of a child element."""
        return attrs.evolve(self, path=f"{self.path}/{_local_name(tag)}")


class Codec(Protocol):
    """Converts a value to the text and attributes of an XML element, and back."""

    def read(self, element: XmlElement, place: ElementPlace) -> Any:
        """Return the value of an element; None if it is empty."""

    def write(self, value: Any, currency: str | None) -> tuple[dict[str, str | None], str]:
        """Return the attributes and the text of the element for a value."""
        ...


class Node(Protocol):
    """A table entry, which reads and writes one part of a value."""

    def read(self, parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        """Read the entry's elements from their parent into the fields."""

    def write(self, value: Any, currency: str | None) -> Iterator[str]:
        """Yield the XML text of the elements that state this value."""
        ...


def unreadable_element_error(
    place: ElementPlace, problem: str, remedy: str = "Ask the sender to correct it."
) -> Any:
    """Return the error for an element that cannot be read."""
    return InvalidData(f"{problem} The element is {place.path}.", field=place.path, remedy=remedy)


class _Text:
    def __init__(self, attributes: dict[str, str | None] | None = None) -> None:
        self._attributes = attributes or {}

    def read(self, element: XmlElement, place: ElementPlace) -> Any:
        del place
        return element.content

    def write(self, value: Any, currency: str | None) -> tuple[dict[str, str | None], str]:
        del currency
        return self._attributes, value


class _Day:
    """The codec of a date, which CII writes without hyphens (format 102)."""

    def __init__(self, form: str | None = None) -> None:
        self._form = form

    def read(self, element: XmlElement, place: ElementPlace) -> Any:
        text = element.content.strip()
        if not text:
            return None
        if element.attributes.get("format", self._form) != self._form:
            raise unreadable_element_error(place, f"The date is not in format {self._form}.")
        parts = (_DAY_102 if self._form else _DAY).fullmatch(text)
        try:
            return date(*map(int, parts.groups())) if parts else _date_error(place)
        except ValueError:
            return _date_error(place)

    def write(self, value: Any, currency: str | None) -> tuple[dict[str, str | None], str]:
        del currency
        text = value.isoformat()
        return ({"format": self._form}, text.replace("-", "")) if self._form else ({}, text)


def _date_error(place: ElementPlace) -> Any:
    raise unreadable_element_error(
        place, "The text is not a date.", "Ask the sender for a date that exists."
    )


class _Number:
    """The codec of a number; amounts have a currency and at least two decimals."""

    def __init__(self, *, places: int = 0, currency: bool = False) -> None:
        self._places = places
        self._currency = currency

    def read(self, element: XmlElement, place: ElementPlace) -> Any:
        text = element.content.strip()
        if not text:
            return None
        if PLAIN.fullmatch(text) is None:
            raise unreadable_element_error(place, "The text is not a decimal number.")
        currency = element.attributes.get("currencyID")
        if currency and currency not in CURRENCIES:
            raise unreadable_element_error(
                place, f"{currency[:10]!r} is not a currency of ISO 4217 (BR-CL-03)."
            )
        if currency and place.currency and currency != place.currency:
            raise unreadable_element_error(
                place,
                f"The amount is in {currency[:10]!r}, but the invoice in {place.currency!r}"
                " (PEPPOL-EN16931-R051).",
            )
        return Decimal(text)

    def write(self, value: Any, currency: str | None) -> tuple[dict[str, str | None], str]:
        attributes = {"currencyID": currency} if self._currency else {}
        return attributes, number_text(value, self._places)


class _Identifier:
    def __init__(self, *, even_empty: bool = False) -> None:
        self._even_empty = even_empty

    def read(self, element: XmlElement, place: ElementPlace) -> Any:
        del place
        value = Identifier(element.content, element.attributes.get("schemeID"))
        return None if value == Identifier() and not self._even_empty else value

    def write(self, value: Any, currency: str | None) -> tuple[dict[str, str | None], str]:
        del currency
        return {"schemeID": value.scheme}, value.value or ""


class _Base64:
    """The codec of an embedded document in base64; white space is ignored."""

    def read(self, element: XmlElement, place: ElementPlace) -> Any:
        try:
            return base64.b64decode("".join(element.content.split()), validate=True)
        except (binascii.Error, ValueError):
            raise unreadable_element_error(place, "The content is not base64.") from None

    def write(self, value: Any, currency: str | None) -> tuple[dict[str, str | None], str]:
        del currency
        return {}, base64.b64encode(value).decode("ascii")


TEXT: Final[Codec] = _Text()
VAT_ID: Final[Codec] = _Text({"schemeID": "VA"})
TAX_ID: Final[Codec] = _Text({"schemeID": "FC"})
BASE64: Final[Codec] = _Base64()
DAY: Final[Codec] = _Day()
DAY_102: Final[Codec] = _Day("102")
NUMBER: Final[Codec] = _Number()
AMOUNT: Final[Codec] = _Number(places=2)
CURRENCY_AMOUNT: Final[Codec] = _Number(places=2, currency=True)
CURRENCY_PRICE: Final[Codec] = _Number(currency=True)
IDENTIFIER: Final[Codec] = _Identifier()
NEEDED_IDENTIFIER: Final[Codec] = _Identifier(even_empty=True)
"""The codec of an identifier whose element may not be empty, so that a rule finds an empty one."""


@attrs.frozen
class FieldEntry:
    """A table entry for an element whose text, and perhaps attributes, are stored in fields.

    If the element is missing, the field gets the value `missing`.
    """

    tag: str
    field: str
    codec: Codec = TEXT
    attributes: dict[str, str] = attrs.field(factory=dict)
    missing: Any = None

    def read(self, parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        """Read the text and the attributes into their fields."""
        element = only_child(parent, self.tag, place)
        if element is None:
            if self.missing is not None:
                fields[self.field] = self.missing
            return
        fields[self.field] = self.codec.read(element, place.inside(self.tag))
        for name, field in self.attributes.items():
            fields[field] = element.attributes.get(name)

    def write(self, value: Any, currency: str | None) -> Iterator[str]:
        """Yield the element, unless the field is None."""
        content = getattr(value, self.field)
        attribute_fields = {name: getattr(value, field) for name, field in self.attributes.items()}
        if content is not None:
            attributes, text = self.codec.write(content, currency)
            yield element_text(self.tag, text, {**attributes, **attribute_fields})
        elif any(item is not None for item in attribute_fields.values()):
            yield element_text(self.tag, "", attribute_fields)


@attrs.frozen
class Constant:
    """A table entry for an element with constant content, which is only written."""

    tag: str
    content: str

    def read(self, parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        """Do nothing, because the content is constant."""

    def write(self, value: Any, currency: str | None) -> Iterator[str]:
        """Yield the element."""
        del value, currency
        yield f"<{self.tag}>{self.content}</{self.tag}>"


@attrs.frozen
class ElementEntry:
    """A table entry for an element that contains further fields of the same value.

    It is written only if one of its nodes other than constants is, or `always`. If `only` is
    set, elements for which it is False belong to another node.
    """

    tag: str
    nodes: tuple[Node, ...]
    only: Callable[[XmlElement], bool] | None = None
    always: bool = attrs.field(default=False, kw_only=True)

    def read(self, parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        """Read the content of the element into the fields."""
        element = only_child(parent, self.tag, place, self.only)
        if element is not None:
            for node in self.nodes:
                node.read(element, fields, place.inside(self.tag))

    def write(self, value: Any, currency: str | None) -> Iterator[str]:
        """Yield the element, if it has content."""
        parts = [(node, "".join(node.write(value, currency))) for node in self.nodes]
        if self.always or any(text for node, text in parts if not isinstance(node, Constant)):
            yield f"<{self.tag}>{''.join(text for _, text in parts)}</{self.tag}>"


@attrs.frozen
class Group:
    """A table entry for an element that is a value by itself, or for several such elements."""

    tag: str
    field: str
    kind: type
    nodes: tuple[Node, ...]
    many: bool = False
    only: Callable[[XmlElement], bool] | None = None

    def read(self, parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        """Read the value, or a tuple of values, into the field."""
        if self.many:
            items = [
                item
                for item in parent.all(_local_name(self.tag))
                if _is_allowed_element(item, self.only)
            ]
            fields[self.field] = tuple(
                self._value(item, place.inside(f"{self.tag}[{number}]"))
                for number, item in enumerate(items, 1)
            )
            return
        element = only_child(parent, self.tag, place, self.only)
        if element is not None:
            fields[self.field] = self._value(element, place.inside(self.tag))

    def _value(self, element: XmlElement, place: ElementPlace) -> Any:
        return read_value(self.kind, self.nodes, element, place)

    def write(self, value: Any, currency: str | None) -> Iterator[str]:
        """Yield one element for each value."""
        content = getattr(value, self.field)
        for item in content if self.many else (content,):
            if item is not None:
                yield f"<{self.tag}>{write_nodes(self.nodes, item, currency)}</{self.tag}>"


@attrs.frozen
class SpecialElement:
    """A table entry whose elements are read and written by functions of their own."""

    reading: Callable[[XmlElement, Fields, ElementPlace], None]
    writing: Callable[[Any, str | None], Iterator[str]]

    def read(self, parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        """Read the entry's elements from their parent into the fields."""
        self.reading(parent, fields, place)

    def write(self, value: Any, currency: str | None) -> Iterator[str]:
        """Yield the XML text of the elements that state this value."""
        return self.writing(value, currency)


def _local_name(tag: str) -> str:
    return tag.rpartition(":")[2]


def _is_allowed_element(
    element: XmlElement, is_wanted: Callable[[XmlElement], bool] | None
) -> bool:
    return is_wanted is None or is_wanted(element)


def write_nothing(value: Any, currency: str | None) -> Iterator[str]:
    """Write nothing, because the table entry is only read."""
    del value, currency
    return iter(())


def only_child(
    parent: XmlElement,
    tag: str,
    place: ElementPlace,
    is_wanted: Callable[[XmlElement], bool] | None = None,
) -> XmlElement | None:
    """Return the only child element with this name; None if there is none.

    Raises:
        InvalidData: there are several children of this name.
    """
    items = [item for item in parent.all(_local_name(tag)) if _is_allowed_element(item, is_wanted)]
    if len(items) > 1:
        raise unreadable_element_error(
            place.inside(tag), f"The element appears {len(items)} times, but may appear once."
        )
    return items[0] if items else None


def split_sums(totals: Fields, fields: Fields) -> None:
    """Store the prepaid and rounding amounts in the invoice's fields, and the others as totals."""
    fields["prepaid"] = totals.pop("prepaid", None)
    fields["rounding"] = totals.pop("rounding", None)
    fields["stated_totals"] = Totals(**totals)
    fields["exemptions"] = exemptions_of(fields["stated_totals"].breakdown)


def stated_sums(invoice: Invoice) -> SimpleNamespace:
    """Return the totals that the invoice states, with the amounts written in the same element."""
    totals = invoice.stated_totals or Totals()
    return SimpleNamespace(
        **{field.name: getattr(totals, field.name) for field in attrs.fields(Totals)},
        prepaid=invoice.prepaid,
        rounding=invoice.rounding,
        vat_in_tax_currency=invoice.vat_in_tax_currency,
    )


def merge_fields(
    values: Fields, more: Fields, names: Iterable[str], place: ElementPlace, rules: str = ""
) -> None:
    """Add an element's fields to the fields of earlier elements, which must not contradict them.

    Raises:
        InvalidData: two elements contradict each other.
    """
    for name in names:
        value = more.get(name)
        if value is not None and values.setdefault(name, value) != value:
            raise unreadable_element_error(
                place,
                f"The {name.replace('_', ' ')} differs from that of an earlier element, but an"
                f" invoice has only one{rules}.",
            )


def text_at(element: XmlElement, *names: str) -> str | None:
    """Return the text at a path of element names, without outer white space; None if missing."""
    for name in names:
        child = next(element.all(name), None)
        if child is None:
            return None
        element = child
    return element.content.strip() or None


def element_text(tag: str, text: str, attributes: dict[str, Any]) -> str:
    """Return an element as text; attributes whose value is None are omitted."""
    attribute_text = "".join(
        f" {name}={quoteattr(value)}" for name, value in attributes.items() if value is not None
    )
    return f"<{tag}{attribute_text}>{escape(text, {chr(13): '&#13;'})}</{tag}>"


def read_value(
    kind: type, nodes: tuple[Node, ...], element: XmlElement, place: ElementPlace
) -> Any:
    """Return a value of this class, with the fields that the table entries read.

    Raises:
        InvalidData: a field is not valid; the error names the element.
    """
    fields: Fields = {}
    for node in nodes:
        node.read(element, fields, place)
    try:
        return kind(**fields)
    except InvalidData as error:
        raise unreadable_element_error(place, f"{error.args[0]}") from None


def write_nodes(nodes: tuple[Node, ...], value: Any, currency: str | None) -> str:
    """Return the elements of all table entries as text."""
    return "".join(text for node in nodes for text in node.write(value, currency))


def read_root(body: bytes, kind: str) -> XmlElement:
    """Return the root element of a document.

    Raises:
        InvalidData: the document is not safe XML.
    """
    if not isinstance(body, (bytes, bytearray)):
        raise InvalidData(
            f"{kind} must be bytes, not {type(body).__name__}.",
            field="body",
            remedy="Read the file with open(path, 'rb').",
        )
    try:
        return read_xml(bytes(body))
    except NotXmlError:
        raise InvalidData(
            f"{kind} is not well-formed XML, or has a DTD or too many elements, or is nested too"
            " deeply or too long.",
            field="body",
            remedy="Ask the sender for the XML file, without a DTD, at most 16 MB long and with at"
            " most 500,000 elements.",
        ) from None
