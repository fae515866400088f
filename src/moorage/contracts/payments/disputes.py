"""Evidence for the response to a dispute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.validators import is_filled, is_maybe_filled
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

_MAX_LENGTH: Final = 20_000


def _check_length(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and len(value) > _MAX_LENGTH:
        raise InvalidData(
            f"The {attribute.name} must have at most {_MAX_LENGTH} characters.",
            field=attribute.name,
            remedy="Give a shorter text.",
        )


@frozen
class DisputeEvidence:
    """Evidence that a disputed payment was justified, as texts that the buyer's bank reads.

    Attributes:
        explanation: the facts, such as the order and the agreement.
        product: description of what the buyer received.
        carrier: name of the company that delivered it.
        tracking_number: number by which the carrier finds the delivery.
    """

    explanation: str = field(validator=[is_filled, _check_length], repr=False)
    product: str | None = field(
        default=None, kw_only=True, repr=False, validator=[is_maybe_filled, _check_length]
    )
    carrier: str | None = field(
        default=None, kw_only=True, validator=[is_maybe_filled, _check_length]
    )
    tracking_number: str | None = field(
        default=None, kw_only=True, repr=False, validator=[is_maybe_filled, _check_length]
    )
