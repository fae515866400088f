"""An HTTP endpoint that lists records: the requests to it, and the parsing of its responses."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urljoin

import attrs

from moorage.domain.http.requests import Request
from moorage.domain.http.urls import validate_path
from moorage.domain.resilience.classify import unreadable_answer_error
from moorage.domain.values.durations import (
    SECOND,
    is_count,
    is_seconds,
    is_wait,
    micros,
    plain_seconds,
)
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.domain.values.text import is_encodable
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from moorage.domain.http.response import Response

_TIME_FORMATS: Final = ("iso", "seconds", "milliseconds")
_MAX_LENGTH: Final = 1_000
"""The characters of an option, and of an id."""

_LONGEST_PAGE: Final = 8_000
"""The characters of a cursor or of the URL of a page."""

_LINK: Final = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT_RELATION: Final = re.compile(r';\s*rel\s*=(?:\s*")?[^";]*\bnext\b', re.IGNORECASE)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"seconds": SECOND, "milliseconds": 1_000}
"""Microseconds of a time that is a number."""


def _is_text(_: object, field: attrs.Attribute[Any], value: object) -> None:
    is_given = isinstance(value, str) and 0 < len(value) <= _MAX_LENGTH
    if not is_given or not str(value).isprintable() or not is_encodable(str(value)):
        raise ConfigurationError(
            f"The value of {field.name} is not a printable text of 1 to {_MAX_LENGTH} characters.",
            path=field.name,
            remedy="Correct the value, or remove it if it is optional.",
        )


def _is_path(_: object, field: attrs.Attribute[Any], value: str) -> None:
    try:
        validate_path(value)
    except InvalidData as error:
        problem = str(error)
    else:
        return
    raise ConfigurationError(problem, path=field.name, remedy="Write a path, such as /orders.")


def _is_time_format(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value not in _TIME_FORMATS:
        raise ConfigurationError(
            "The time format is unknown.",
            path=field.name,
            remedy=f"Use one of: {', '.join(_TIME_FORMATS)}.",
        )


def _is_bool(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"The value of {field.name} is not true or false.",
            path=field.name,
            remedy="Write true or false.",
        )


def _are_parameters(_: object, field: attrs.Attribute[Any], value: dict[str, str]) -> None:
    if not is_object(value) or not all(
        isinstance(text, str) and is_encodable(text) for pair in value.items() for text in pair
    ):
        raise ConfigurationError(
            "The query is not a table with texts as values.",
            path=field.name,
            remedy='Write the parameters with their values as texts, such as {status = "paid"}.',
        )


def _optional() -> Any:
    """Return the declaration of an optional text field of an attrs class."""
    return field(default=None, validator=attrs.validators.optional(_is_text))


@frozen(kw_only=True)
class PolledEndpoint:
    """An HTTP endpoint that a pipeline polls for new records.

    A field of a response or of a record is a path with dots, such as data.orders.

    Attributes:
        service: the name of the service, whose protections apply.
        path: the path of the endpoint below the service's base URL.
        query: parameters of every request.
        items: the field of the response with the list of records; by default the response is
            the list.
        id: the field of a record with its id, a string or a number. Repeated records are recognised
            by it.
        key: the field of a record with its key. Records with the same key are processed in their
            order.
        next_page: the field of the response with the cursor, or the URL, of the next page.
        link_header: whether the header Link has the URL of the next page.
        cursor: the query parameter for the cursor in `next_page`; without it, `next_page` is a URL.
        since: the query parameter for the time from which on records are wanted. The response
            must list them in the order of their times, the oldest first.
        time: the field of a record with the time of its last change, for `since`.
        time_format: the format of times: iso, seconds or milliseconds since 1970.
        overlap: seconds before the newest known time; records from this time on are requested
            again, because some become visible late. Records that were delivered already are
            recognised.
        start: the first value of `since` or `cursor`; by default the first request has none.
        remember: the largest number of records of one page, or of the overlap, that are recognised.
        interval: seconds between two requests if there was nothing new.
    """

    service: str = field(validator=_is_text)
    path: str = field(validator=[_is_text, _is_path])
    query: dict[str, str] = field(factory=dict[str, str], validator=_are_parameters, repr=False)
    items: str | None = _optional()
    id: str = field(default="id", validator=_is_text)
    key: str | None = _optional()
    next_page: str | None = _optional()
    link_header: bool = field(default=False, validator=_is_bool)
    cursor: str | None = _optional()
    since: str | None = _optional()
    time: str | None = _optional()
    time_format: str = field(
        default="iso", metadata={"choices": _TIME_FORMATS}, validator=_is_time_format
    )
    overlap: float = field(default=60.0, converter=plain_seconds, validator=is_wait)
    start: str | None = _optional()
    remember: int = field(default=1_000, validator=is_count)
    interval: float = field(default=10.0, converter=plain_seconds, validator=is_seconds)

    def __attrs_post_init__(self) -> None:
        """Refuse contradictory options of a polled endpoint."""
        for is_wrong, path, problem, remedy in (
            (
                (self.since is None) != (self.time is None),
                "since",
                "Only one of since and time is set.",
                "Set since to the query parameter, and time to the field of a record.",
            ),
            (
                self.cursor is not None and self.next_page is None,
                "next_page",
                (
                    "The source has a cursor parameter, but no field of the response contains the"
                    " next cursor."
                ),
                "Set next_page to the field of the response that contains the next cursor.",
            ),
            (
                self.link_header and self.next_page is not None,
                "next_page",
                (
                    "Both link_header and next_page are set, but the next page can be only in one"
                    " of them."
                ),
                "Remove link_header or next_page.",
            ),
            (
                self.start is not None and self.since is None and self.cursor is None,
                "start",
                "The source has a first value, but no parameter for it.",
                "Set since or cursor to the query parameter.",
            ),
            (
                not self.query.keys().isdisjoint({self.since, self.cursor}),
                "query",
                "The query contains a parameter that the source sets itself.",
                "Remove the parameters of since and cursor from query.",
            ),
        ):
            if is_wrong:
                raise ConfigurationError(problem, path=path, remedy=remedy)


class PolledItem(NamedTuple):
    """A record in a response of a polled endpoint.

    Attributes:
        value: the record.
        id: the record's id. If the endpoint has `since`, the time of the last change is part of the
            id.
        key: the record's key; None if it has none.
        time: the time of its last change in microseconds since 1970; 0 if the endpoint has none.
    """

    value: Any
    id: str
    key: str | None
    time: int

    @property
    def digest(self) -> str:
        """A short hash that identifies the record."""
        return text_digest(self.id)


def text_digest(text: str) -> str:
    """Return a short hash that identifies a record's id or a page."""
    return sha256(text.encode()).hexdigest()[:16]


class PolledPage(NamedTuple):
    """The records and other contents of one response of a polled endpoint.

    Attributes:
        items: the records, in order.
        next: the cursor or the URL of the next page; None if there is none.
    """

    items: tuple[PolledItem, ...]
    next: str | None


def page_request(endpoint: PolledEndpoint, page: str | None, since: int | None) -> Request:
    """Return the request for a page of a polled endpoint.

    Args:
        endpoint: the endpoint.
        page: the cursor or the URL of the page; None for the first.
        since: the time from which on records are wanted, in microseconds since 1970; None for the
            beginning.
    """
    if page is not None and endpoint.cursor is None:
        return Request.get(page)
    parameters = dict(endpoint.query)
    if endpoint.cursor is not None:
        cursor = page if page is not None or endpoint.since is not None else endpoint.start
        if cursor is not None:
            parameters[endpoint.cursor] = cursor
    if endpoint.since is not None:
        text = endpoint.start if since is None else _written_time(endpoint, since)
        if text is not None:
            parameters[endpoint.since] = text
    return Request.get(endpoint.path, query=parameters)


def _written_time(endpoint: PolledEndpoint, time: int) -> str:
    if endpoint.time_format != "iso":
        return str(time // _UNITS[endpoint.time_format])
    return datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def since_of(endpoint: PolledEndpoint, newest: int | None) -> int | None:
    """Return the time from which to request records, given the newest time seen."""
    if newest is None:
        return None
    return max(0, newest - micros(endpoint.overlap))


def read_page(endpoint: PolledEndpoint, response: Response) -> PolledPage:
    """Return the records and the next page's address from a response of a polled endpoint.

    Raises:
        VendorFailed: the response is not JSON, or lacks a field.
    """
    try:
        body = response.json()
    except InvalidData:
        body = None
    values = field_of(body, endpoint.items)
    if not is_list(values):
        raise unreadable_answer_error(response, f"list of records{_field_name(endpoint.items)}")
    items = tuple(_item(endpoint, value, response) for value in values)
    return PolledPage(items, _next_page(endpoint, body, response))


def field_of(value: Any, path: str | None) -> Any:
    """Return the field of a decoded JSON value; None if there is none."""
    for name in () if path is None else path.split("."):
        value = value.get(name) if is_object(value) else None
    return value


def _field_name(field: str | None) -> str:
    return "" if field is None else f" in the field {field}"


def _item(endpoint: PolledEndpoint, value: Any, response: Response) -> PolledItem:
    id = _text(field_of(value, endpoint.id))
    if id is None:
        raise unreadable_answer_error(response, f"id of a record{_field_name(endpoint.id)}")
    key = None if endpoint.key is None else _text(field_of(value, endpoint.key))
    if endpoint.time is None:
        return PolledItem(value, id, key, 0)
    time = field_of(value, endpoint.time)
    moment = _moment(endpoint, time)
    if moment is None:
        raise unreadable_answer_error(response, f"time of a record{_field_name(endpoint.time)}")
    return PolledItem(value, f"{id}@{time}", key, moment)


def _text(value: object) -> str | None:
    """Return an id or a key as a string; None if the value is not a valid string or number."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    # Python converts no longer numbers to decimal digits.
    if isinstance(value, int) and value.bit_length() > _MAX_LENGTH:
        return None
    text = str(value)
    return text if 0 < len(text) <= _MAX_LENGTH and is_encodable(text) else None


def _moment(endpoint: PolledEndpoint, time: Any) -> int | None:
    """Return a time as microseconds since 1970; None if it does not have the endpoint's format."""
    try:
        if endpoint.time_format == "iso":
            moment = datetime.fromisoformat(time)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        elif type(time) in {int, float}:
            moment = datetime.fromtimestamp(time * _UNITS[endpoint.time_format] / SECOND, UTC)
        else:
            return None
        return max(0, (moment - _EPOCH) // timedelta(microseconds=1))
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _next_page(endpoint: PolledEndpoint, body: Any, response: Response) -> str | None:
    """Return the cursor or the URL of the next page; None on the last page."""
    next_page: Any
    if endpoint.link_header:
        next_page = _link(response.header("link") or "")
    else:
        next_page = field_of(body, endpoint.next_page) if endpoint.next_page is not None else None
    if next_page in (None, "", False):
        return None
    is_number = type(next_page) is int and endpoint.cursor is not None
    text = str(next_page) if isinstance(next_page, str) or is_number else ""
    if not 0 < len(text) <= _LONGEST_PAGE or not text.isprintable() or not is_encodable(text):
        raise unreadable_answer_error(response, "readable cursor or URL of the next page")
    return text if endpoint.cursor is not None else _absolute(text, response)


def _absolute(url: str, response: Response) -> str:
    """Return the URL of the next page, which may be relative to the response's URL.

    Raises:
        VendorFailed: the value is not a URL.
    """
    try:
        return validate_path(urljoin(response.url or "", url))
    except (InvalidData, ValueError):
        pass
    raise unreadable_answer_error(response, "URL of the next page that can be requested")


def _link(header: str) -> str | None:
    """Return the URL of the next page in a Link header."""
    for link in _LINK.finditer(header):
        if _NEXT_RELATION.search(link[2]):
            return link[1]
    return None


def record_payload(item: PolledItem) -> bytes:
    """Return the payload of a record, its value as JSON."""
    return encode_json(item.value)
