"""The base class of email vendors with one secret."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from moorage import vendor_sdk as sdk
from moorage.contracts.email_address import EmailAddress, as_address
from moorage.vendors.email._common import one_by_one

if TYPE_CHECKING:
    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import EmailReceipt


@sdk.frozen(kw_only=True)
class EmailVendor(sdk.ApiVendor):
    """An account at an email vendor.

    Attributes:
        sender: sender of messages that name none.
    """

    kinds: ClassVar[tuple[str, ...]] = ("email",)

    sender: EmailAddress | None = sdk.field(default=None, converter=sdk.optional(as_address))

    @abstractmethod
    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""

    async def send_bulk(
        self, wire: sdk.Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        """Send a message to each recipient, by default in separate requests."""
        return await one_by_one(wire, bulk, self.send_transactional, key)
