"""LDAP's messages as bytes: requests are written, responses are read.

Only the subset of BER that RFC 4511 requires is supported: definite lengths of at most four bytes.
Parsing a malformed response always raises `ValueError`; nothing is read beyond its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

START_TLS: Final = "1.3.6.1.4.1.1466.20037"
"""The extended operation after which the connection speaks TLS."""

_PAGES: Final = "1.2.840.113556.1.4.319"
"""The control that asks for a search in pages (RFC 2696)."""

BASE: Final = 0
ONE_LEVEL: Final = 1
SUBTREE: Final = 2

BIND_RESPONSE: Final = 0x61
ENTRY: Final = 0x64
SEARCH_DONE: Final = 0x65
MODIFY_RESPONSE: Final = 0x67
ADD_RESPONSE: Final = 0x69
DELETE_RESPONSE: Final = 0x6B
RENAME_RESPONSE: Final = 0x6D
COMPARE_RESPONSE: Final = 0x6F
REFERENCE: Final = 0x73
EXTENDED_RESPONSE: Final = 0x78

ADDS: Final = 0
DELETES: Final = 1
REPLACES: Final = 2

_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_ENUMERATED: Final = 0x0A
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_REFERRALS: Final = 0xA3
_CONTROLS: Final = 0xA0
_SHORT_LENGTH_BOUND: Final = 0x80
_LONGEST_LENGTH: Final = 4
_TRUE_VALUE: Final = b"\x01\x01\xff"
_FALSE_VALUE: Final = b"\x01\x01\x00"


class LdapResult(NamedTuple):
    """The result of an LDAP operation, as the server reported it.

    Attributes:
        code: the number of the result; 0 is success.
        diagnosis: the server's own words, which may hold a value.
        referrals: the URLs of other servers that know more.
        cookie: the position in a paged search; empty at its end.
    """

    code: int
    diagnosis: str = ""
    referrals: tuple[str, ...] = ()
    cookie: bytes = b""


class LdapResponse(NamedTuple):
    """One message from an LDAP server.

    Attributes:
        id: the number of the request; 0 for an unsolicited message.
        kind: the tag of the operation, such as `ENTRY`.
        content: the bytes of the operation.
        controls: the bytes of the controls; empty if there are none.
    """

    id: int
    kind: int
    content: bytes
    controls: bytes


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return a value in BER, LDAP's encoding: its tag, its length and its content."""
    content = b"".join(parts)
    size = len(content)
    if size < _SHORT_LENGTH_BOUND:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, _SHORT_LENGTH_BOUND | len(length))) + length + content


def octets(value: str | bytes, tag: int = _OCTETS) -> bytes:
    """Return a string or bytes as a BER octet string."""
    return tlv(tag, value.encode() if isinstance(value, str) else value)


def integer(value: int, tag: int = _INTEGER) -> bytes:
    """Return a number of 0 or more as a BER integer."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1))


def message(number: int, operation: bytes, controls: bytes = b"") -> bytes:
    """Return the LDAP message that carries a request.

    Args:
        number: the number of the request, from 1 on.
        operation: the operation, as the functions below return it.
        controls: the controls, each as bytes, one after another.
    """
    control_part = tlv(_CONTROLS, controls) if controls else b""
    return tlv(_SEQUENCE, integer(number), operation, control_part)


def bind_simple(name: str, password: bytes) -> bytes:
    """Return the request that authenticates by name and password; anonymous if both are empty."""
    return tlv(0x60, integer(3), octets(name), octets(password, 0x80))


def bind_external() -> bytes:
    """Return the request that authenticates by the certificate of the connection."""
    return tlv(0x60, integer(3), octets(""), tlv(0xA3, octets("EXTERNAL"), octets("")))


def search(
    base: str,
    scope: int,
    condition: bytes,
    attributes: Iterable[str],
    *,
    limit: int = 0,
    seconds: int = 0,
) -> bytes:
    """Return the request for a search; aliases are not followed."""
    return tlv(
        0x63,
        octets(base),
        integer(scope, _ENUMERATED),
        integer(0, _ENUMERATED),
        integer(limit),
        integer(seconds),
        _FALSE_VALUE,
        condition,
        tlv(_SEQUENCE, *map(octets, attributes)),
    )


def page_control(size: int, cookie: bytes) -> bytes:
    """Return the LDAP control that asks for one page; servers without paging must refuse it."""
    place = tlv(_SEQUENCE, integer(size), octets(cookie))
    return tlv(_SEQUENCE, octets(_PAGES), _TRUE_VALUE, octets(place))


def add(name: str, attributes: Mapping[str, Sequence[bytes]]) -> bytes:
    """Return the request that adds an entry."""
    return tlv(0x68, octets(name), tlv(_SEQUENCE, *map(_attribute, *_columns(attributes))))


def modify(name: str, changes: Iterable[tuple[int, str, Sequence[bytes]]]) -> bytes:
    """Return the request that changes an entry; each change has an action, attribute and values."""
    items = [
        tlv(_SEQUENCE, integer(kind, _ENUMERATED), _attribute(attribute, values))
        for kind, attribute, values in changes
    ]
    return tlv(0x66, octets(name), tlv(_SEQUENCE, *items))


def delete(name: str) -> bytes:
    """Return the request that deletes an entry."""
    return octets(name, 0x4A)


def rename(name: str, new_name: str, parent: str | None, *, keeps_old: bool) -> bytes:
    """Return the request that renames an entry, and moves it if a parent is given."""
    new_parent = b"" if parent is None else octets(parent, 0x80)
    return tlv(
        0x6C, octets(name), octets(new_name), _FALSE_VALUE if keeps_old else _TRUE_VALUE, new_parent
    )


def compare(name: str, attribute: str, value: bytes) -> bytes:
    """Return the request that asks whether an attribute has a value."""
    return tlv(0x6E, octets(name), tlv(_SEQUENCE, octets(attribute), octets(value)))


def extended_request(name: str) -> bytes:
    """Return the request for an extended LDAP operation that has no argument."""
    return tlv(0x77, octets(name, 0x80))


def _columns(
    attributes: Mapping[str, Sequence[bytes]],
) -> tuple[Iterable[str], Iterable[Sequence[bytes]]]:
    return attributes.keys(), attributes.values()


def _attribute(name: str, values: Sequence[bytes]) -> bytes:
    return tlv(_SEQUENCE, octets(name), tlv(_SET, *map(octets, values)))


class BerReader:
    """Reads values of BER one after another, and never beyond the end."""

    __slots__ = ("_data", "_end", "_place")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._end = len(data)

    def more(self) -> bool:
        """Return whether there is another value."""
        return self._place < self._end

    def next_tag(self) -> int:
        """Return the tag of the next value; -1 at the end."""
        return self._data[self._place] if self._place < self._end else -1

    def any(self) -> tuple[int, bytes]:
        """Return the tag and the content of the next BER value."""
        sizes = _sizes(self._data, self._place)
        if sizes is None or sum(sizes) > self._end:
            raise ValueError("a value is cut off")
        start, size = sizes
        tag, self._place = self._data[self._place], start + size
        return tag, self._data[start : start + size]

    def value(self, tag: int) -> bytes:
        """Return the content of the next value, which must have this tag."""
        own_tag, content = self.any()
        if own_tag != tag:
            raise ValueError(f"a value has the tag {own_tag:#x} instead of {tag:#x}")
        return content

    def number(self, tag: int = _INTEGER) -> int:
        """Return the next BER value as a number."""
        content = self.value(tag)
        if not 0 < len(content) <= _LONGEST_LENGTH + 1:
            raise ValueError("a number has an unsupported size")
        return int.from_bytes(content, signed=True)

    def text(self) -> str:
        """Return the next BER value as a string."""
        return self.value(_OCTETS).decode(errors="replace")


def _sizes(data: bytes | bytearray, place: int) -> tuple[int, int] | None:
    """Return where a BER value's content begins and its size; None if bytes are missing."""
    if len(data) < place + 2:
        return None
    length_byte = data[place + 1]
    if length_byte < _SHORT_LENGTH_BOUND:
        return place + 2, length_byte
    count = length_byte - _SHORT_LENGTH_BOUND
    if not 0 < count <= _LONGEST_LENGTH:
        raise ValueError("a value's length is encoded in an unsupported form")
    start = place + 2 + count
    if len(data) < start:
        return None
    return start, int.from_bytes(data[place + 2 : start])


def message_size(data: bytes | bytearray, largest: int) -> int | None:
    """Return the size of the first message in received bytes; None if the size is not known yet.

    Raises:
        ValueError: the bytes are not an LDAP message, or the message is too large.
    """
    if data and data[0] != _SEQUENCE:
        raise ValueError("the bytes do not begin like an LDAP message")
    sizes = _sizes(data, 0)
    if sizes is None:
        return None
    if sum(sizes) > largest:
        raise ValueError("a message exceeds the maximum size")
    return sum(sizes)


def read_message(data: bytes) -> LdapResponse:
    """Return the LDAP message that the server sent in these bytes.

    Raises:
        ValueError: the bytes are not an LDAP message.
    """
    reader = BerReader(BerReader(data).value(_SEQUENCE))
    number = reader.number()
    kind, content = reader.any()
    controls = reader.value(_CONTROLS) if reader.more() else b""
    return LdapResponse(number, kind, content, controls)


def read_result(response: LdapResponse) -> LdapResult:
    """Return the result in the response that ends an operation.

    Raises:
        ValueError: the response is malformed.
    """
    reader = BerReader(response.content)
    code = reader.number(_ENUMERATED)
    reader.value(_OCTETS)
    diagnosis = reader.text()
    referrals = _texts(reader.value(_REFERRALS)) if reader.next_tag() == _REFERRALS else ()
    return LdapResult(code, diagnosis, referrals, _cookie(response.controls))


def _texts(data: bytes) -> tuple[str, ...]:
    reader = BerReader(data)
    texts: list[str] = []
    while reader.more():
        texts.append(reader.text())
    return tuple(texts)


def _cookie(controls: bytes) -> bytes:
    reader = BerReader(controls)
    while reader.more():
        control = BerReader(reader.value(_SEQUENCE))
        if control.text() != _PAGES:
            continue
        while control.more():
            tag, content = control.any()
            if tag == _OCTETS:
                place = BerReader(BerReader(content).value(_SEQUENCE))
                place.number()
                return place.value(_OCTETS)
    return b""


def read_entry(content: bytes) -> tuple[str, dict[str, tuple[bytes, ...]]]:
    """Return the name and the attributes of an entry that a search found.

    Raises:
        ValueError: the entry is malformed.
    """
    reader = BerReader(content)
    name = reader.text()
    attributes: dict[str, tuple[bytes, ...]] = {}
    list_reader = BerReader(reader.value(_SEQUENCE))
    while list_reader.more():
        pair = BerReader(list_reader.value(_SEQUENCE))
        attribute = pair.text()
        values = BerReader(pair.value(_SET))
        contents: list[bytes] = []
        while values.more():
            contents.append(values.value(_OCTETS))
        attributes[attribute] = tuple(contents)
    return name, attributes


def read_references(content: bytes) -> tuple[str, ...]:
    """Return the URLs of the LDAP servers that have other parts of the searched directory.

    Raises:
        ValueError: the response is malformed.
    """
    return _texts(content)
