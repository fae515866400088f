"""The base of sandboxes for email vendors with an HTTP API."""

from __future__ import annotations

from base64 import b64decode
from email.utils import getaddresses
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.testing.sandboxes.base import Sandbox, state_field
from moorage.testing.sandboxes.email.mailbox import Item, decoded_header
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.testing.sandboxes.email.mailbox import DeliveredEmail

_CONTENT_TYPES: Final = {
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
}
_Day: TypeAlias = "Mapping[str, Any]"


class EmailSandbox(Sandbox):
    """A local sandbox that imitates an email vendor.

    Attributes:
        delivered: the delivered messages.
        suppressions: suppressed addresses with the vendor's word for the reason, or the name of
            its list; messages to them are delivered nevertheless.
    """

    delivered: list[DeliveredEmail] = state_field(list)
    suppressions: dict[str, str] = state_field(dict)


def suppressions_after(
    suppressions: Mapping[str, str], cursor: str, size: int
) -> tuple[list[tuple[str, str]], str | None]:
    """Return a page of suppressed addresses in alphabetical order, and the cursor of the next page.

    Changes of the list between two pages move no address to another page.

    Args:
        suppressions: the addresses, each with a word of the vendor.
        cursor: cursor of the page; empty for the first page.
        size: number of addresses on a page.
    """
    following = sorted(item for item in suppressions.items() if item[0] > cursor)
    page = following[:size]
    return page, page[-1][0] if len(following) > size else None


def days_between(days: Sequence[_Day], field: str, first: str, last: str) -> list[_Day]:
    """Return the daily statistics of a period, including its last day.

    Args:
        days: the rows, one per day.
        field: name of the field with a row's day.
        first: the first day; empty for no limit.
        last: the last day; empty for no limit.
    """
    return [day for day in days if first <= day[field] and (not last or day[field] <= last)]


def emails(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the lower-case addresses in address fields."""
    return tuple(email.lower() for _, email in getaddresses(texts))


def read_address(text: str) -> tuple[str, str | None]:
    """Return the address in an address field, and the name if any."""
    [(name, email)] = getaddresses([text])
    return email, decoded_header(name) or None


def content_type_of(filename: str) -> str:
    """Return the content type that belongs to the ending of a file name."""
    return _CONTENT_TYPES.get(filename.rpartition(".")[2].lower(), "application/octet-stream")


def is_base64(text: str) -> bool:
    """Return whether a text is in base64."""
    try:
        b64decode(text, validate=True)
    except ValueError:
        return False
    return True


def attachment_item(
    filename: str, content: str, kind: str, content_id: str | None, disposition: str = ""
) -> Item:
    """Return an attachment of a delivered email.

    Args:
        filename: name of the file.
        content: content of the file in base64.
        kind: content type.
        content_id: content id, if the attachment has one.
        disposition: "attachment" or "inline"; empty if the content id decides.
    """
    content_disposition = disposition or ("attachment" if content_id is None else "inline")
    return Item(filename, b64decode(content, validate=True), kind, content_disposition, content_id)


def email_fixture(
    sandbox: Sandbox, options: Mapping[str, str], **vendor_values: str
) -> SandboxFixture:
    """Return an email sandbox, with an account that every scenario can use.

    Args:
        sandbox: the vendor's sandbox.
        options: the options of the account, without its sender.
        **vendor_values: values that only this vendor knows, such as `template`.
    """
    sender_option = {"sender": "shop@acme.example"}
    return SandboxFixture(
        sandbox=sandbox, options={**options, **sender_option}, vendor_values=vendor_values
    )
