"""The invoice for Poland, with fields that EN 16931 lacks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import attrs

from moorage.contracts.validators import are_texts, as_table, is_a, is_maybe_filled, is_moment
from moorage.invoices.values import Invoice
from moorage.invoices.values.fields import day_field, is_maybe_xml_text, number_field

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from decimal import Decimal

_TEXT: Final = [is_maybe_filled, is_maybe_xml_text]


@attrs.frozen(kw_only=True)
class KsefInvoice:
    """An invoice for KSeF, with fields that EN 16931 lacks.

    Attributes:
        invoice: the invoice.
        created_at: time at which the file is made, with a time zone.
        place: place of issue.
        cash_method: True if VAT is due when the buyer pays (P_16).
        split_payment: True if the buyer must pay VAT to a separate account (P_18A).
        exemption_law: provision of the Polish act for the exemption (P_19A). By default the reason
            of the invoice's exemption of category E is used as another legal basis (P_19C).
        exchange_rate: złoty for one unit of a foreign currency, to convert VAT.
        ksef_numbers: KSeF numbers of preceding invoices, by the sellers' invoice numbers.
        correction_reason: reason of a correction.
        paid_on: day when the invoice was paid completely.
        is_local_unit: True if the buyer is a subordinate unit of local government (JST).
        is_group_member: True if the buyer is a member of a VAT group (GV).
        system: name of the program that made the file.
    """

    invoice: Invoice = attrs.field(validator=is_a(Invoice))
    created_at: datetime = attrs.field(validator=[is_a(datetime), is_moment])
    place: str | None = attrs.field(default=None, validator=_TEXT)
    cash_method: bool = attrs.field(default=False, validator=is_a(bool))
    split_payment: bool = attrs.field(default=False, validator=is_a(bool))
    exemption_law: str | None = attrs.field(default=None, validator=_TEXT)
    exchange_rate: Decimal | None = number_field()
    ksef_numbers: Mapping[str, str] = attrs.field(
        factory=dict[str, str], converter=as_table, validator=are_texts
    )
    correction_reason: str | None = attrs.field(default=None, validator=_TEXT)
    paid_on: date | None = day_field()
    is_local_unit: bool = attrs.field(default=False, validator=is_a(bool))
    is_group_member: bool = attrs.field(default=False, validator=is_a(bool))
    system: str | None = attrs.field(default=None, validator=_TEXT)
