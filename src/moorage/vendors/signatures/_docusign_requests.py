"""Requests to DocuSign: envelope definitions, in which numbers are written as strings."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from datetime import date

    from moorage.contracts.signatures import (
        SignatureDocument,
        SignaturePlace,
        SignatureRequest,
        Signer,
    )

_LANGUAGES: Final = {"en-US": "en", "zh": "zh_CN"}
"""The languages that DocuSign names otherwise."""


def envelope_body(request: SignatureRequest, mark: str | None, today: date) -> dict[str, Any]:
    """The definition of an envelope that is sent immediately.

    Args:
        request: documents or template, signers and texts.
        mark: the text by which the envelope is looked up; None without a key.
        today: the day from which DocuSign counts the days until the envelope expires.
    """
    body: dict[str, Any] = {
        "status": "sent",
        "emailSubject": request.subject,
        "emailBlurb": request.message,
        "transactionId": mark,
        "notification": _notification(request, today),
    }
    if request.template:
        body["templateId"] = request.template
        body["templateRoles"] = [_role(signer, request) for signer in request.signers]
    else:
        numbered_documents = enumerate(request.documents, 1)
        body["documents"] = [_document(number, file) for number, file in numbered_documents]
        signers = [_signer(number, item, request) for number, item in enumerate(request.signers, 1)]
        body["recipients"] = {"signers": signers}
    return _without_none(body)


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _notification(request: SignatureRequest, today: date) -> dict[str, Any] | None:
    notification: dict[str, Any] = {}
    if request.expires_on is not None:
        days = (request.expires_on - today).days
        notification["expirations"] = {"expireEnabled": "true", "expireAfter": str(days)}
    if request.remind_every is not None:
        days_between = str(request.remind_every)
        notification["reminders"] = {
            "reminderEnabled": "true",
            "reminderDelay": days_between,
            "reminderFrequency": days_between,
        }
    return {"useAccountDefaults": "false", **notification} if notification else None


def _document(number: int, document: SignatureDocument) -> dict[str, Any]:
    return {
        "documentId": str(number),
        "name": document.name,
        "fileExtension": document.name.rpartition(".")[2].lower(),
        "documentBase64": b64encode(document.content).decode(),
    }


def _person(signer: Signer, request: SignatureRequest) -> dict[str, Any]:
    return {
        "name": signer.name,
        "email": signer.email,
        "clientUserId": signer.email if signer.embedded else None,
        "emailNotification": _email(request),
    }


def _email(request: SignatureRequest) -> dict[str, Any] | None:
    """A signer's email in the requested language, with its subject and text.

    None without an address.
    """
    if request.language is None:
        return None
    language = _LANGUAGES.get(request.language, request.language.replace("-", "_"))
    return _without_none(
        {
            "supportedLanguage": language,
            "emailSubject": request.subject,
            "emailBody": request.message,
        }
    )


def _signer(number: int, signer: Signer, request: SignatureRequest) -> dict[str, Any]:
    fields = _person(signer, request) | {
        "recipientId": str(number),
        "routingOrder": str(signer.order or 1),
    }
    if signer.phone is not None:
        fields["requireIdLookup"] = "true"
        fields["idCheckConfigurationName"] = "SMS Auth $"
        fields["smsAuthentication"] = {"senderProvidedNumbers": [signer.phone]}
    if signer.signature_places:
        fields["tabs"] = {"signHereTabs": [_tab(place) for place in signer.signature_places]}
    return _without_none(fields)


def _role(signer: Signer, request: SignatureRequest) -> dict[str, Any]:
    if signer.phone is not None:
        raise sdk.InvalidData(
            "DocuSign does not accept a phone number for a signer in a template's role.",
            field="signers.phone",
            remedy="Set the phone check in the template, or send documents instead.",
        )
    return _without_none({**_person(signer, request), "roleName": signer.role})


def _tab(place: SignaturePlace) -> dict[str, Any]:
    if place.anchor:
        return {
            "anchorString": place.anchor,
            "anchorUnits": "pixels",
            "anchorXOffset": str(place.x),
            "anchorYOffset": str(place.y),
            # An envelope with a signature that has no position is refused, and not sent.
            "anchorIgnoreIfNotPresent": "false",
        }
    return {
        "documentId": str(place.document),
        "pageNumber": str(place.page),
        "xPosition": str(place.x),
        "yPosition": str(place.y),
    }
