"""Requests to Dropbox Sign: forms whose structured fields are JSON texts."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.vendors.signatures._dropbox_sign_answers import MARK

if TYPE_CHECKING:
    from moorage.contracts.signatures import SignatureRequest, Signer

_WIDTH: Final = 160
_HEIGHT: Final = 40
"""The height of a signature in Dropbox Sign's pixels, 80 to the inch."""


def request_path(request: SignatureRequest) -> str:
    """The URL path for a signature request; it depends on embedding and on templates.

    Raises:
        InvalidData: some signers get emails, and others sign inside an application.
    """
    embedded_count = len([signer for signer in request.signers if signer.embedded])
    if embedded_count not in {0, len(request.signers)}:
        raise sdk.InvalidData(
            "Dropbox Sign sends emails either to all signers or to none of them.",
            field="signers.embedded",
            remedy="Set the same `embedded` for all signers.",
        )
    action = "create_embedded" if embedded_count else "send"
    return f"/signature_request/{action}{'_with_template' if request.template else ''}"


def request_fields(
    request: SignatureRequest, mark: str | None, account_fields: dict[str, Any]
) -> dict[str, Any]:
    """The fields of a request, without its files.

    Args:
        request: documents or template, signers and texts.
        mark: the text by which the request is looked up; None without a key.
        account_fields: fields that follow from the account's options.
    """
    fields: dict[str, Any] = {
        **account_fields,
        "title": request.subject,
        "subject": request.subject,
        "message": request.message,
        "signers": [_signer(signer) for signer in request.signers],
        "allow_decline": True,
        "metadata": None if mark is None else {MARK: mark},
    }
    if request.template:
        fields["template_ids"] = [request.template]
    if request.expires_on is not None:
        midnight = datetime.combine(request.expires_on, time(), UTC)
        fields["expires_at"] = int(midnight.timestamp())
    places = _signature_fields(request)
    if places:
        fields["form_fields_per_document"] = places
    return {name: value for name, value in fields.items() if value is not None}


def form_fields(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """Convert fields to the format that Dropbox Sign requires in forms with files."""
    return [(name, _as_text(value)) for name, value in fields.items() if value is not None]


def form_files(request: SignatureRequest) -> list[tuple[str, sdk.FormFile]]:
    """The documents of a request as the files of a form."""
    return [
        (f"files[{number}]", sdk.FormFile(document.name, document.content))
        for number, document in enumerate(request.documents)
    ]


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else sdk.encode_json(value).decode()


def _signer(signer: Signer) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": signer.name, "email_address": signer.email}
    if signer.role is not None:
        fields["role"] = signer.role
    if signer.order is not None:
        fields["order"] = signer.order - 1
    if signer.phone is not None:
        fields["sms_phone_number"] = signer.phone
        fields["sms_phone_number_type"] = "authentication"
    return fields


def _signature_fields(request: SignatureRequest) -> list[dict[str, Any]]:
    return [
        {
            "document_index": place.document - 1,
            "api_id": f"signature_{number}_{count}",
            "type": "signature",
            "signer": str(number),
            "required": True,
            "page": place.page,
            "x": place.x,
            "y": place.y,
            "width": _WIDTH,
            "height": _HEIGHT,
        }
        for number, signer in enumerate(request.signers)
        for count, place in enumerate(signer.signature_places)
    ]
