"""Lenient reading of JSON answers: a missing or malformed value is None, never an error."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.domain.resilience.classify import unreadable_answer_error
from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.money import EXPONENTS, Money
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.domain.http.response import Response

Value = TypeVar("Value")

_NUMBER: Final = late_pattern(r"[+-]?[0-9]{1,24}(?:\.[0-9]{1,24})?(?:[eE][+-]?[0-9]{1,2})?")


malformed = unreadable_answer_error
"""The error of a successful answer that lacks a value which every success has."""


def required(value: Value | None, response: Response, name: str) -> Value:
    """Return a value that every successful answer must contain.

    Args:
        value: the value, or None if the answer lacks it.
        response: the answer.
        name: the value's name at the vendor.

    Raises:
        VendorFailed: the answer lacks the value.
    """
    if value is None:
        raise malformed(response, name)
    return value


def required_objects(answer: Answer, path: str, response: Response) -> list[Answer]:
    """Return the objects in a list that every successful answer must contain.

    Args:
        answer: the parsed answer, or a part of it.
        path: the path of the list in it.
        response: the answer.

    Raises:
        VendorFailed: the answer lacks the list, or an entry of the list is not an object.
    """
    entries = answer.value(path)
    if not is_list(entries) or not all(map(is_object, entries)):
        raise malformed(response, path)
    return list(answer.objects(path))


def error_answer(response: Response) -> Answer:
    """Return the JSON object of an error response; an empty one if the body is anything else."""
    try:
        return as_answer(response.json())
    except InvalidData:
        return Answer({})


def read_answer(response: Response) -> Answer:
    """Parse the JSON object of an answer.

    Raises:
        VendorFailed: the answer is not a JSON object.
    """
    try:
        body = response.json()
    except InvalidData:
        body = None
    if is_object(body):
        return Answer(body)
    raise malformed(response)


def check_done(response: Response) -> None:
    """Check a successful answer whose content is not needed.

    Raises:
        VendorFailed: the answer is neither empty nor a JSON object, for example a proxy's HTML
            page.
    """
    if response.body.strip():
        read_answer(response)


def as_answer(value: object) -> Answer:
    """Return a parsed value as an `Answer`; an empty one if it is not an object."""
    return Answer(value if is_object(value) else {})


def read_answers(response: Response) -> list[Answer]:
    """Parse the list of JSON objects of an answer.

    Raises:
        VendorFailed: the answer is not a list.
    """
    try:
        body = response.json()
    except InvalidData:
        body = None
    if is_list(body):
        return [Answer(item) for item in body if is_object(item)]
    raise malformed(response)


class Answer:
    """A JSON object with methods that read a field, which may be nested (a dotted path)."""

    __slots__ = ("raw",)

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw

    def value(self, path: str) -> Any:
        """Return the value of a field, of any type; None if it is missing."""
        if "." not in path:
            return self.raw.get(path)
        node: Any = self.raw
        for name in path.split("."):
            if is_list(node) and name.isdigit():
                node = node[int(name)] if int(name) < len(node) else None
            else:
                node = node.get(name) if is_object(node) else None
        return node

    def text(self, path: str) -> str | None:
        """Return a non-empty string that UTF-8 can encode; a number becomes text."""
        entry = self.value(path)
        if isinstance(entry, str) and entry.isascii():
            return entry or None
        if isinstance(entry, bool) or not isinstance(entry, (str, int)):
            return None
        return str(entry).encode(errors="replace").decode()

    def integer(self, path: str) -> int | None:
        """Return an integer, which may be written as text."""
        number = self.value(path)
        if isinstance(number, str) and re.fullmatch(r"[+-]?[0-9]{1,24}", number):
            return int(number)
        return number if isinstance(number, int) and not isinstance(number, bool) else None

    def flag(self, path: str) -> bool | None:
        """Return True or False, which may be written as text."""
        flag = self.value(path)
        if isinstance(flag, str):
            return {"true": True, "false": False}.get(flag.lower())
        return flag if isinstance(flag, bool) else None

    def decimal(self, path: str) -> Decimal | None:
        """Return an exact number; None if the value is not a number."""
        return as_decimal(self.value(path))

    def texts(self, path: str) -> tuple[str, ...]:
        """Return the strings in a list; empty if the field is not a list."""
        entries = self.value(path)
        items = entries if is_list(entries) else []
        return tuple(item for item in items if isinstance(item, str))

    def object(self, path: str) -> Answer:
        """Return a nested object; an empty one if it is missing."""
        return as_answer(self.value(path))

    def objects(self, path: str) -> Iterator[Answer]:
        """Yield the objects in a list; none if the field is not a list."""
        entries = self.value(path)
        if is_list(entries):
            yield from (Answer(item) for item in entries if is_object(item))

    def time(self, path: str) -> datetime | None:
        """Return a time in UTC, given in ISO 8601, RFC 2822 or seconds since 1970."""
        return as_time(self.value(path))

    def __bool__(self) -> bool:
        return bool(self.raw)

    def __repr__(self) -> str:
        return f"<Answer of {len(self.raw)} fields>"


def as_decimal(value: object) -> Decimal | None:
    """Return an exact number; None if the value is not a number."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return None
    text = str(value)
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def as_money(amount: object, currency: object) -> Money | None:
    """Return an amount in major units; None if the currency or its decimals are invalid."""
    number = as_decimal(amount)
    if number is None or not isinstance(currency, str) or currency.upper() not in EXPONENTS:
        return None
    try:
        return Money(number, currency.upper())
    except InvalidData:
        return None


def as_minor(amount: object, currency: object) -> Money | None:
    """Return an amount in minor units; None if it is invalid."""
    if type(amount) is not int or not isinstance(currency, str):
        return None
    try:
        return Money.from_minor(amount, currency.upper())
    except InvalidData:
        return None


def as_time(value: object) -> datetime | None:
    """Return a time in UTC, given in ISO 8601, RFC 2822 or seconds since 1970."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if not isinstance(value, str) or len(value) > 64:
            return None
        if value.isdigit() and len(value) > 8:
            return datetime.fromtimestamp(int(value), UTC)
        moment = (
            datetime.fromisoformat(value) if value[:4].isdigit() else parsedate_to_datetime(value)
        )
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (OSError, OverflowError, ValueError):
        return None
