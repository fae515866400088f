"""Domestic payments in the UK's Open Banking API: bodies, signatures, and states."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.bank import (
    BankPayment,
    BankPaymentStatus,
    CreditorReference,
    Iban,
    SterlingTransfer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.bank import (
        BankParty,
        CreditTransfer,
        PartyAddress,
        PaymentOrder,
        SortCodeAccount,
    )
    from moorage.vendor_sdk import Answer, Ref, Response, Secret

PAYMENTS: Final[Mapping[str, BankPaymentStatus]] = {
    **sdk.words(
        BankPaymentStatus.PENDING,
        "RCVD PDNG ACTC PATC ACCP ACFC ACSP ACWC ACWP"
        " Pending AcceptedSettlementInProcess AcceptedWithoutPosting",
    ),
    **sdk.words(
        BankPaymentStatus.SETTLED,
        "ACSC ACCC AcceptedSettlementCompleted AcceptedCreditSettlementCompleted",
    ),
    **sdk.words(BankPaymentStatus.REFUSED, "RJCT Rejected"),
}
"""The states of payments by the words of version 4, and of version 3.1.

BLCK has no entry: a blocked payment has left the account, and reaches nobody.
"""
INITIATIONS: Final[Mapping[str, BankPaymentStatus]] = {
    **sdk.words(BankPaymentStatus.PENDING, "AWAU AUTH AwaitingAuthorisation Authorised"),
    **sdk.words(BankPaymentStatus.REFUSED, "RJCT Rejected"),
}
"""The states of payments that were not submitted, by the bank's word for the state of their
consent.
"""
CONSUMED: Final = frozenset({"COND", "Consumed"})
"""The bank's words for a consent whose payment was submitted. They do not tell the payment's state.
"""
_INSTRUMENTS: Final = {
    ("EUR", False): "UK.OBIE.SEPACreditTransfer",
    ("EUR", True): "UK.OBIE.SEPAInstantCreditTransfer",
    ("GBP", True): "UK.OBIE.FPS",
}
"""The payment scheme to request, by currency and urgency; for other payments in pounds, the bank
chooses.
"""
_NOT_CARRIED: Final = ("purpose", "ultimate_debtor", "ultimate_creditor")
"""Fields of a payment in euros that version 3.1 does not have."""
_CLAIM: Final = "http://openbanking.org.uk/"


def payment_consent_body(order: PaymentOrder, instruction: str, *, is_old: bool) -> dict[str, Any]:
    """The JSON body of the consent to a payment.

    Args:
        order: payment to initiate.
        instruction: identifier of the instruction, unless the payment has its own.
        is_old: True for version 3.1.

    Raises:
        InvalidData: the payment has a field that the bank's interface does not support.
    """
    transfer = order.transfer
    if isinstance(transfer, SterlingTransfer):
        details = _sterling_fields(transfer, is_old=is_old)
    else:
        details = _sepa_fields(transfer, is_old=is_old)
    amount = transfer.amount
    initiation = {
        "InstructionIdentification": transfer.instruction_id or instruction,
        "EndToEndIdentification": transfer.end_to_end_id,
        "LocalInstrument": _INSTRUMENTS.get((amount.currency, order.instant)),
        "InstructedAmount": {"Amount": str(amount.amount), "Currency": amount.currency},
        "DebtorAccount": None if order.debtor is None else _account(order.debtor),
        **details,
    }
    return {"Data": {"Initiation": _stated_fields(initiation)}, "Risk": {}}


def payment_body(consent: str, answer: Answer, response: Response) -> dict[str, Any]:
    """The JSON body of a payment, with the details that the bank has for its consent.

    Raises:
        VendorFailed: the bank's response does not have the details of the payment.
    """
    initiation, risk = answer.value("Data.Initiation"), answer.value("Risk")
    if not sdk.is_object(initiation) or not sdk.is_object(risk):
        raise sdk.malformed(response, "Data.Initiation or Risk")
    return {"Data": {"ConsentId": consent, "Initiation": initiation}, "Risk": risk}


def read_initiation(ref: Ref, response: Response) -> BankPayment:
    """The state of a payment that was not submitted, from a response about its consent."""
    return _read(ref, response, INITIATIONS)


def read_payment(ref: Ref, response: Response) -> BankPayment:
    """The state of a payment, in a response about it."""
    return _read(ref, response, PAYMENTS)


def check_funds_of(ref: Ref, response: Response) -> None:
    """Raise an error if the bank says that the account has not enough money for a payment.

    A bank that does not know lets the payment pass.

    Raises:
        PaymentDeclined: the account does not have enough money.
    """
    answer = sdk.read_answer(response)
    if answer.flag("Data.FundsAvailableResult.FundsAvailable") is False:
        raise sdk.PaymentDeclined(
            "The bank reports that the account does not have enough money for the payment.",
            reason="insufficient_funds",
            payment=str(ref),
            response=response,
            remedy="Finish the payment with the same URL once the account has enough money, or"
            " start another payment.",
        )


def detached_signature(
    key: Secret, body: bytes, *, key_id: str, signer: str, anchor: str, seconds: int
) -> str:
    """The signature of a body, in the compact form without the body (RFC 7515, appendix F)."""
    names = [f"{_CLAIM}{name}" for name in ("iat", "iss", "tan")]
    claims = dict(zip(names, (seconds, signer, anchor), strict=True))
    header = sdk.encode_json({"alg": "PS256", "kid": key_id, **claims, "crit": names})
    text = b".".join(map(_encode, (header, body)))
    signature = sdk.sign_bytes(sdk.SignatureAlgorithm.RSA_PSS_SHA256, key, text)
    return f"{_encode(header).decode()}..{_encode(signature).decode()}"


def _encode(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


def _read(ref: Ref, response: Response, words: Mapping[str, BankPaymentStatus]) -> BankPayment:
    answer = sdk.read_answer(response)
    vendor_status = sdk.required(answer.text("Data.Status"), response, "Data.Status")
    status = words.get(vendor_status, BankPaymentStatus.UNKNOWN)
    return BankPayment(ref=ref, status=status, vendor_status=vendor_status, raw=answer.raw)


def _stated_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _account(account: Iban | SortCodeAccount, name: str | None = None) -> dict[str, Any]:
    scheme = "IBAN" if isinstance(account, Iban) else "SortCodeAccountNumber"
    identification = {"SchemeName": f"UK.OBIE.{scheme}", "Identification": account.value}
    return _stated_fields({**identification, "Name": name})


def _sterling_fields(transfer: SterlingTransfer, *, is_old: bool) -> dict[str, Any]:
    return {
        "CreditorAccount": _account(transfer.creditor_account, transfer.creditor_name),
        "RemittanceInformation": _remittance(transfer.reference, None, is_old=is_old),
    }


def _sepa_fields(transfer: CreditTransfer, *, is_old: bool) -> dict[str, Any]:
    creditor, remittance = transfer.creditor, transfer.remittance
    for name in _NOT_CARRIED:
        if getattr(transfer, name) is not None:
            raise _not_carried_error(name)
    if creditor.bic is not None and is_old:
        raise _not_carried_error("bic")
    reference, text = None, remittance
    if isinstance(text, CreditorReference):
        reference, text = text.value, None
    return {
        "CreditorAgent": _agent(creditor),
        "CreditorAccount": _account(creditor.iban, creditor.name),
        "CreditorPostalAddress": creditor.address and _address(creditor.address),
        "RemittanceInformation": _remittance(reference, text, is_old=is_old),
    }


def _not_carried_error(name: str) -> sdk.InvalidData:
    return sdk.InvalidData(
        f"moorage does not send the {name} of a payment to a UK bank.",
        field=name,
        remedy=f"Leave the {name} out, or send the bank's own field in `extra`.",
    )


def _agent(creditor: BankParty) -> dict[str, str] | None:
    if creditor.bic is None:
        return None
    return {"SchemeName": "UK.OBIE.BICFI", "Identification": creditor.bic.value}


def _address(address: PartyAddress) -> dict[str, Any]:
    return _stated_fields(
        {
            "StreetName": address.street,
            "BuildingNumber": address.building,
            "PostCode": address.postal_code,
            "TownName": address.town,
            "Country": address.country,
            "AddressLine": list(address.lines) or None,
        }
    )


def _remittance(reference: str | None, text: str | None, *, is_old: bool) -> dict[str, Any] | None:
    if reference is None and text is None:
        return None
    if is_old:
        return _stated_fields({"Reference": reference, "Unstructured": text})
    details = {"CreditorReferenceInformation": {"Reference": reference}}
    return {
        "Structured": [] if reference is None else [details],
        "Unstructured": [] if text is None else [text],
    }
