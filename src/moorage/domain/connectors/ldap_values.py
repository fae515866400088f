"""Values of LDAP: conditions, names and entries.

A condition is built from values, never by joining texts: a value can never become a part of the
surrounding condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs

from moorage.domain.connectors.ldap_wire import octets, tlv
from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import is_encodable
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LdapValue: TypeAlias = "str | bytes"
"""A value of an attribute: a text, or the bytes of a value that is none."""

_ATTRIBUTE: Final = late_pattern(
    r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)(?:;[A-Za-z0-9=*-]+)*"
)
_SPECIAL_CHARACTERS: Final = frozenset('"+,;<>\\=')
_MAX_DEPTH: Final = 50
_MOST_SHOWN: Final = 80


@attrs.frozen
class LdapFilter:
    """A search condition; functions of this module such as `equals` create it.

    Attributes:
        encoded: the condition as LDAP sends it.
    """

    encoded: bytes = attrs.field(repr=False)

    def __and__(self, other: LdapFilter) -> LdapFilter:
        """Return the condition that is true if both this and the other condition are true."""
        return all_of(self, other)

    def __or__(self, other: LdapFilter) -> LdapFilter:
        """Return the condition that is true if this or the other condition is true."""
        return any_of(self, other)

    def __invert__(self) -> LdapFilter:
        """Return the condition that is true if this condition is false."""
        return LdapFilter(tlv(0xA2, self.encoded))


def equals(attribute: str, value: LdapValue) -> LdapFilter:
    """Return the condition that an attribute has a value."""
    return _assertion(0xA3, attribute, value)


def at_least(attribute: str, value: LdapValue) -> LdapFilter:
    """Return the condition that an attribute has this value or a greater one."""
    return _assertion(0xA5, attribute, value)


def at_most(attribute: str, value: LdapValue) -> LdapFilter:
    """Return the condition that an attribute has this value or a smaller one."""
    return _assertion(0xA6, attribute, value)


def begins_with(attribute: str, value: LdapValue) -> LdapFilter:
    """Return the condition that a value of an attribute begins with a string."""
    return _substring(attribute, 0x80, value)


def contains(attribute: str, value: LdapValue) -> LdapFilter:
    """Return the condition that a value of an attribute contains a string."""
    return _substring(attribute, 0x81, value)


def ends_with(attribute: str, value: LdapValue) -> LdapFilter:
    """Return the condition that a value of an attribute ends with a string."""
    return _substring(attribute, 0x82, value)


def has_attribute(attribute: str) -> LdapFilter:
    """Return the condition that an attribute has any value."""
    return LdapFilter(octets(attribute_name(attribute), 0x87))


def all_of(*conditions: LdapFilter) -> LdapFilter:
    """Return the condition that is true if all of these conditions are true."""
    return LdapFilter(tlv(0xA0, *_condition_list(conditions)))


def any_of(*conditions: LdapFilter) -> LdapFilter:
    """Return the condition that is true if at least one of these conditions is true."""
    return LdapFilter(tlv(0xA1, *_condition_list(conditions)))


def member_of_chain(attribute: str, value: LdapValue) -> LdapFilter:
    """Return Active Directory's condition that also finds members of nested groups."""
    rule = octets("1.2.840.113556.1.4.1941", 0x81)
    name = octets(attribute_name(attribute), 0x82)
    return LdapFilter(tlv(0xA9, rule, name, octets(value_bytes(attribute, value), 0x83)))


def _assertion(tag: int, attribute: str, value: LdapValue) -> LdapFilter:
    encoded = octets(value_bytes(attribute, value))
    return LdapFilter(tlv(tag, octets(attribute_name(attribute)), encoded))


def _substring(attribute: str, place: int, value: LdapValue) -> LdapFilter:
    encoded = value_bytes(attribute, value)
    if not encoded:
        raise InvalidData(
            f"The text to search for in {attribute} is empty.",
            field=attribute,
            remedy="Pass a string, or use has_attribute() for any value.",
        )
    return LdapFilter(
        tlv(0xA4, octets(attribute_name(attribute)), tlv(0x30, octets(encoded, place)))
    )


def _condition_list(conditions: tuple[LdapFilter, ...]) -> list[bytes]:
    if not conditions:
        raise InvalidData(
            "The list of conditions is empty.", field="where", remedy="Pass at least one condition."
        )
    return [condition.encoded for condition in conditions]


def attribute_name(name: object) -> str:
    """Check that a value is the name of an LDAP attribute, and return it.

    Raises:
        InvalidData: the value is not a valid attribute name.
    """
    if isinstance(name, str) and _ATTRIBUTE.fullmatch(name):
        return name
    raise InvalidData(
        f"{str(name)[:_MOST_SHOWN]!r} is not the name of an attribute.",
        field="attribute",
        remedy="Pass a name such as mail, or a number such as 2.5.4.3.",
    )


def text_argument(field: str, value: object) -> str:
    """Check that LDAP can send a string, and return it.

    Raises:
        InvalidData: the value is not such a string.
    """
    if isinstance(value, str) and is_encodable(value):
        return value
    raise InvalidData(
        f"The argument {field} is not a string that can be sent.",
        field=field,
        remedy="Pass a string without unpaired surrogates.",
    )


def value_bytes(attribute: str, value: object) -> bytes:
    """Return a value of an attribute as bytes.

    Raises:
        InvalidData: the value is neither a string nor bytes.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and is_encodable(value):
        return value.encode()
    raise InvalidData(
        f"A value of {attribute} cannot be sent.",
        field=attribute,
        remedy="Pass a string without unpaired surrogates, or bytes.",
    )


def values_bytes(attribute: str, values: object) -> tuple[bytes, ...]:
    """Return the values of an attribute as bytes, given one value or several.

    Raises:
        InvalidData: one of the values cannot be sent.
    """
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes)):
        items = cast("Sequence[object]", values)
        return tuple(value_bytes(attribute, value) for value in items)
    return (value_bytes(attribute, values),)


def entry_name(attribute: str, value: str, parent: str = "") -> str:
    """Return the name of an LDAP entry, with the special characters of its value escaped.

    Args:
        attribute: the attribute that names the entry below its parent, such as "uid".
        value: its value.
        parent: the name of the parent, such as "ou=people,dc=example"; it is used as it is.
    """
    first_part = f"{attribute_name(attribute)}={escaped_value(value)}"
    return f"{first_part},{parent}" if parent else first_part


def escaped_value(value: str) -> str:
    """Return a value escaped for use in the name of an LDAP entry (RFC 4514)."""
    if not value:
        raise InvalidData(
            "The value that names an entry is empty.", field="value", remedy="Pass a string."
        )
    last_index = len(value) - 1
    return "".join(
        "\\00"
        if letter == "\0"
        else f"\\{letter}"
        if letter in _SPECIAL_CHARACTERS
        or (letter == " " and place in {0, last_index})
        or (letter == "#" and not place)
        else letter
        for place, letter in enumerate(value)
    )


@attrs.frozen(repr=False)
class LdapEntry:
    """An entry of an LDAP directory. Its representation shows no values.

    Attributes:
        name: the distinguished name, such as "uid=ada,ou=people,dc=example".
        attributes: the values of each attribute, as bytes; names are spelled as the server spells
            them.
    """

    name: str
    attributes: Mapping[str, tuple[bytes, ...]]

    def values(self, attribute: str) -> tuple[bytes, ...]:
        """Return the values of an attribute as bytes; upper and lower case do not matter.

        Raises:
            InvalidData: the server sent only a part of the values.
        """
        lower_name = attribute.lower()
        for name, values in self.attributes.items():
            if name.lower() == lower_name:
                if values or not self._has_range(lower_name):
                    return values
                break
        if self._has_range(lower_name):
            raise InvalidData(
                f"The server sent only a part of the values of {attribute}.",
                field=attribute,
                remedy=f'Read the attribute "{attribute};range=0-*" and the following ranges.',
            )
        return ()

    def texts(self, attribute: str) -> tuple[str, ...]:
        """Return the values of an attribute as strings.

        Raises:
            InvalidData: a value is not a string, or the server sent only a part of the values.
        """
        return tuple(self._text(attribute, value) for value in self.values(attribute))

    def text(self, attribute: str) -> str | None:
        """Return the first value of an attribute as a string; None if it has none.

        Raises:
            InvalidData: the value is not a string, or the server sent only a part of the values.
        """
        values = self.values(attribute)
        return self._text(attribute, values[0]) if values else None

    def _has_range(self, lower_name: str) -> bool:
        return any(name.lower().startswith(f"{lower_name};range=") for name in self.attributes)

    def _text(self, attribute: str, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
        raise InvalidData(
            f"A value of {attribute} is not a string.",
            field=attribute,
            remedy="Read it with values(), which returns bytes.",
        )

    def __repr__(self) -> str:
        return f"<LdapEntry {self.name} ({', '.join(self.attributes)})>"


@attrs.frozen
class LdapSearchResult:
    """The entries that an LDAP search found.

    Attributes:
        entries: the entries, in the order of the server.
        references: the URLs of other servers that hold a part of the searched entries. They are not
            followed.
    """

    entries: tuple[LdapEntry, ...]
    references: tuple[str, ...] = ()


_SIMPLE_FILTERS: Final[dict[str, Callable[[str, LdapValue], LdapFilter]]] = {
    "equals": equals,
    "at_least": at_least,
    "at_most": at_most,
    "begins_with": begins_with,
    "contains": contains,
    "ends_with": ends_with,
    "member_of_chain": member_of_chain,
}
_GROUPS: Final = {"all": all_of, "any": any_of}


def filter_of(value: object, depth: int = 0) -> LdapFilter:
    """Return the condition that plain JSON describes.

    Raises:
        InvalidData: the JSON does not describe a condition.
    """
    if is_object(value) and len(value) == 1:
        ((word, content),) = value.items()
        if word in _GROUPS and is_list(content) and depth < _MAX_DEPTH:
            return _GROUPS[word](*(filter_of(part, depth + 1) for part in content))
        if word == "not" and depth < _MAX_DEPTH:
            return ~filter_of(content, depth + 1)
        if word == "present":
            return has_attribute(attribute_name(content))
        if word in _SIMPLE_FILTERS and is_object(content) and len(content) == 1:
            ((attribute, text),) = content.items()
            return _SIMPLE_FILTERS[word](attribute, text)
    raise InvalidData(
        "The condition has the wrong form.",
        field="where",
        remedy='Pass an object such as {"equals": {"uid": "ada"}}, {"present": "mail"} or'
        ' {"all": [...]}.',
    )


def plain_value(value: bytes) -> object:
    """Return a value as plain JSON: a string, or an object with hexadecimal digits."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"hex": value.hex()}


def value_from_json(value: object) -> object:
    """Return the value that plain JSON describes; None for an object without a `hex` string."""
    if is_object(value):
        try:
            return bytes.fromhex(value["hex"])
        except (KeyError, TypeError, ValueError):
            return None
    return value


def plain_result(result: LdapSearchResult) -> dict[str, Any]:
    """Return the result of a search as plain JSON."""
    return {
        "entries": [
            {
                "name": entry.name,
                "attributes": {
                    name: [plain_value(value) for value in values]
                    for name, values in entry.attributes.items()
                },
            }
            for entry in result.entries
        ],
        "references": list(result.references),
    }


def pack_result(result: LdapSearchResult) -> object:
    """Return a search result as plain values that can be stored."""
    entries = tuple((entry.name, dict(entry.attributes)) for entry in result.entries)
    return entries, result.references


def unpack_result(stored: Any) -> LdapSearchResult:
    """Return a search result from the plain values that `pack_result` made."""
    entries, references = stored
    return LdapSearchResult(
        tuple(
            LdapEntry(name, {key: tuple(values) for key, values in attributes.items()})
            for name, attributes in entries
        ),
        tuple(references),
    )
