"""A local sandbox that imitates Adobe Acrobat Sign."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.signatures.base import (
    PDF,
    SignaturesSandbox,
    StoredEnvelope,
    StoredSigner,
    as_dict,
)

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_MEMBER: Final = {
    "email!": str,
    "securityOption": {
        "authenticationMethod!": frozenset({"NONE", "PHONE"}),
        "phoneInfo": {"phone!": str, "countryCode!": str},
    },
}
_SET: Final = {
    "role!": frozenset({"SIGNER", "APPROVER"}),
    "name": str,
    "order!": int,
    "memberInfos!": [_MEMBER],
}
_FREQUENCIES: Final = frozenset(
    f"{word}_UNTIL_SIGNED"
    for word in (
        *("DAILY", "WEEKDAILY", "EVERY_OTHER_DAY", "EVERY_THIRD_DAY", "EVERY_FIFTH_DAY"),
        "WEEKLY",
    )
)
_AGREEMENT: Final = {
    **typed(str, "name! message locale expirationTime"),
    "state!": frozenset({"IN_PROCESS"}),
    "signatureType!": frozenset({"ESIGN"}),
    "fileInfos!": [{"transientDocumentId!": str}],
    "participantSetsInfo!": [_SET],
    "externalId": {"id!": str},
    "reminderFrequency": _FREQUENCIES,
    "emailOption": {"sendOptions!": {"initEmails!": frozenset({"ALL", "NONE"})}},
    "postSignOption": {"redirectUrl!": str, "redirectDelay": int},
}
_REMINDER: Final = {"recipientParticipantIds!": [str], "status!": frozenset({"ACTIVE"})}
_STATE: Final = {
    "state!": frozenset({"CANCELLED"}),
    "agreementCancellationInfo": {"comment": str, "notifyOthers": bool},
}


class AcrobatSignSandbox(SignaturesSandbox):
    """A sandbox of an Adobe Acrobat Sign account.

    Attributes:
        token: integration key that the sandbox accepts.
        files: the uploaded documents, by id: the name and the content of each.
        webhook_token: the token in the URL of the webhooks.
    """

    hosts = ("api.na1.adobesign.com",)

    token: str = "acrobat-sign-sandbox-key"
    webhook_token: str = "acrobat-sign-sandbox-webhook"
    files: dict[str, tuple[str, bytes]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        path = "/api/rest/v6"
        agreement_path = f"{path}/agreements/{{id}}"
        return {
            f"GET {path}/baseUris": self._base_uris,
            f"POST {path}/transientDocuments": self._upload,
            f"POST {path}/agreements": self._send,
            f"GET {path}/agreements": self._list,
            f"GET {agreement_path}": self._get,
            f"GET {agreement_path}/members": self._members,
            f"GET {agreement_path}/events": self._events,
            f"PUT {agreement_path}/state": self._cancel,
            f"POST {agreement_path}/reminders": self._remind,
            f"GET {agreement_path}/signingUrls": self._urls,
            f"GET {agreement_path}/combinedDocument": self._file,
            f"GET {agreement_path}/auditTrail": self._file,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the integration key, sent as bearer token."""
        if request.bearer() != self.token:
            raise _error("INVALID_ACCESS_TOKEN", 401)

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _error("RESOURCE_NOT_FOUND", 404, f"There is no {request.path}.").response

    def report(self, id_: str, event: str, *, url: str, email: str | None = None) -> base.Notice:
        """Send a webhook about an agreement, to the URL with the token."""
        envelope = self.envelopes[id_]
        content: dict[str, Any] = {
            "webhookId": "CBJCHBCAABAAwebhook",
            "webhookNotificationId": f"{self.number():032x}",
            "webhookScope": "ACCOUNT",
            "event": event,
            "eventDate": _time_text(base.moment(None)),
            "eventResourceType": "AGREEMENT",
            "agreement": {"id": id_, "name": envelope.fields["name"], "status": _status(envelope)},
        }
        if email is not None:
            content |= {"participantUserEmail": email, "actingUserEmail": email}
        headers = {"Content-Type": "application/json", "X-AdobeSign-ClientId": "UB7E5BXCXY"}
        return self.notify(f"{url}?token={self.webhook_token}", encode_json(content), headers)

    def _base_uris(self, _: base.SandboxRequest) -> Response:
        return base.reply(
            {
                "apiAccessPoint": "https://api.na1.adobesign.com/",
                "webAccessPoint": "https://secure.na1.adobesign.com/",
            }
        )

    def _upload(self, request: base.SandboxRequest) -> Response:
        kind = request.headers.get("content-type") or ""
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + request.body)
        parts = {
            str(part.get_param("name", header="content-disposition")): part
            for part in message.iter_parts()
        }
        if "File" not in parts:
            raise _error("INVALID_MULTIPART", 400)
        content: Any = parts["File"].get_payload(decode=True)
        name: Any = parts["File-Name"].get_payload(decode=True)
        id_ = f"3AAABL{self.number():026x}"
        self.files[id_] = name.decode(), content
        return base.reply({"transientDocumentId": id_}, 201)

    def _send(self, request: base.SandboxRequest) -> Response:
        fields = as_dict(request.json())
        wrong_fields = list(problems(_AGREEMENT, fields))
        if wrong_fields:
            raise _error("INVALID_ARGUMENTS", 400, f"The fields are wrong: {wrong_fields}")
        sets = fields["participantSetsInfo"]
        orders = {item["order"] for item in sets}
        problem = base.first_problem(
            {
                "INVALID_TRANSIENTDOCUMENT_ID": any(
                    item["transientDocumentId"] not in self.files for item in fields["fileInfos"]
                ),
                "INVALID_ORDER": orders != set(range(1, len(orders) + 1)),
                "EMPTY_REDIRECT_URL": fields.get("postSignOption", {}).get("redirectUrl") == "",
            }
        )
        if problem is not None:
            raise _error(problem, 404 if "_ID" in problem else 400)
        options = as_dict(as_dict(fields.get("emailOption")).get("sendOptions"))
        envelope = StoredEnvelope(
            id=f"CBJCHBCAABAA{self.number():020x}",
            persons=[
                StoredSigner(
                    id=f"CBJCHBCAABAA{self.number():012x}",
                    email=item["memberInfos"][0]["email"],
                    name=item.get("name", ""),
                    place=item["order"],
                    embedded=options.get("initEmails") == "NONE",
                    phone=as_dict(item["memberInfos"][0].get("securityOption"))
                    .get("phoneInfo", {})
                    .get("phone"),
                )
                for item in sets
            ],
            mark=as_dict(fields.get("externalId")).get("id"),
            fields=fields,
        )
        self.envelopes[envelope.id] = envelope
        self.write_to_next(envelope)
        return base.reply({"id": envelope.id}, 201)

    def _list(self, request: base.SandboxRequest) -> Response:
        mark = dict(request.query).get("externalId")
        matches = [] if mark is None else self.matching_envelopes(mark)
        answer = [
            {"id": item.id, "name": item.fields["name"], "status": _status(item), "esign": True}
            for item in matches
        ]
        return base.reply({"userAgreementList": answer, "page": {}})

    def _get(self, _: base.SandboxRequest, id: str) -> Response:
        envelope = self._existing(id)
        answer = {
            **envelope.fields,
            "id": id,
            "status": _status(envelope),
            "createdDate": _time_text(envelope.created_at),
            "senderEmail": "me@erp.example",
        }
        del answer["state"]
        return base.reply(answer, ETag=_tag(envelope))

    def _members(self, _: base.SandboxRequest, id: str) -> Response:
        envelope = self._existing(id)
        sets = [
            {
                "id": f"{person.id}s",
                "role": "SIGNER",
                "name": person.name,
                "order": person.place,
                "status": _set_status(envelope, person),
                "memberInfos": [
                    {"id": person.id, "email": person.email, "status": "ACTIVE", "self": False}
                ],
            }
            for person in envelope.persons
        ]
        return base.reply({"participantSets": sets, "ccsInfo": [], "nextParticipantSets": []})

    def _events(self, _: base.SandboxRequest, id: str) -> Response:
        envelope = self._existing(id)
        events = [_event("CREATED", envelope.created_at)]
        now = base.moment(None)
        for person in envelope.persons:
            if person.viewed_at is not None:
                events.append(_event("DOCUMENTS_VIEWED", person.viewed_at, person))
            if person.signed_at is not None:
                events.append(_event("ACTION_COMPLETED", person.signed_at, person))
            if person.declined is not None:
                events.append(_event("REJECTED", now, person, person.declined))
        if envelope.void_reason is not None:
            events.append(_event("RECALLED", now, None, envelope.void_reason))
        return base.reply({"events": events})

    def _cancel(self, request: base.SandboxRequest, id: str) -> Response:
        envelope, body = self._existing(id), as_dict(request.json())
        problem = base.first_problem(
            {
                "INVALID_ARGUMENTS": list(problems(_STATE, body)),
                "MISSING_IF_MATCH_HEADER": request.headers.get("if-match") is None,
            }
        )
        if problem is not None:
            raise _error(problem, 400)
        if request.headers.get("if-match") != _tag(envelope):
            raise _error("RESOURCE_MODIFIED", 412)
        if not envelope.is_open:
            raise _error("OPERATION_NOT_ALLOWED", 403)
        envelope.void_reason = as_dict(body.get("agreementCancellationInfo")).get("comment", "")
        return Response(204)

    def _remind(self, request: base.SandboxRequest, id: str) -> Response:
        envelope, body = self._existing(id), as_dict(request.json())
        if list(problems(_REMINDER, body)):
            raise _error("MISSING_REQUIRED_PARAM", 400)
        persons = {person.id: person for person in envelope.in_turn()}
        if not envelope.is_open or not set(body["recipientParticipantIds"]) <= {*persons}:
            raise _error("CANNOT_CREATE_REMINDER", 403)
        self.emails += [persons[item].email for item in body["recipientParticipantIds"]]
        return base.reply({"id": f"R{self.number()}"}, 201)

    def _urls(self, _: base.SandboxRequest, id: str) -> Response:
        envelope = self._existing(id)
        if not envelope.is_open:
            raise _error("AGREEMENT_NOT_SIGNABLE", 404)
        urls = [
            {
                "email": person.email,
                "esignUrl": f"https://secure.na1.adobesign.com/public/apiesign?pid={person.id}",
            }
            for person in envelope.in_turn()
        ]
        return base.reply({"signingUrlSetInfos": [{"signingUrls": urls}]})

    def _file(self, request: base.SandboxRequest, id: str) -> Response:
        envelope = self._existing(id)
        content = b"Signed." if envelope.is_complete else b"Not signed."
        if request.path.endswith("/auditTrail"):
            content = b"The audit trail."
        return Response(200, {"Content-Type": "application/pdf"}, PDF + content)

    def _existing(self, id_: str) -> StoredEnvelope:
        return base.existing(self.envelopes, id_, _error("INVALID_AGREEMENT_ID", 404))


def _status(envelope: StoredEnvelope) -> str:
    states = {
        "CANCELLED": envelope.void_reason is not None or envelope.is_declined,
        "SIGNED": envelope.is_complete,
        "EXPIRED": envelope.is_expired,
    }
    return base.first_problem(states) or "OUT_FOR_SIGNATURE"


def _set_status(envelope: StoredEnvelope, person: StoredSigner) -> str:
    states = {
        "COMPLETED": person.signed_at is not None,
        "CANCELLED": _status(envelope) == "CANCELLED",
        "EXPIRED": envelope.is_expired,
        "WAITING_FOR_MY_SIGNATURE": person in envelope.in_turn(),
    }
    return base.first_problem(states) or "NOT_YET_VISIBLE"


def _event(
    type_: str, at: datetime, person: StoredSigner | None = None, comment: str | None = None
) -> dict[str, Any]:
    email = "me@erp.example" if person is None else person.email
    event = {
        "type": type_,
        "date": _time_text(at),
        "participantEmail": email,
        "actingUserEmail": email,
    }
    return event if comment is None else {**event, "comment": comment}


def _tag(envelope: StoredEnvelope) -> str:
    progress = [person.signed_at is not None for person in envelope.persons]
    return f'"{_status(envelope)}-{sum(progress)}"'


def _time_text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(code: str, status: int, message: str = "This did not work.") -> base.Refusal:
    return base.refusal({"code": code, "message": message}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = AcrobatSignSandbox()
    options = {
        "credentials": sandbox.token,
        "base_url": "https://api.na1.adobesign.com/api/rest/v6",
    }
    return SandboxFixture(sandbox=sandbox, options=options)
