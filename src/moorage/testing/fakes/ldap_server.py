"""A local LDAP directory, for tests of programs that use the LDAP connector."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.connectors import ldap_wire
from moorage.domain.connectors.ldap_values import values_bytes
from moorage.domain.connectors.ldap_wire import BerReader, integer, octets, tlv
from moorage.testing.fakes._tcp_server import TcpServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping, Sequence

    from moorage.domain.connectors.ldap_values import LdapValue

_MAX_BYTES: Final = 16 * 1024 * 1024
_READ_SIZE: Final = 65_536
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_ENUMERATED: Final = 0x0A
_OCTETS: Final = 0x04
_BOOLEAN: Final = 0x01
_CONTROLS: Final = 0xA0
_UNBIND: Final = 0x42
_SEARCH: Final = 0x63
_PASSWORD: Final = "userpassword"  # noqa: S105 - the name of an attribute
_PAGES: Final = b"1.2.840.113556.1.4.319"
_PART: Final = re.compile(r"(?:\\.|[^,\\])+", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_TEXTS: Final[dict[int, str]] = {0x80: "startswith", 0x82: "endswith"}

_SUCCESS, _FALSE, _TRUE, _UNKNOWN_REQUEST = 0, 5, 6, 2
_NO_ATTRIBUTE, _NO_ENTRY, _WRONG_PASSWORD, _HAS_CHILDREN, _EXISTS = 16, 32, 49, 66, 68

Attributes = dict[str, list[bytes]]


class LdapServer(TcpServer):
    """An LDAP server with a directory in memory, which runs during its `with` block without TLS.

    Names and values are compared regardless of case, and every user may do everything. It knows no
    schema.

    Args:
        entries: the entries at the start: attributes by the name of the entry. An entry with the
            attribute `userPassword` can authenticate.

    Attributes:
        failures: the result codes of the next requests, which are not performed; 51 is "busy".
    """

    def __init__(
        self, entries: Mapping[str, Mapping[str, LdapValue | Sequence[LdapValue]]] | None = None
    ) -> None:
        super().__init__()
        self.failures: deque[int] = deque()
        self._entries: dict[str, tuple[str, Attributes]] = {}
        for name, attributes in (entries or {}).items():
            values = {key: [*values_bytes(key, value)] for key, value in attributes.items()}
            self._entries[_key(name)] = name, values

    @property
    def url(self) -> str:
        """The URL of the server, for a connector with `start_tls=False`."""
        return f"ldap://127.0.0.1:{self.port}"

    def _answer_requests(self, connection: socket.socket) -> None:
        """Respond to the requests of one connection until it ends."""
        received_bytes = bytearray()
        while data := connection.recv(_READ_SIZE):
            received_bytes += data
            while size := ldap_wire.message_size(received_bytes, _MAX_BYTES):
                if size > len(received_bytes):
                    break
                request = ldap_wire.read_message(bytes(received_bytes[:size]))
                del received_bytes[:size]
                if request.kind == _UNBIND:
                    return
                connection.sendall(b"".join(self._responses(request)))

    def _responses(self, request: ldap_wire.LdapResponse) -> Iterator[bytes]:
        with self.lock:
            reader = BerReader(request.content)
            if self.failures:
                yield _result(request.id, request.kind, self.failures.popleft())
            elif request.kind == _SEARCH:
                yield from self._search(request)
            elif request.kind in self._VERBS:
                code = self._VERBS[request.kind](self, reader, request.content)
                yield _result(request.id, request.kind, code)
            else:
                yield _result(request.id, request.kind, _UNKNOWN_REQUEST)

    def _bind(self, reader: BerReader, _: bytes) -> int:
        reader.number()
        entry = self._attributes(reader.text()) or {}
        password = reader.any()[1]
        is_right = not password or password in _values(entry, _PASSWORD)
        return _SUCCESS if is_right else _WRONG_PASSWORD

    def _attributes(self, name: str) -> Attributes | None:
        entry = self._entries.get(_key(name))
        return None if entry is None else entry[1]

    def _search(self, request: ldap_wire.LdapResponse) -> Iterator[bytes]:
        reader = BerReader(request.content)
        base, scope = _key(reader.text()), reader.number(_ENUMERATED)
        reader.number(_ENUMERATED)
        limit = reader.number()
        reader.number()  # the seconds that it may take
        reader.value(_BOOLEAN)
        condition = reader.any()
        selection = {value.decode().lower() for value in _condition_list(reader.value(_SEQUENCE))}
        if base and base not in self._entries:
            yield _result(request.id, _SEARCH, _NO_ENTRY)
            return
        matches = [
            (name, attributes)
            for key, (name, attributes) in self._entries.items()
            if _is_below(key, base, scope) and _fulfils(attributes, condition)
        ]
        size, cookie = _page(request.controls)
        start = int(cookie or b"0")
        end = start + (size or limit or len(matches))
        for name, attributes in matches[start:end]:
            entry_attributes = {
                key: values
                for key, values in attributes.items()
                if not selection or selection & {key.lower(), "*"}
            }
            items = [
                tlv(_SEQUENCE, octets(key), tlv(_SET, *map(octets, values)))
                for key, values in entry_attributes.items()
            ]
            entry = tlv(ldap_wire.ENTRY, octets(name), tlv(_SEQUENCE, *items))
            yield ldap_wire.message(request.id, entry)
        next_cookie = str(end) if end < len(matches) else ""
        controls = b""
        if size:
            place = tlv(_SEQUENCE, integer(0), octets(next_cookie))
            controls = tlv(_SEQUENCE, octets(_PAGES), octets(place))
        code = 4 if next_cookie and not size else _SUCCESS
        yield _result(request.id, _SEARCH, code, controls)

    def _add(self, reader: BerReader, _: bytes) -> int:
        name = reader.text()
        if _key(name) in self._entries:
            return _EXISTS
        parent = _parent(_key(name))
        if parent and self._entries and parent not in self._entries:
            return _NO_ENTRY
        self._entries[_key(name)] = name, dict(_attributes(reader.value(_SEQUENCE)))
        return _SUCCESS

    def _modify(self, reader: BerReader, _: bytes) -> int:
        name, entry = self._entries.get(_key(reader.text()), ("", None))
        if entry is None:
            return _NO_ENTRY
        changed_attributes = {key: [*values] for key, values in entry.items()}
        changes = BerReader(reader.value(_SEQUENCE))
        while changes.more():
            change = BerReader(changes.value(_SEQUENCE))
            kind = change.number(_ENUMERATED)
            ((attribute, values),) = _attributes(tlv(_SEQUENCE, change.value(_SEQUENCE)))
            code = _change(changed_attributes, kind, attribute, values)
            if code != _SUCCESS:
                return code
        self._entries[_key(name)] = name, changed_attributes
        return _SUCCESS

    def _delete(self, _: BerReader, content: bytes) -> int:
        key = _key(content.decode())
        if key not in self._entries:
            return _NO_ENTRY
        if any(_parent(other) == key for other in self._entries):
            return _HAS_CHILDREN
        del self._entries[key]
        return _SUCCESS

    def _rename(self, reader: BerReader, _: bytes) -> int:
        old_name, new_name, deletes_old = (
            reader.text(),
            reader.text(),
            reader.value(_BOOLEAN) != b"\0",
        )
        parent = reader.value(0x80).decode() if reader.more() else _parent(old_name)
        name = f"{new_name},{parent}" if parent else new_name
        if _key(old_name) not in self._entries:
            return _NO_ENTRY
        if _key(name) in self._entries:
            return _EXISTS
        attributes = self._entries.pop(_key(old_name))[1]
        attribute, value = _naming_attribute(old_name)
        if deletes_old and value in _values(attributes, attribute):
            _values(attributes, attribute).remove(value)
        attribute, value = _naming_attribute(new_name)
        values = attributes.setdefault(_stored_name(attributes, attribute), [])
        if value not in values:
            values.append(value)
        self._entries[_key(name)] = name, attributes
        return _SUCCESS

    def _compare(self, reader: BerReader, _: bytes) -> int:
        entry = self._attributes(reader.text())
        pair = BerReader(reader.value(_SEQUENCE))
        attribute, value = pair.text(), pair.value(_OCTETS)
        if entry is None:
            return _NO_ENTRY
        if not (values := _values(entry, attribute)):
            return _NO_ATTRIBUTE
        return _TRUE if value.lower() in [item.lower() for item in values] else _FALSE

    _VERBS: Final[dict[int, Any]] = {
        0x60: _bind,
        0x66: _modify,
        0x68: _add,
        0x4A: _delete,
        0x6C: _rename,
        0x6E: _compare,
    }


def _name_parts(name: str) -> list[str]:
    return [part.strip() for part in _PART.findall(name)]


def _key(name: str) -> str:
    return ",".join(_name_parts(name.lower()))


def _parent(name: str) -> str:
    return ",".join(_name_parts(name)[1:])


def _naming_attribute(name: str) -> tuple[str, bytes]:
    """Return the attribute and value that identify an entry below its parent."""
    attribute, _, value = _name_parts(name)[0].partition("=")
    return attribute, _ESCAPED.sub(r"\1", value).encode()


def _is_below(key: str, base: str, scope: int) -> bool:
    if scope == ldap_wire.BASE:
        return key == base
    if scope == ldap_wire.ONE_LEVEL:
        return _parent(key) == base
    return not base or key == base or key.endswith(f",{base}")


def _stored_name(attributes: Attributes, attribute: str) -> str:
    """Return an attribute's name as an entry spells it."""
    return next((name for name in attributes if name.lower() == attribute.lower()), attribute)


def _values(attributes: Attributes, attribute: str) -> list[bytes]:
    return attributes.get(_stored_name(attributes, attribute), [])


def _condition_list(content: bytes) -> Iterator[bytes]:
    reader = BerReader(content)
    while reader.more():
        yield reader.value(_OCTETS)


def _attributes(content: bytes) -> Iterator[tuple[str, list[bytes]]]:
    reader = BerReader(content)
    while reader.more():
        pair = BerReader(reader.value(_SEQUENCE))
        yield pair.text(), [*_condition_list(pair.value(_SET))]


def _change(attributes: Attributes, kind: int, attribute: str, values: list[bytes]) -> int:
    """Change an attribute of an entry, and return the result code."""
    name = _stored_name(attributes, attribute)
    current_values = attributes.get(name, [])
    if kind == ldap_wire.REPLACES:
        current_values = values
    elif kind == ldap_wire.ADDS:
        if set(values) & set(current_values):
            return 20
        current_values = [*current_values, *values]
    elif not current_values or set(values) - set(current_values):
        return _NO_ATTRIBUTE
    else:
        current_values = [value for value in current_values if values and value not in values]
    attributes[name] = current_values
    if not current_values:
        del attributes[name]
    return _SUCCESS


def _fulfils(attributes: Attributes, condition: tuple[int, bytes]) -> bool:
    tag, content = condition
    if tag == 0x87:
        return bool(_values(attributes, content.decode())) or content.lower() == b"objectclass"
    reader = BerReader(content)
    if tag in {0xA0, 0xA1}:
        parts: list[bool] = []
        while reader.more():
            parts.append(_fulfils(attributes, reader.any()))
        return all(parts) if tag == 0xA0 else any(parts)
    if tag == 0xA2:
        return not _fulfils(attributes, reader.any())
    values = [value.lower() for value in _values(attributes, reader.text())]
    if tag == 0xA4:
        place, part = BerReader(reader.value(_SEQUENCE)).any()
        part = part.lower()
        if place in _TEXTS:
            return any(getattr(value, _TEXTS[place])(part) for value in values)
        return any(part in value for value in values)
    operand = reader.value(_OCTETS).lower()
    if tag == 0xA5:
        return any(value >= operand for value in values)
    if tag == 0xA6:
        return any(value <= operand for value in values)
    return operand in values


def _page(controls: bytes) -> tuple[int, bytes]:
    """Return the requested page size and its cookie; 0 without paging."""
    reader = BerReader(controls)
    while reader.more():
        control = BerReader(reader.value(_SEQUENCE))
        if control.value(_OCTETS) == _PAGES:
            control.value(_BOOLEAN)
            place = BerReader(BerReader(control.value(_OCTETS)).value(_SEQUENCE))
            return place.number(), place.value(_OCTETS)
    return 0, b""


def _result(number: int, kind: int, code: int, controls: bytes = b"") -> bytes:
    response = 0x6B if kind == 0x4A else kind + (2 if kind == _SEARCH else 1)
    content = tlv(response, integer(code, _ENUMERATED), octets(""), octets(""))
    return ldap_wire.message(number, content, controls)
