"""Scaleway Transactional Email.

JSON with a secret key in a header. Scaleway gives each recipient of a message an id of its own; the
reference of a message has all of them. Scaleway takes no idempotency key, so a message that may
have been sent is not sent again. Each message of a bulk is a request of its own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.email import Attachment, EmailCapability, EmailMessage
from moorage.vendors.email._common import (
    TYPES_BY_ENDING,
    addresses_header,
    ascii_header,
    filled_fields,
    in_base64,
    sender_of,
)
from moorage.vendors.email._scaleway_answers import ids_of, read_message, read_receipt
from moorage.vendors.email._scaleway_blocklists import list_blocked, send_again, suppress
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_outcomes import EmailReceipt
    from moorage.contracts.email_suppressions import SuppressionPage

_ANY_TYPE: Final = "application/octet-stream"


@sdk.frozen(kw_only=True)
class Scaleway(EmailVendor):
    """A project at Scaleway.

    Attributes:
        project_id: id of the project.
        credentials: secret key of an API key; by default the credential provider supplies it.
        sender: sender of messages that name none.
        domain_id: id of the sending domain, whose blocklist has the suppressed addresses.
        region: region of the project.
        base_url: URL of Scaleway.
    """

    name = "scaleway"
    api_version = "v1alpha1"
    capabilities = sdk.members_of(
        EmailCapability,
        "add_suppression attachments custom_headers look_up suppressions unsubscribe",
    )
    limits: ClassVar[Mapping[str, int]] = {"batch": 100, "message_bytes": 2_000_000}

    auth = sdk.api_key("X-Auth-Token")
    refusals = sdk.Refusals(
        vendor="Scaleway",
        codes={
            "denied_authentication": sdk.AuthenticationFailed,
            "permissions_denied": sdk.AuthenticationFailed,
        },
        statuses=sdk.error_statuses("400"),
    )
    ping_path = "/transactional-email/v1alpha1/regions/{region}/domains"

    project_id: str
    domain_id: str | None = None
    region: str = sdk.field(
        default="fr-par",
        validator=sdk.matches(
            "[a-z]{2}-[a-z]{3}",
            problem="The region is not the name of a region.",
            remedy="Set the region as Scaleway names it, such as 'fr-par'.",
        ),
    )
    base_url: str = "https://api.scaleway.com"

    @property
    def path(self) -> str:
        """The common beginning of the paths of all requests."""
        return f"/transactional-email/{self.api_version}/regions/{self.region}"

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        request = sdk.Request.post(f"{self.path}/emails", json=mail_body(self, message))
        return await wire.send(request, key=key, parse=partial(read_receipt, wire, message))

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> EmailReceipt:
        """Get the state of a message to each recipient."""
        emails = [
            sdk.read_answer(await wire.send(sdk.Request.get(f"{self.path}/emails/{id_}")))
            for id_ in map(partial(quote, safe=""), ids_of(ref))
        ]
        return read_message(ref, emails)

    async def suppressions(self, wire: sdk.Wire, after: sdk.Ref | None, /) -> SuppressionPage:
        """Get a page of the domain's blocklist."""
        return await list_blocked(wire, self.path, self._domain, after)

    async def add_suppression(self, wire: sdk.Wire, address: EmailAddress, /) -> None:
        """Add an address to the domain's blocklist."""
        await suppress(wire, self.path, self._domain, address)

    async def remove_suppression(self, wire: sdk.Wire, address: EmailAddress, /) -> None:
        """Remove an address from the domain's blocklist."""
        await send_again(wire, self.path, self._domain, address)

    @property
    def _domain(self) -> str:
        if self.domain_id is None:
            raise sdk.ConfigurationError(
                "Scaleway has a blocklist for each domain, and the account has no domain_id.",
                path="domain_id",
                remedy="Set the account's option `domain_id` to the id that Scaleway shows for the"
                " domain.",
            )
        return self.domain_id


def mail_body(vendor: Scaleway, message: EmailMessage) -> dict[str, Any]:
    """A message as a request body."""
    # Scaleway has no field for addresses that replies go to.
    reply_header = {"Reply-To": ", ".join(addresses_header(message.reply_to))}
    headers = filled_fields(reply_header) | message.all_headers
    body = {
        "project_id": vendor.project_id,
        "from": _person(sender_of(message, vendor.sender)),
        "to": _people(message.to),
        "cc": _people(message.cc),
        "bcc": _people(message.bcc),
        "attachments": [_file(file) for file in message.attachments],
        "additional_headers": [
            {"key": name, "value": ascii_header(value)} for name, value in headers.items()
        ],
    }
    # Scaleway describes these as required, and refuses a message that has only files.
    texts = {
        "subject": message.subject,
        "text": message.text or ("" if message.html else " "),
        "html": message.html or "",
    }
    return sdk.merged(filled_fields(body) | texts, sdk.extra_for("scaleway", message.extra))


def _person(address: EmailAddress) -> dict[str, str]:
    return filled_fields({"email": address.wire, "name": address.name})


def _people(several: Iterable[EmailAddress]) -> list[dict[str, str]]:
    return [_person(address) for address in several]


def _file(file: Attachment) -> dict[str, str]:
    kind = file.content_type
    if kind == _ANY_TYPE:
        # Scaleway refuses this type, and accepts files of the types that it lists.
        kind = TYPES_BY_ENDING.get(file.filename.rpartition(".")[2].lower(), kind)
    return {"name": file.filename, "type": kind, "content": in_base64(file)}
