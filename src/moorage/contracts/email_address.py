"""Email addresses, checked so that they cannot inject headers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

_CONTROL: Final = late_pattern("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAME_AND_ADDRESS: Final = late_pattern(r"\s*(?:\"([^\"]*)\"|([^<\"]*?))\s*<([^<>]*)>\s*")
# Allowed letters are described by exclusion, because ranges of so many letters compile slowly.
_ATOM: Final = r"[^\x00- \"(),.:;<>@\[\\\]\x7f-\xa0]+"
_FORBIDDEN: Final = r"./:-@\[-`{-\xa0\U00010000-\U0010ffff"
_ENDS: Final = rf"[^\x00-\-{_FORBIDDEN}]"
_LABEL: Final = rf"{_ENDS}(?:[^\x00-,{_FORBIDDEN}]*{_ENDS})?"
_ADDRESS: Final = late_pattern(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")
_ASCII_DOMAIN: Final = late_pattern(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_DEVIATION: Final = late_pattern("([ßẞς\u200c\u200d])")
"""Characters that IDNA 2003 converts or drops, so that the result is another domain."""
_JOINERS: Final = frozenset("\u200c\u200d")
"""Invisible characters, which are valid in few domains; such domains can be written in ASCII."""
_DOT: Final = late_pattern("[.\u3002\uff0e\uff61]")
_LONGEST_LABEL: Final = 63
_MAX_LENGTH: Final = 254
_LOCAL: Final = 64


def check_line(value: object, field: str) -> str:
    """Return `value` if it is a single line of text, which cannot add a header field."""
    if isinstance(value, str) and _CONTROL.search(value) is None:
        return value
    raise InvalidData(
        f"The {field} must be one line of text without control characters.",
        field=field,
        remedy="Remove line breaks and other control characters, which could add headers to the"
        " email.",
    )


def _is_address(_: object, __: attrs.Attribute[str], value: object) -> None:
    text = check_line(value, "email")
    match = _ADDRESS.fullmatch(text)
    if (
        match is None
        or len(text) > _MAX_LENGTH
        or len(match[1]) > _LOCAL
        or _encoded_domain(match[2]) is None
    ):
        raise InvalidData(
            "The email is not a valid email address.",
            field="email",
            remedy="Give an email address such as 'name@example.com', without a display name.",
        )


def _is_name(_: object, __: attrs.Attribute[str | None], value: object) -> None:
    if value is not None:
        check_line(value, "name")


def _encoded_domain(domain: str) -> str | None:
    """The domain in ASCII; None if it has no such form."""
    if domain.isascii():
        return domain
    try:
        encoded = (
            domain.encode("idna").decode()
            if _DEVIATION.search(domain) is None
            else ".".join(map(_encoded_label, _DOT.split(domain)))
        )
    except UnicodeError:
        return None
    # Unicode normalisation has turned some letter into an "@", a comma or a bracket.
    return encoded if _ASCII_DOMAIN.fullmatch(encoded) else None


def _encoded_label(label: str) -> str:
    """A label of a domain in ASCII, by IDNA 2008 if Python's IDNA 2003 would change its letters.

    Raises:
        UnicodeError: the label has no such form.
    """
    from encodings.idna import nameprep  # noqa: PLC0415 - few domains need it

    parts = _DEVIATION.split(label.lower())
    if len(parts) == 1:
        return label.encode("idna").decode()
    parts[::2] = map(nameprep, parts[::2])
    encoded = "xn--" + "".join(parts).encode("punycode").decode()
    if len(encoded) > _LONGEST_LABEL or not _JOINERS.isdisjoint(label):
        raise UnicodeError
    return encoded


@frozen
class EmailAddress:
    """An email address with an optional display name. The repr hides both.

    Attributes:
        email: the address.
        name: display name.
    """

    email: str = field(validator=_is_address, repr=False)
    name: str | None = field(default=None, validator=_is_name, repr=False)

    @classmethod
    def parse(cls, text: str) -> EmailAddress:
        """Parse `name@example.com` or `Name <name@example.com>`.

        Raises:
            InvalidData: the text has neither form.
        """
        check_line(text, "email")
        match = _NAME_AND_ADDRESS.fullmatch(text)
        if match is None:
            return cls(text.strip())
        return cls(match[3].strip(), match[1] or match[2] or None)

    @property
    def wide(self) -> bool:
        """True if the part before the `@` has characters that only some mail servers accept."""
        return not self.email.rpartition("@")[0].isascii()

    @property
    def wire(self) -> str:
        """The address with its domain in ASCII, as DNS requires."""
        local_part, _, domain = self.email.rpartition("@")
        return f"{local_part}@{_encoded_domain(domain)}"


def as_address(value: EmailAddress | str, field: str = "email") -> EmailAddress:
    """Convert a text to an email address; errors name `field` as the wrong field."""
    if isinstance(value, EmailAddress):
        return value
    if not isinstance(value, str):
        raise _no_address_error(value, field)
    try:
        return EmailAddress.parse(value)
    except InvalidData as error:
        error.field = field
        raise


def as_addresses(
    value: EmailAddress | str | Iterable[EmailAddress | str],
) -> tuple[EmailAddress, ...]:
    """Convert one or several texts or addresses to a tuple of addresses."""
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return tuple(as_address(item) for item in value)
    return (as_address(value),)


def _no_address_error(value: object, field: str) -> InvalidData:
    return InvalidData(
        f"The {field} must be an email address, not {with_article(type(value).__name__)}.",
        field=field,
        remedy="Give an email address such as 'name@example.com', an EmailAddress, or a list of"
        " these.",
    )
