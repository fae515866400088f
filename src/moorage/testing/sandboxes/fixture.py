"""A sandbox with an account that has all capabilities of its vendor.

The module of each vendor's sandbox has a function `fixture` that makes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

import attrs

from moorage.contracts.routes import Account
from moorage.contracts.vendor import no_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.payments import Payment
    from moorage.contracts.vendor import Vendor
    from moorage.testing.sandboxes.base import Sandbox


def _do_nothing() -> None:
    pass


def _no_buyer(_: Payment) -> NoReturn:
    raise AssertionError("This vendor has no step that a buyer must complete.")


@attrs.frozen(kw_only=True)
class SandboxFixture:
    """A vendor's local sandbox, with an account there.

    Attributes:
        options: options of the account, as in a configuration.
        sandbox: the sandbox; None if the vendor needs none or is not reached by HTTP.
        vendor_values: values that only this vendor knows: `template`, `sender_pool`,
            `storage_class`, `encryption`, `asks` (a means of payment that requires an action of
            the buyer first), `stores` (a means of payment that can be stored without a payment),
            `is_stored` (True if the buyer "ada-1" has a stored means already), `pay_out` (pays out
            all charges), `consent` (consents as the buyer to a subscription, given its id),
            `settle` (completes everything that is pending), `buyer` (the customer of each charge),
            `voidable` and `asked_by` (the operation that begins a payment that can be voided, or
            that requires an action of the buyer, if it is not "authorize"), `parcel` (fields of a
            shipment that it accepts), `service` (a service to buy, if the vendor quotes no rates)
            and `return_url` (address to which a signer returns).
        token: a means of payment that succeeds.
        buyer: performs the next action of a payment as its buyer; returns the fields with which
            the buyer returns.
        fetch: returns the digest of the file at a signed URL, as a browser would get it.
        close: closes the sandbox and its connections.
    """

    options: Mapping[str, Any]
    sandbox: Sandbox | None = None
    vendor_values: Mapping[str, Any] = attrs.field(factory=no_options)
    token: str = ""
    buyer: Callable[[Payment], Mapping[str, str]] = _no_buyer
    fetch: Callable[[str], bytes] | None = None
    close: Callable[[], None] = _do_nothing

    def account(self, kind: type[Vendor], *, webhook_secret: str | None = None) -> Account:
        """Return the account, which is named after its vendor.

        Options that the vendor's class does not have become settings of its services.

        Args:
            kind: the vendor's class.
            webhook_secret: the secret that signs the account's webhooks.
        """
        fields = {field.name for field in attrs.fields(cast("Any", kind))}
        vendor = kind(**{key: value for key, value in self.options.items() if key in fields})
        settings = {key: value for key, value in self.options.items() if key not in fields}
        secrets = () if webhook_secret is None else (webhook_secret,)
        return Account(kind.name, vendor, settings=settings, webhook_secrets=secrets)


def action_url(payment: Payment) -> str:
    """Return the URL where a buyer completes an action for a payment."""
    return "" if payment.next_action is None else str(payment.next_action.url)
