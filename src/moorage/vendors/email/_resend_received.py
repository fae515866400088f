"""Parsing of received mail from Resend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage import vendor_sdk as sdk
from moorage.contracts.email_mime import addresses_in, ids_in, received_email, sender_in
from moorage.vendors.email._received import received_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.contracts.email_received import ReceivedEmail


def read_received(
    fields: sdk.Answer, ref: sdk.Ref, listed: Iterable[sdk.Answer] = (), **stated_fields: Any
) -> ReceivedEmail:
    """Parse a received message, from a webhook (without content) or a response (with content).

    Args:
        fields: fields of the message.
        ref: reference of the message.
        listed: files of the message with their URLs.
        **stated_fields: further fields of the result.
    """
    urls = {item.text("id"): item.text("download_url") for item in listed}
    return received_email(
        _headers(fields.value("headers")),
        ref,
        at=fields.time("created_at"),
        from_=sender_in(fields.text("from") or ""),
        to=addresses_in(*fields.texts("to")),
        cc=addresses_in(*fields.texts("cc")),
        reply_to=addresses_in(*fields.texts("reply_to")),
        subject=fields.text("subject"),
        message_id=next(iter(ids_in(fields.text("message_id"))), None),
        stored_at=fields.text("raw.download_url"),
        text=fields.text("text"),
        html=fields.text("html"),
        files=tuple(
            received_file(
                None,
                item.text("filename"),
                item.text("content_type"),
                item.text("content_id"),
                size=item.integer("size"),
                is_inline=item.text("content_disposition") == "inline",
                url=urls.get(item.text("id")),
            )
            for item in fields.objects("attachments")
        ),
        **stated_fields,
    )


def _headers(table: object) -> Iterator[tuple[str, str]]:
    if sdk.is_object(table):
        for name, value in table.items():
            values = value if sdk.is_list(value) else [value]
            yield from ((name, text) for text in values if isinstance(text, str))
