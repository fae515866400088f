"""Validators and converters of the fields of payment orders."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.bank.references import CreditorReference
from moorage.contracts.validators import check_kind, check_text
from moorage.domain.values.money import Money
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    import attrs

    from moorage.contracts.validators import Check

NOT_PROVIDED: Final = "NOTPROVIDED"
"""The end-to-end identifier of a payment that has none."""
_IDENTIFIER: Final = late_pattern(r"[A-Za-z0-9?:().,'+ -]+(?:/[A-Za-z0-9?:().,'+ -]+)*")
_CODE: Final = late_pattern(r"[A-Z0-9]{4}")
_LARGEST_CENTS: Final = 99_999_999_999


def is_identifier(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse an identifier that some banks would refuse."""
    check_text(value, attribute.name)
    text = str(value)
    if len(text) > 35 or text != text.strip() or not _IDENTIFIER.fullmatch(text):
        raise InvalidData(
            f"The {attribute.name} is not an identifier that every bank accepts.",
            field=attribute.name,
            remedy="Give 1 to 35 letters, digits or signs of SEPA's Latin character set, with no"
            " slash at the ends and no two slashes in a row.",
        )


def is_maybe_identifier(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None, or an identifier that every bank accepts; refuse other values."""
    if value is not None:
        is_identifier(_, attribute, value)


def at_most(longest: int) -> Check:
    """A validator that accepts only strings up to a number of characters."""

    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        check_text(value, attribute.name)
        text = str(value)
        if not text.strip() or len(text) > longest:
            raise InvalidData(
                f"The {attribute.name} has {len(text)} characters; 1 to {longest} are allowed.",
                field=attribute.name,
                remedy="Shorten the text, or give None if the field is optional.",
            )

    return check_value


def maybe_at_most(longest: int) -> Check:
    """A validator that accepts only None and strings up to a number of characters."""
    check_value = at_most(longest)

    def check_if_present(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            check_value(_, attribute, value)

    return check_if_present


def is_maybe_code(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None or a code of four capital letters; refuse other values."""
    if value is not None and (not isinstance(value, str) or not _CODE.fullmatch(value)):
        raise InvalidData(
            f"The {attribute.name} must be a code of four capital letters.",
            field=attribute.name,
            remedy="Give a code of ISO 20022's external lists, such as 'SALA'.",
        )


def is_payable(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse an amount that no SEPA payment can have."""
    check_kind(value, Money, attribute.name)
    if isinstance(value, Money) and value.currency == "EUR" and 0 < value.minor <= _LARGEST_CENTS:
        return
    raise InvalidData(
        "The amount of a SEPA payment must be in euros, from 0.01 to 999999999.99.",
        field=attribute.name,
        remedy="Give a positive Money, such as Money('149.90', 'EUR'); the kind of order sets the"
        " direction of the payment.",
    )


def is_remittance(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None, a creditor reference, or a string of up to 140 characters."""
    if value is None or isinstance(value, CreditorReference):
        return
    if not isinstance(value, str):
        check_kind(value, str, attribute.name)
    at_most(140)(_, attribute, value)


def has_items(_: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    """Refuse an empty tuple, because banks refuse an empty file."""
    if not value:
        raise InvalidData(
            f"The {attribute.name} must not be empty.",
            field=attribute.name,
            remedy="Give at least one, since banks refuse an empty file.",
        )


def is_time(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except a time whose offset from UTC is a whole number of minutes."""
    if isinstance(value, datetime):
        offset = value.utcoffset()
        if offset is None or offset % timedelta(minutes=1) == timedelta(0):
            return
    raise InvalidData(
        f"The {attribute.name} must be a datetime.",
        field=attribute.name,
        remedy="Give a datetime, such as datetime.now(UTC), and store it with the order.",
    )


def whole_second(value: Any) -> Any:
    """A time without its fraction of a second."""
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def total_of(amounts: Iterable[Money]) -> Money:
    """The sum of amounts in euros."""
    return Money.from_minor(sum(amount.minor for amount in amounts), "EUR")


def check_identifiers(batches: list[str], payments: list[str]) -> None:
    """Refuse identifiers of batches or payments that are used twice in a file."""
    for field, identifiers in (("id", batches), ("end_to_end_id", payments)):
        counts = Counter(identifiers)
        counts.pop(NOT_PROVIDED, None)
        repeated_identifiers = [identifier for identifier, count in counts.items() if count > 1]
        if repeated_identifiers:
            raise InvalidData(
                f"The {field} {repeated_identifiers[0]!r} is used twice in the file.",
                field=field,
                remedy="Look for a payment that is listed twice, and give each payment a"
                " different id.",
            )
