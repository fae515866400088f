"""The invoice for Italy, with fields that EN 16931 lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.validators import (
    are_all,
    as_table,
    as_tuple,
    check_text,
    is_a,
    is_maybe_filled,
)
from moorage.errors import InvalidData
from moorage.invoices.values import Invoice
from moorage.invoices.values.fields import number_field, parts_field, text_field

if TYPE_CHECKING:
    from decimal import Decimal

_TRANSMITTER: Final = re.compile(r"[A-Z]{2}[A-Za-z0-9]{1,28}")
_FILE_NUMBER: Final = re.compile(r"[A-Za-z0-9]{1,5}")


def _is_table_of(kind: type) -> Any:
    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        is_a(Mapping)(None, attribute, value)
        table: Mapping[object, object] = value  # type: ignore[assignment] # checked above
        for key, code in table.items():
            if type(key) is not kind:
                raise InvalidData(
                    f"A key of the {attribute.name} has another type than {kind.__name__}.",
                    field=attribute.name,
                    remedy="Give VAT categories as texts, and numbers of lines as whole numbers.",
                )
            check_text(code, attribute.name)

    return check_value


def _is_transmitter(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_text(value, attribute.name)
    if _TRANSMITTER.fullmatch(str(value)) is None:
        raise InvalidData(
            "The transmitter is not a country code and a tax identifier.",
            field=attribute.name,
            remedy="Give both in one text, such as 'IT01234567890'.",
        )


def _is_progressive(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_text(value, attribute.name)
    if re.fullmatch("[!-~]{1,10}", str(value)) is None:
        raise InvalidData(
            "The progressive identifier is not a string of one to ten ASCII characters.",
            field=attribute.name,
            remedy="Give a different identifier for each file, such as '00001'.",
        )


def _is_line_number(value: object) -> bool:
    return type(value) is int and 1 <= value <= 9999


def _are_line_numbers(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    are_all(int)(None, attribute, value)
    if not all(map(_is_line_number, value)):  # type: ignore[call-overload] # checked to be a tuple
        raise InvalidData(
            "A number of a line is not between 1 and 9999.",
            field=attribute.name,
            remedy="Count the lines from 1.",
        )


@attrs.frozen(kw_only=True)
class Withholding:
    """Tax that the buyer withholds and pays to the state (`DatiRitenuta`).

    Attributes:
        type: type of the withholding, such as 'RT01' for natural persons.
        amount: amount that is withheld.
        rate: rate in percent.
        reason: letter of the reason for payment, such as 'A' for self-employed work.
    """

    type: str | None = text_field()
    amount: Decimal | None = number_field()
    rate: Decimal | None = number_field()
    reason: str | None = text_field()


@attrs.frozen(kw_only=True)
class FatturaPa:
    """An invoice for the SdI, with fields that EN 16931 lacks.

    Attributes:
        invoice: the invoice; lines are counted from 1 in its order.
        transmitter: country code and tax identifier of the sender of the file, such as
            'IT01234567890'.
        progressive: identifier of the file, which is different for each file (`ProgressivoInvio`).
        recipient_code: code of the recipient's channel or office (`CodiceDestinatario`). By default
            the buyer's endpoint of scheme 0201, otherwise '0000000', or 'XXXXXXX' abroad.
        recipient_pec: the recipient's certified mail address, with the code '0000000'.
        document_type: type of the document, such as 'TD01'; by default the equivalent of the
            invoice's type code.
        regime: the seller's tax regime (`RegimeFiscale`).
        vat_due: 'I' if VAT is due immediately, 'D' if it is deferred, 'S' if the buyer pays it to
            the state (`EsigibilitaIVA`); None to leave it out.
        natures: nature of the lines without VAT, such as 'N4', by VAT category; by default N4 for
            E, N3.1 for G, N3.2 for K and N2.2 for O.
        line_natures: nature of single lines, by the number of the line.
        withholdings: taxes that the buyer withholds.
        withheld_lines: numbers of the lines to which the withholding applies.
        stamp_duty: stamp duty that is paid electronically (`DatiBollo`). If the buyer pays it,
            the invoice needs a charge too.
    """

    invoice: Invoice = attrs.field(validator=is_a(Invoice))
    transmitter: str = attrs.field(validator=_is_transmitter)
    progressive: str = attrs.field(validator=_is_progressive)
    recipient_code: str | None = attrs.field(default=None, validator=is_maybe_filled)
    recipient_pec: str | None = text_field(private=True)
    document_type: str | None = attrs.field(default=None, validator=is_maybe_filled)
    regime: str = attrs.field(default="RF01", validator=is_maybe_filled)
    vat_due: str | None = attrs.field(default=None, validator=is_maybe_filled)
    natures: Mapping[str, str] = attrs.field(
        factory=dict[str, str], converter=as_table, validator=_is_table_of(str)
    )
    line_natures: Mapping[int, str] = attrs.field(
        factory=dict[int, str], converter=as_table, validator=_is_table_of(int)
    )
    withholdings: tuple[Withholding, ...] = parts_field(Withholding)
    withheld_lines: tuple[int, ...] = attrs.field(
        default=(), converter=as_tuple, validator=_are_line_numbers
    )
    stamp_duty: Decimal | None = number_field()

    @property
    def file_name(self) -> str:
        """The name that the SdI requires for the file, such as 'IT01234567890_00001.xml'.

        Raises:
            InvalidData: the progressive identifier has more than five characters, or characters
                other than letters and digits.
        """
        if _FILE_NUMBER.fullmatch(self.progressive) is None:
            raise InvalidData(
                "The progressive identifier cannot be part of a file's name: the SdI allows one"
                " to five letters and digits (00001).",
                field="progressive",
                remedy="Give a shorter identifier, such as '00001'.",
            )
        return f"{self.transmitter}_{self.progressive}.xml"
