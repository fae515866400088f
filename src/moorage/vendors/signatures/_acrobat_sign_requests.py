"""Requests to Adobe Acrobat Sign: agreements about previously uploaded files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.contracts.signatures import SignatureDocument, SignatureRequest, Signer

REMINDERS: Final[Mapping[int, str]] = {
    1: "DAILY_UNTIL_SIGNED",
    2: "EVERY_OTHER_DAY_UNTIL_SIGNED",
    3: "EVERY_THIRD_DAY_UNTIL_SIGNED",
    5: "EVERY_FIFTH_DAY_UNTIL_SIGNED",
    7: "WEEKLY_UNTIL_SIGNED",
}
"""Adobe's words for the days between two reminders."""

_OWN_COUNTRIES: Final = "de es fi fr hr hu is it nl pl pt ro ru sk th tr"
_NORWEGIAN: Final = "nb nn no"
LOCALES: Final[Mapping[str, str]] = {
    **{language: f"{language}_{language.upper()}" for language in _OWN_COUNTRIES.split()},
    **{language: f"{language}_NO" for language in _NORWEGIAN.split()},
    "ca": "ca_ES",
    "cs": "cs_CZ",
    "da": "da_DK",
    "en": "en_US",
    "eu": "eu_ES",
    "id": "in_ID",
    "id-ID": "in_ID",
    "ja": "ja_JP",
    "ko": "ko_KR",
    "ms": "ms_MY",
    "sl": "sl_SI",
    "sv": "sv_SE",
    "uk": "uk_UA",
    "vi": "vi_VN",
    "zh": "zh_CN",
}
"""Adobe's locale for each language without a country, and those that Adobe names otherwise."""

_ONE_DIGIT: Final = "17"
_TWO_DIGITS: Final = """
    20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65
    66 81 82 84 86 90 91 92 93 94 95 98
"""
"""The country codes of two digits; all others have three, but for 1 and 7."""


def upload_request(document: SignatureDocument) -> sdk.Request:
    """The request that uploads a document, which is invisible until an agreement contains it."""
    return sdk.Request.post(
        "/transientDocuments",
        form=[("File-Name", document.name)],
        files=[("File", sdk.FormFile(document.name, document.content))],
    ).evolve(idempotent=True)


def agreement_body(
    request: SignatureRequest, files: Sequence[str], mark: str | None
) -> dict[str, Any]:
    """The body of an agreement that is sent immediately.

    Args:
        request: signers and texts.
        files: ids of the uploaded documents.
        mark: the text by which the agreement is looked up; None without a key.
    """
    body: dict[str, Any] = {
        "name": request.subject,
        "message": request.message,
        "state": "IN_PROCESS",
        "signatureType": "ESIGN",
        "fileInfos": [{"transientDocumentId": file} for file in files],
        "participantSetsInfo": _participants(request),
        "externalId": None if mark is None else {"id": mark},
    }
    if request.language is not None:
        body["locale"] = _locale(request.language)
    if request.expires_on is not None:
        body["expirationTime"] = f"{request.expires_on.isoformat()}T00:00:00Z"
    if request.remind_every is not None:
        body["reminderFrequency"] = REMINDERS[request.remind_every]
    if request.signers[0].embedded:
        body["emailOption"] = {"sendOptions": {"initEmails": "NONE"}}
    return {name: value for name, value in body.items() if value is not None}


def check_request(request: SignatureRequest) -> None:
    """Refuse a request with values that Adobe does not support.

    Raises:
        InvalidData: the days between reminders or the language is not supported, or only some
            signers are embedded.
    """
    if request.remind_every is not None and request.remind_every not in REMINDERS:
        raise sdk.InvalidData(
            f"Acrobat Sign does not send reminders every {request.remind_every} days.",
            field="remind_every",
            remedy="Pass 1, 2, 3, 5 or 7 days, or leave the reminders out.",
        )
    if request.language is not None and _locale(request.language) is None:
        raise sdk.InvalidData(
            f"Acrobat Sign needs a country together with the language {request.language}.",
            field="language",
            remedy="Pass language and country, such as pt-BR.",
        )
    if len({signer.embedded for signer in request.signers}) > 1:
        raise sdk.InvalidData(
            "Acrobat Sign sends emails either to all signers or to none of them.",
            field="signers.embedded",
            remedy="Set the same `embedded` for all signers.",
        )


def state_body(reason: str | None) -> dict[str, Any]:
    """The body that cancels an agreement and notifies the signers."""
    cancellation: dict[str, Any] = {"notifyOthers": True}
    if reason is not None:
        cancellation["comment"] = reason
    return {"state": "CANCELLED", "agreementCancellationInfo": cancellation}


def _locale(language: str) -> str | None:
    return LOCALES.get(language) or (language.replace("-", "_") if "-" in language else None)


def _participants(request: SignatureRequest) -> list[dict[str, Any]]:
    # Adobe accepts only orders without gaps.
    orders = sorted({signer.order or 1 for signer in request.signers})
    return [
        {
            "role": "SIGNER",
            "name": signer.name,
            "order": orders.index(signer.order or 1) + 1,
            "memberInfos": [_member(signer)],
        }
        for signer in request.signers
    ]


def _member(signer: Signer) -> dict[str, Any]:
    if signer.phone is None:
        return {"email": signer.email}
    digits = signer.phone.removeprefix("+")
    length = 1 if digits[0] in _ONE_DIGIT else 2 if digits[:2] in _TWO_DIGITS.split() else 3
    phone = {"countryCode": digits[:length], "phone": digits[length:]}
    security = {"authenticationMethod": "PHONE", "phoneInfo": phone}
    return {"email": signer.email, "securityOption": security}
