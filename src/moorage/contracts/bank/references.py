"""Creditor references (ISO 11649) and SEPA's creditor identifiers."""

from __future__ import annotations

import re
from typing import Any, Final

from moorage.contracts.bank.check_digits import are_right, check_digits
from moorage.domain.values.countries import COUNTRIES
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

_REFERENCE: Final = re.compile(r"RF[0-9]{2}[A-Z0-9]{1,21}")
_BODY: Final = re.compile(r"[A-Z0-9]{1,21}")
_CREDITOR_ID: Final = re.compile(r"([A-Z]{2})[0-9]{2}[A-Z0-9]{3}[A-Z0-9+?/:().,'-]{1,28}")
_SEPARATORS: Final = re.compile(r"[^A-Z0-9]")


def _compact(value: Any) -> Any:
    if isinstance(value, (CreditorReference, CreditorId)):
        return value.value
    if not isinstance(value, str):
        return value
    text = value.replace(" ", "")
    return text.upper() if text.isascii() else text


def _is_reference(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value) or not are_right(value):
        raise InvalidData(
            "The creditor reference does not have the form of ISO 11649, or its check digits are"
            " wrong.",
            field="reference",
            remedy="Give a reference such as 'RF18 5390 0754 7034', or use"
            " CreditorReference.of(number).",
        )


@frozen
class CreditorReference:
    """A reference for the remittance of a payment, with check digits (ISO 11649).

    Attributes:
        value: the reference in capitals without spaces, such as `RF18539007547034`.
    """

    value: str = field(converter=_compact, validator=_is_reference)

    @classmethod
    def of(cls, number: str) -> CreditorReference:
        """Compute the reference for your own number of up to 21 letters and digits.

        Raises:
            InvalidData: the number is empty, too long, or has other characters.
        """
        body = _compact(number)
        if not isinstance(body, str) or not _BODY.fullmatch(body):
            raise InvalidData(
                "The number of a creditor reference must have 1 to 21 letters and digits.",
                field="number",
                remedy="Leave out hyphens, slashes and other signs.",
            )
        return cls(f"RF{check_digits('RF', body)}{body}")

    @property
    def spaced(self) -> str:
        """The reference in groups of four, as invoices print it."""
        return " ".join(self.value[start : start + 4] for start in range(0, len(self.value), 4))


def _is_creditor_id(_: object, __: object, value: Any) -> None:
    match = _CREDITOR_ID.fullmatch(value) if isinstance(value, str) else None
    if match is not None and match[1] in COUNTRIES:
        # Neither the business code in positions five to seven nor signs count.
        counted = match[0][:4] + _SEPARATORS.sub("", match[0][7:])
        if len(counted) > 4 and are_right(counted):
            return
    raise InvalidData(
        "The SEPA creditor identifier has the wrong form, or its check digits are wrong.",
        field="creditor_id",
        remedy="Give the identifier that your central bank assigned, such as 'DE98ZZZ09999999999'.",
    )


@frozen
class CreditorId:
    """The SEPA identifier of a creditor who collects direct debits.

    Attributes:
        value: the identifier in capitals without spaces, such as `DE98ZZZ09999999999`.
    """

    value: str = field(converter=_compact, validator=_is_creditor_id)
