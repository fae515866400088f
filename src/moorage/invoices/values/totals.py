"""The VAT breakdown and the totals of an invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.invoices.values.fields import number_field, parts_field, text_field

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal


@attrs.frozen(kw_only=True)
class VatExemption:
    """The reason why no VAT applies to a VAT category.

    Attributes:
        category: VAT category, such as 'E' (BT-118).
        reason: the reason as a text (BT-120).
        reason_code: the reason as a VATEX code (BT-121).
    """

    category: str | None = text_field()
    reason: str | None = text_field()
    reason_code: str | None = text_field()


@attrs.frozen(kw_only=True)
class VatBreakdown:
    """The VAT of one category and rate (BG-23).

    Attributes:
        taxable: amount that the VAT is calculated from (BT-116).
        tax: amount of VAT (BT-117).
        category: a code of UNTDID 5305 (BT-118).
        rate: rate in percent (BT-119).
        reason: the reason for which there is no VAT, as a text (BT-120).
        reason_code: the reason for which there is no VAT, as a VATEX code (BT-121).
    """

    taxable: Decimal | None = number_field()
    tax: Decimal | None = number_field()
    category: str | None = text_field()
    rate: Decimal | None = number_field()
    reason: str | None = text_field()
    reason_code: str | None = text_field()


@attrs.frozen(kw_only=True)
class Totals:
    """The sums of an invoice (BG-22) and its VAT breakdown (BG-23).

    Attributes:
        lines: sum of the lines' net amounts (BT-106).
        allowances: sum of the invoice's allowances; None without any (BT-107).
        charges: sum of the invoice's charges; None without any (BT-108).
        net: total without VAT (BT-109).
        vat: total VAT (BT-110).
        gross: total with VAT (BT-112).
        due: amount due for payment (BT-115).
        breakdown: the VAT of each category and rate.
    """

    lines: Decimal | None = number_field()
    allowances: Decimal | None = number_field()
    charges: Decimal | None = number_field()
    net: Decimal | None = number_field()
    vat: Decimal | None = number_field()
    gross: Decimal | None = number_field()
    due: Decimal | None = number_field()
    breakdown: tuple[VatBreakdown, ...] = parts_field(VatBreakdown)


def exemptions_of(breakdown: Iterable[VatBreakdown]) -> tuple[VatExemption, ...]:
    """Return the reasons for exemption in a VAT breakdown, one for each category."""
    reasons: dict[str | None, VatExemption] = {}
    for part in breakdown:
        if part.reason is not None or part.reason_code is not None:
            reasons.setdefault(
                part.category,
                VatExemption(
                    category=part.category, reason=part.reason, reason_code=part.reason_code
                ),
            )
    return tuple(reasons.values())
