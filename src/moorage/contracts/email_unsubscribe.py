"""The ways to unsubscribe that a message offers to mail programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from moorage.contracts.email_address import EmailAddress, as_address
from moorage.contracts.validators import is_a
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    import attrs

_HEADER: Final = "List-Unsubscribe"
_POST_HEADER: Final = "List-Unsubscribe-Post"
_ONE_CLICK: Final = "List-Unsubscribe=One-Click"
_HEADERS: Final = frozenset({_HEADER.lower(), _POST_HEADER.lower()})
_LONGEST_URL: Final = 900
"""The largest number of characters of a URL, so that the header fits into one line of a message."""


def _is_link(_: object, attribute: attrs.Attribute[str | None], value: object) -> None:
    if value is None:
        return
    try:
        url = urlsplit(value) if isinstance(value, str) else None
        is_link = url is not None and url.scheme == "https" and bool(url.hostname)
    except ValueError:
        is_link = False
    text = str(value)
    is_plain = text.isascii() and not any(letter <= " " or letter in "<>\x7f" for letter in text)
    if not is_link or not is_plain or len(text) > _LONGEST_URL:
        raise InvalidData(
            f"The URL for unsubscribing must be an https:// address of at most {_LONGEST_URL} ASCII"
            " characters.",
            field=attribute.name,
            remedy="Give an absolute URL, such as https://shop.example/unsubscribe/4f7a.",
        )


@frozen(kw_only=True)
class Unsubscribe:
    """The ways to unsubscribe that mail programs show next to the sender (RFC 2369 and RFC 8058).

    Attributes:
        url: https:// address, which must identify the recipient: nothing else does.
        one_click: True if a POST request to the URL unsubscribes without a further question, as
            Gmail and Yahoo require of senders of much mail. False if the URL is only a page.
        email: address that accepts requests to unsubscribe by mail.
    """

    url: str | None = field(default=None, validator=_is_link, repr=False)
    one_click: bool = field(default=True, validator=is_a(bool))
    email: EmailAddress | None = field(default=None, converter=optional(as_address), repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse a value that offers no way to unsubscribe."""
        if self.url is None and self.email is None:
            raise InvalidData(
                "The unsubscribe option must have a URL or an email address.",
                field="url",
                remedy="Give a URL, an email address, or both; mail programs prefer the URL.",
            )

    @property
    def headers(self) -> dict[str, str]:
        """The message headers that state these ways to unsubscribe."""
        links = [] if self.email is None else [f"mailto:{quote(self.email.wire, safe='@+')}"]
        if self.url is None:
            return {_HEADER: f"<{links[0]}>"}
        header = ", ".join(f"<{link}>" for link in (self.url, *links))
        return {_HEADER: header} | ({_POST_HEADER: _ONE_CLICK} if self.one_click else {})


def with_unsubscribe(headers: Mapping[str, str], unsubscribe: Unsubscribe | None) -> dict[str, str]:
    """Add the unsubscribe headers to the headers of a message."""
    return {**headers, **({} if unsubscribe is None else unsubscribe.headers)}


def check_unsubscribe(headers: Mapping[str, str], unsubscribe: Unsubscribe | None) -> None:
    """Refuse headers that the message's field `unsubscribe` also sets.

    Raises:
        InvalidData: the message has both the field and such a header.
    """
    if unsubscribe is not None and any(name.lower() in _HEADERS for name in headers):
        raise InvalidData(
            f"The message has both `unsubscribe` and a header {_HEADER}.",
            field="unsubscribe",
            remedy="Remove one of the two.",
        )
