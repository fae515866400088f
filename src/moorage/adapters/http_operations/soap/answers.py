"""The answers of SOAP services: envelopes, faults, and results as plain values."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.adapters.http_operations.soap.libraries import etree, zeep
from moorage.adapters.http_operations.soap.xml_documents import NotXmlError, parsed
from moorage.domain.http.media_type import essence
from moorage.domain.resilience.classify import unreadable_answer_error
from moorage.domain.soap.faults import SoapFault
from moorage.domain.values.json_text import is_list

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from moorage.domain.http.response import Response
    from moorage.errors import VendorFailed

    ParseEnvelope: TypeAlias = Callable[[Response], Any]
    """Returns the SOAP envelope in an HTTP response; None if there is none."""

_ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_ENVELOPE_12: Final = "http://www.w3.org/2003/05/soap-envelope"
_ENVELOPES: Final = {_ENVELOPE: "1.1", _ENVELOPE_12: "1.2"}
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_MOST_REFERENCED: Final = 100_000
_MAX_DEPTH: Final = 100
_MOST_SUBCODES: Final = 10


def envelope_in(response: Response) -> Any:
    """Return the SOAP envelope in an HTTP response; None if there is none."""
    try:
        root = parsed(response.body)
    except NotXmlError:
        return None
    space, _, name = root.tag[1:].partition("}")
    return root if name == "Envelope" and space in _ENVELOPES else None


def envelope_of(response: Response, parse: ParseEnvelope = envelope_in) -> Any:
    """Return the SOAP envelope in an HTTP response.

    Raises:
        VendorFailed: the answer has attachments, or is not an envelope.
    """
    if essence(response.headers.get("content-type", "")) == "multipart/related":
        raise unreadable_answer_error(
            response, problem="has attachments (MTOM), which moorage does not support"
        )
    envelope = parse(response)
    if envelope is None:
        raise unreadable_answer_error(response, problem="is not a SOAP envelope")
    return envelope


def fault_of(response: Response, parse: ParseEnvelope = envelope_in) -> SoapFault | None:
    """Return the SOAP fault in an HTTP response; None if there is none."""
    envelope = parse(response)
    return None if envelope is None else fault_in(envelope)


def fault_in(envelope: Any) -> SoapFault | None:
    """Return the fault in a SOAP envelope; None if there is none."""
    space = envelope.tag[1:].partition("}")[0]
    fault = envelope.find(f"{{{space}}}Body/{{{space}}}Fault")
    if fault is None:
        return None
    return _old_fault(fault) if space == _ENVELOPE else _new_fault(fault, f"{{{space}}}")


def check_references(envelope: Any, response: Response) -> None:
    """Refuse a SOAP response whose internal references expand too far or forever.

    In the RPC style an element may refer to another one, which zeep puts in its place.

    Raises:
        VendorFailed: the answer has such references.
    """
    space = envelope.tag[1:].partition("}")[0]
    body = envelope.find(f"{{{space}}}Body")
    targets = {} if body is None else {item.get("id"): item for item in body if item.get("id")}
    sizes: dict[str, int] = {}

    def size(element: Any, open_ids: tuple[str, ...]) -> int:
        total = 0
        for item in element.iter():
            total += 1
            name = (item.get("href") or "").removeprefix("#")
            if name not in targets:
                continue
            if name in open_ids or len(open_ids) > _MAX_DEPTH:
                raise _too_many(response)
            if name not in sizes:
                sizes[name] = size(targets[name], (*open_ids, name))
            total += sizes[name]
            if total > _MOST_REFERENCED:
                raise _too_many(response)
        return total

    if targets:
        size(body, ())


def plain(value: Any) -> Any:
    """Convert a zeep value to dictionaries, lists and plain Python values."""
    items: Any = value
    if isinstance(value, (zeep("xsd.valueobjects").CompoundValue, Mapping)):
        return {name: plain(items[name]) for name in items}
    if is_list(value) or isinstance(value, tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    if etree().iselement(value):
        return element_value(value)
    if isinstance(value, (datetime, time)):
        return _with_plain_zone(value)
    return value


def rendered(value: Any) -> Any:
    """Return a SOAP result as plain JSON: times in ISO 8601, decimal numbers as strings."""
    if isinstance(value, Mapping):
        return {name: rendered(item) for name, item in cast("Mapping[str, Any]", value).items()}
    if is_list(value):
        return [rendered(item) for item in value]
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if value is None or isinstance(value, (bool, int, str, float)):
        return value
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def element_value(element: Any, depth: int = 0) -> Any:
    """Convert an XML element of unknown type to strings, dictionaries and lists."""
    children = [child for child in element if isinstance(child.tag, str)]
    if not children or depth > _MAX_DEPTH:
        return element.text or ""
    result: dict[str, Any] = {}
    for child in children:
        name, value = _local(child.tag), element_value(child, depth + 1)
        if name not in result:
            result[name] = value
        elif is_list(result[name]):
            result[name].append(value)
        else:
            result[name] = [result[name], value]
    return result


def _old_fault(fault: Any) -> SoapFault:
    """Parse a SOAP 1.1 fault, even if its child elements wrongly have a namespace."""
    parts = {_local(child.tag): child for child in fault if isinstance(child.tag, str)}
    codes = _local(_text(parts.get("faultcode"))).split(".")
    detail = parts.get("detail")
    return SoapFault(
        code=codes[0] or None,
        subcodes=tuple(codes[1:_MOST_SUBCODES]),
        message=_text(parts.get("faultstring")),
        actor=_text(parts.get("faultactor")) or None,
        detail=None if detail is None else element_value(detail) or None,
    )


def _new_fault(fault: Any, space: str) -> SoapFault:
    """Parse a SOAP 1.2 fault."""
    code = fault.find(f"{space}Code")
    codes: list[str] = []
    while code is not None and len(codes) < _MOST_SUBCODES:
        codes.append(_local(_text(code.find(f"{space}Value"))))
        code = code.find(f"{space}Subcode")
    # Some SOAP 1.2 services use the fault codes of SOAP 1.1.
    codes = [part for item in codes for part in item.split(".")]
    texts = fault.findall(f"{space}Reason/{space}Text")
    english = [text for text in texts if (text.get(_LANGUAGE) or "").startswith("en")]
    detail = fault.find(f"{space}Detail")
    return SoapFault(
        code=(codes[0] or None) if codes else None,
        subcodes=tuple(filter(None, codes[1:])),
        message=_text(next(iter(english or texts), None)),
        actor=_text(fault.find(f"{space}Node")) or None,
        detail=None if detail is None else element_value(detail) or None,
    )


def _text(element: Any) -> str:
    return "" if element is None else (element.text or "").strip()


def _local(name: str) -> str:
    return name.rpartition("}")[2].rpartition(":")[2]


def _with_plain_zone(value: Any) -> Any:
    """Return a time with Python's own time zone instead of a library's."""
    offset = value.utcoffset()
    return value if offset is None else value.replace(tzinfo=timezone(offset))


def _too_many(response: Response) -> VendorFailed:
    return unreadable_answer_error(
        response, problem="contains references that repeat too much content or form a cycle"
    )
