"""Where somebody or something is."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from moorage.contracts.kinds import is_maybe
from moorage.errors import InvalidData

_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def _capitals(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _is_country(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _COUNTRY.fullmatch(value) is None:
        raise InvalidData(
            "This is not the code of a country.",
            field=attribute.name,
            remedy="Give the two letters of ISO 3166, such as 'DE'.",
        )


@attrs.frozen(kw_only=True)
class Address:
    """An address; only its country is shown, for the rest is personal.

    Attributes:
        name: who is there.
        company: whose premises they are.
        line1, line2, line3: street, house and whatever else comes before the city.
        city: the city, town or village.
        region: the state, province or county, in its code where there is one.
        postal_code: the post's code.
        country: the country, in two letters.
        phone, email: how to reach who is there.
        residential: whether people live there; None is not known.
        tax_id: the tax number of who is there.
    """

    name: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    company: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    line1: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    line2: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    line3: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    city: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    region: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    postal_code: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    country: str = attrs.field(converter=_capitals, validator=_is_country)
    phone: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    email: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    residential: bool | None = attrs.field(default=None, repr=False, validator=is_maybe(bool))
    tax_id: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
