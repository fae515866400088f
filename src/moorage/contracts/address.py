"""Postal addresses of people and businesses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.validators import is_maybe
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def _capitals(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _is_country(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _COUNTRY.fullmatch(value) is None:
        raise InvalidData(
            "The country is not a valid country code.",
            field=attribute.name,
            remedy="Give the two letters of ISO 3166, such as 'DE'.",
        )


@frozen(kw_only=True)
class Address:
    """A postal address. Its repr shows only the country, because the rest is personal data.

    Attributes:
        name: name of the person.
        company: name of the company.
        line1, line2, line3: street, house number and further lines before the city.
        city: city, town or village.
        region: state, province or county, as a code where one exists.
        postal_code: postal code.
        country: ISO 3166 country code of two letters.
        phone, email: contact details at this address.
        residential: True for a home, False for a business, None if unknown.
        tax_id: tax number of the person or company.
    """

    name: str | None = field(default=None, repr=False, validator=is_maybe(str))
    company: str | None = field(default=None, repr=False, validator=is_maybe(str))
    line1: str | None = field(default=None, repr=False, validator=is_maybe(str))
    line2: str | None = field(default=None, repr=False, validator=is_maybe(str))
    line3: str | None = field(default=None, repr=False, validator=is_maybe(str))
    city: str | None = field(default=None, repr=False, validator=is_maybe(str))
    region: str | None = field(default=None, repr=False, validator=is_maybe(str))
    postal_code: str | None = field(default=None, repr=False, validator=is_maybe(str))
    country: str = field(converter=_capitals, validator=_is_country)
    phone: str | None = field(default=None, repr=False, validator=is_maybe(str))
    email: str | None = field(default=None, repr=False, validator=is_maybe(str))
    residential: bool | None = field(default=None, repr=False, validator=is_maybe(bool))
    tax_id: str | None = field(default=None, repr=False, validator=is_maybe(str))
