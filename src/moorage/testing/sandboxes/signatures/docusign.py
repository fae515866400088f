"""A local sandbox that imitates DocuSign's eSignature REST API and its token endpoint."""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64decode
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_list
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.signatures.base import (
    PDF,
    RETURN_URL,
    ROLE,
    TEMPLATE,
    SignaturesSandbox,
    StoredEnvelope,
    StoredSigner,
    as_dict,
)
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LANGUAGES: Final = words(
    "ar hy id ms bg cs zh_CN zh_TW hr da nl en en_GB et fa fi fr fr_CA de el he hi hu it ja ko lv"
    " lt no pl pt pt_BR ro ru sr sk sl es es_MX sv th tr uk vi"
)
_BOOLEAN: Final = words("true false")
_EMAIL: Final = {"supportedLanguage": _LANGUAGES, "emailSubject": str, "emailBody": str}
_TAB: Final = {
    **typed(str, "anchorString anchorXOffset anchorYOffset"),
    **typed(str, "documentId pageNumber xPosition yPosition"),
    "anchorUnits": words("pixels mms cms inches"),
    "anchorIgnoreIfNotPresent": _BOOLEAN,
}
_PERSON: Final = {"name!": str, "email!": str, "clientUserId": str, "emailNotification": _EMAIL}
_SIGNER: Final = {
    **_PERSON,
    "recipientId!": str,
    "routingOrder": str,
    "requireIdLookup": _BOOLEAN,
    "idCheckConfigurationName": frozenset({"SMS Auth $"}),
    "smsAuthentication": {"senderProvidedNumbers!": [str]},
    "tabs": {"signHereTabs": [_TAB]},
}
_DOCUMENT: Final = {**typed(str, "documentId! name! fileExtension documentBase64!")}
_NOTIFICATION: Final = {
    "useAccountDefaults": _BOOLEAN,
    "expirations": {"expireEnabled": _BOOLEAN, "expireAfter": str, "expireWarn": str},
    "reminders": {"reminderEnabled": _BOOLEAN, "reminderDelay": str, "reminderFrequency": str},
}
_ENVELOPE: Final = {
    "status!": words("sent created"),
    **typed(str, "emailSubject emailBlurb transactionId"),
    "notification": _NOTIFICATION,
    "templateId": str,
    "templateRoles": [{**_PERSON, "roleName!": str}],
    "documents": [_DOCUMENT],
    "recipients": {"signers!": [_SIGNER]},
    "brandId": str,
}
_VIEW: Final = typed(str, "returnUrl! authenticationMethod! email userName userId clientUserId!")
_CHANGE: Final = {"status": words("voided sent"), "voidedReason": str}


class DocusignSandbox(SignaturesSandbox):
    """A sandbox of a DocuSign account.

    Attributes:
        token: access token that the sandbox accepts.
        public_key: public key, in PEM, of the application that gets tokens by a JWT.
        account_id: id of the account.
        connect_key: key with which the sandbox signs webhooks.
    """

    hosts = ("demo.docusign.net", "account-d.docusign.com")
    open_routes = frozenset({"POST /oauth/token"})

    token: str = "eyJ0-docusign-sandbox-token"
    public_key: bytes | None = None
    account_id: str = "e8d46e34-1111-4222-8333-944455556666"
    connect_key: str = "docusign-sandbox-connect-key"
    integration_key: str = "7b5e0b5a-0000-4111-8222-333344445555"
    user_id: str = "4214323f-0000-4a0e-8111-222233334444"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        account = "/restapi/v2.1/accounts/{account}"
        return {
            "POST /oauth/token": self._token,
            f"GET {account}": self._account,
            f"POST {account}/envelopes": self._create,
            f"GET {account}/envelopes": self._list,
            f"GET {account}/envelopes/{{id}}": self._get,
            f"PUT {account}/envelopes/{{id}}": self._change,
            f"POST {account}/envelopes/{{id}}/views/recipient": self._view,
            f"GET {account}/envelopes/{{id}}/documents/{{document}}": self._document,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the access token, and that it is for the account in the path."""
        if request.bearer() != self.token:
            raise _error("AUTHORIZATION_INVALID_TOKEN", "The access token is not valid.", 401)
        if f"/accounts/{self.account_id}" not in request.path:
            raise _error("ACCOUNT_DOES_NOT_EXIST_IN_SYSTEM", "There is no such account.")

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _error("RESOURCE_NOT_FOUND", f"There is no {request.path}.", 404).response

    def report(self, id_: str, event: str, *, url: str, email: str | None = None) -> base.Notice:
        """Send a signed Connect webhook about an envelope."""
        envelope = self.envelopes[id_]
        data: dict[str, Any] = {"accountId": self.account_id, "userId": self.user_id}
        data |= {
            "envelopeId": id_,
            "envelopeSummary": self._envelope_fields(envelope, with_signers=True),
        }
        if email is not None:
            data["recipientId"] = self.person(id_, email).id
        path = f"/restapi/v2.1/accounts/{self.account_id}/envelopes/{id_}"
        body = encode_json(
            {
                "event": event,
                "apiVersion": "v2.1",
                "uri": path,
                "retryCount": 0,
                "configurationId": 10_363_315,
                "generatedDateTime": _time(base.moment(None)),
                "data": data,
            }
        )
        signature = base64_hmac(self.connect_key.encode(), body)
        headers = {"Content-Type": "application/json", "X-DocuSign-Signature-1": signature}
        return self.notify(url, body, headers)

    def _token(self, request: base.SandboxRequest) -> Response:
        fields = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if fields.get("grant_type") != _JWT_GRANT or not self._is_signed(fields):
            return base.reply({"error": "invalid_grant"}, 400)
        return base.reply({"access_token": self.token, "token_type": "Bearer", "expires_in": 3_600})

    def _is_signed(self, fields: dict[str, str]) -> bool:
        content, _, signature = fields.get("assertion", "").rpartition(".")
        if self.public_key is None or content.count(".") != 1:
            return False
        key: Any = load_pem_public_key(self.public_key)
        try:
            key.verify(_decode(signature), content.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        claims = json.loads(_decode(content.partition(".")[2]))
        expected = {
            "iss": self.integration_key,
            "sub": self.user_id,
            "aud": "account-d.docusign.com",
            "scope": "signature impersonation",
        }
        return expected == {name: claims.get(name) for name in expected} and (
            claims["exp"] - claims["iat"] <= 3_600
        )

    def _account(self, _: base.SandboxRequest, account: str) -> Response:
        return base.reply({"accountIdGuid": account, "accountName": "Harbour Ltd"})

    def _create(self, request: base.SandboxRequest, account: str) -> Response:  # noqa: ARG002 - the route names it
        body = _checked_body(_ENVELOPE, request)
        envelope = StoredEnvelope(
            id=self.uuid(),
            persons=list(_persons(body)),
            mark=body.get("transactionId"),
            is_draft=body["status"] == "created",
            fields=body,
        )
        if len(str(body.get("emailSubject", ""))) > 100:
            raise _error("INVALID_REQUEST_BODY", "The emailSubject is too long.")
        _check_anchors(body)
        self.envelopes[envelope.id] = envelope
        if not envelope.is_draft:
            self.write_to_next(envelope)
        path = f"/envelopes/{envelope.id}"
        answer = {"envelopeId": envelope.id, "status": body["status"], "uri": path}
        return base.reply({**answer, "statusDateTime": _time(envelope.created_at)}, 201)

    def _list(self, request: base.SandboxRequest, account: str) -> Response:  # noqa: ARG002 - the route names it
        query = dict(request.query)
        if "transaction_ids" not in query:
            raise _error("INVALID_REQUEST_PARAMETER", "The request has no from_date.")
        marks = query["transaction_ids"].split(",")
        envelopes = [envelope for mark in marks for envelope in self.matching_envelopes(mark)]
        statuses = [
            {"envelopeId": item.id, "status": _status(item), "transactionId": item.mark}
            for item in envelopes
        ]
        counted = {"resultSetSize": str(len(statuses)), "totalSetSize": str(len(statuses))}
        return base.reply({**counted, "envelopeTransactionStatuses": statuses})

    def _get(self, request: base.SandboxRequest, account: str, id: str) -> Response:  # noqa: ARG002 - the route names it
        with_signers = "recipients" in dict(request.query).get("include", "").split(",")
        return base.reply(self._envelope_fields(self._existing(id), with_signers=with_signers))

    def _change(self, request: base.SandboxRequest, account: str, id: str) -> Response:  # noqa: ARG002 - the route names it
        envelope = self._existing(id)
        body = _checked_body(_CHANGE, request)
        if body.get("status") == "voided":
            if not envelope.is_open:
                raise _error(
                    "ENVELOPE_CANNOT_VOID_INVALID_STATE",
                    "Only envelopes in the 'Sent' or 'Delivered' states may be voided.",
                )
            if not body.get("voidedReason"):
                raise _error("INVALID_REQUEST_BODY", "The voidedReason is missing.")
            envelope.void_reason = body["voidedReason"]
        if body.get("status") == "sent" and envelope.is_draft:
            envelope.is_draft = False
            self.write_to_next(envelope)
        if dict(request.query).get("resend_envelope") == "true":
            if not envelope.is_open:
                raise _error(
                    "EDIT_LOCK_INVALID_STATE_FOR_LOCK",
                    "Only envelopes in the 'Created', 'Sent' or 'Delivered' states may be resent.",
                )
            self.write_to_next(envelope)
        return base.reply({"envelopeId": envelope.id})

    def _view(self, request: base.SandboxRequest, account: str, id: str) -> Response:  # noqa: ARG002 - the route names it
        envelope, body = self._existing(id), _checked_body(_VIEW, request)
        matching_signers = [
            person
            for person in envelope.persons
            if (person.email, person.name) == (body.get("email"), body.get("userName"))
            and person.embedded
            and body["clientUserId"] == person.email
        ]
        if not matching_signers:
            raise _error("UNKNOWN_ENVELOPE_RECIPIENT", "The recipient is not an embedded one.")
        if envelope.is_draft or not (
            envelope.is_complete or matching_signers[0] in _reached_signers(envelope)
        ):
            message = "The token for an out of sequence recipient cannot be generated."
            raise _error("RECIPIENT_NOT_IN_SEQUENCE", message)
        number = self.number()
        url = f"https://demo.docusign.net/Signing/MTRedeem/v1/{number:032x}?slt=sandbox-link"
        return base.reply({"url": url}, 201)

    def _document(
        self,
        request: base.SandboxRequest,
        account: str,  # noqa: ARG002 - the route names it
        id: str,
        document: str,
    ) -> Response:
        envelope = self._existing(id)
        if document == "certificate":
            content = PDF + f"Certificate of {envelope.id}".encode()
        elif document == "combined":
            marked = b"Signed." if envelope.is_complete else b"Not signed by everybody."
            content = PDF + marked
            if dict(request.query).get("certificate") != "false":
                content += b"Certificate"
        else:
            raise _error("DOCUMENT_DOES_NOT_EXIST", "There is no such document.", 404)
        return Response(200, {"Content-Type": "application/pdf"}, content)

    def _existing(self, id_: str) -> StoredEnvelope:
        missing_error = _error("ENVELOPE_DOES_NOT_EXIST", "The envelope does not exist.", 404)
        return base.existing(self.envelopes, id_, missing_error)

    def _envelope_fields(self, envelope: StoredEnvelope, *, with_signers: bool) -> dict[str, Any]:
        answer = {
            "envelopeId": envelope.id,
            "status": _status(envelope),
            "emailSubject": envelope.fields.get("emailSubject"),
            "createdDateTime": _time(envelope.created_at),
            "sentDateTime": _time(envelope.created_at),
            "transactionId": envelope.mark,
            "voidedReason": envelope.void_reason or None,
            "expireDateTime": "2099-01-01T00:00:00.0000000Z",
        }
        if envelope.is_complete:
            last = max(item.signed_at for item in envelope.persons if item.signed_at)
            answer["completedDateTime"] = _time(last)
        if with_signers:
            signers = [_shown_person(envelope, person) for person in envelope.persons]
            answer["recipients"] = {"signers": signers, "recipientCount": str(len(signers))}
        return {name: value for name, value in answer.items() if value is not None}


def _checked_body(shape: Any, request: base.SandboxRequest) -> dict[str, Any]:
    body = request.json()
    wrong_fields = list(problems(shape, body))
    if wrong_fields:
        raise _error("INVALID_REQUEST_BODY", f"The request body is invalid: {wrong_fields}.")
    return as_dict(body)


def _persons(body: dict[str, Any]) -> list[StoredSigner]:
    if body.get("templateId"):
        if body["templateId"] != TEMPLATE:
            raise _error("TEMPLATE_ID_INVALID", "Invalid template ID.")
        signers = body.get("templateRoles", [])
        if any(signer["roleName"] != ROLE for signer in signers):
            raise _error("INVALID_REQUEST_BODY", "The template has no such role.")
    else:
        signers = as_dict(body.get("recipients")).get("signers", [])
        if not body.get("documents") or not signers:
            raise _error("INVALID_REQUEST_BODY", "An envelope needs documents and recipients.")
    return [
        StoredSigner(
            id=signer.get("recipientId", str(number)),
            email=signer["email"],
            name=signer["name"],
            place=int(signer.get("routingOrder", "1")),
            embedded="clientUserId" in signer,
            phone=next(
                iter(as_dict(signer.get("smsAuthentication")).get("senderProvidedNumbers", ())),
                None,
            ),
        )
        for number, signer in enumerate(signers, 1)
    ]


def _check_anchors(body: dict[str, Any]) -> None:
    documents = body.get("documents", [])
    contents = [b64decode(item["documentBase64"], validate=True) for item in documents]
    for signer in as_dict(body.get("recipients")).get("signers", []):
        tabs = as_dict(signer.get("tabs")).get("signHereTabs", [])
        for tab in tabs if is_list(tabs) else []:
            anchor = tab.get("anchorString")
            if anchor is not None and not any(anchor.encode() in item for item in contents):
                raise _error("ANCHOR_TAG_PROCESSING_FAILURE", "The anchor was not found.")


def _reached_signers(envelope: StoredEnvelope) -> list[StoredSigner]:
    """Return the signers who have signed, or whose turn it is."""
    signed = [person for person in envelope.persons if person.signed_at is not None]
    return [*signed, *envelope.in_turn()]


def _status(envelope: StoredEnvelope) -> str:
    if envelope.is_draft:
        return "created"
    if envelope.void_reason is not None or envelope.is_expired:
        return "voided"
    if envelope.is_declined:
        return "declined"
    if envelope.is_complete:
        return "completed"
    everybody_looked = all(person.viewed_at is not None for person in envelope.persons)
    return "delivered" if everybody_looked else "sent"


def _shown_person(envelope: StoredEnvelope, person: StoredSigner) -> dict[str, Any]:
    is_in_turn = person in envelope.in_turn()
    states = {
        "declined": person.declined is not None,
        "completed": person.signed_at is not None,
        "delivered": person.viewed_at is not None,
        "sent": is_in_turn,
    }
    answer = {
        "recipientId": person.id,
        "email": person.email,
        "name": person.name,
        "routingOrder": str(person.place),
        "status": base.first_problem(states) or "created",
        "clientUserId": person.email if person.embedded else None,
        "deliveredDateTime": person.viewed_at and _time(person.viewed_at),
        "signedDateTime": person.signed_at and _time(person.signed_at),
        "declinedReason": person.declined,
    }
    return {name: value for name, value in answer.items() if value is not None}


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.0000000Z"


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _error(code: str, message: str, status: int = 400, **headers: str) -> base.Refusal:
    return base.refusal({"errorCode": code, "message": message}, status, **headers)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = DocusignSandbox()
    options = {"credentials": sandbox.token, "account_id": sandbox.account_id}
    return SandboxFixture(
        sandbox=sandbox, options=options, vendor_values={"return_url": RETURN_URL}
    )
