"""A local sandbox that imitates Dropbox Sign."""

from __future__ import annotations

import json
import re
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
    ROLE,
    TEMPLATE,
    SignaturesSandbox,
    StoredEnvelope,
    StoredSigner,
    as_dict,
)
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_METADATA: Final = re.compile(r"metadata:(\S+)")
_FILE: Final = re.compile(r"files\[[0-9]+\]")
_PLACE: Final = {
    "document_index!": int,
    "api_id!": str,
    "type!": frozenset({"signature"}),
    "signer!": str,
    "required!": bool,
    **typed(int, "x! y! width! height! page"),
}
_SIGNER: Final = {
    **typed(str, "name! email_address!"),
    "order": int,
    "sms_phone_number": str,
    "sms_phone_number_type": frozenset({"authentication", "delivery"}),
}
_REQUEST: Final = {
    **typed(str, "title subject message client_id"),
    "signers!": [_SIGNER],
    "metadata": dict,
    "expires_at": int,
    **typed(bool, "test_mode allow_decline"),
    "form_fields_per_document": [_PLACE],
    "signing_redirect_url": str,
}
_TEMPLATED: Final = {
    **{name: shape for name, shape in _REQUEST.items() if name != "form_fields_per_document"},
    "template_ids!": [str],
    "signers!": [
        {**{name: shape for name, shape in _SIGNER.items() if name != "order"}, "role!": str}
    ],
}
_STRUCTURED: Final = frozenset({"signers", "metadata", "form_fields_per_document"})


class DropboxSignSandbox(SignaturesSandbox):
    """A sandbox of a Dropbox Sign account.

    Attributes:
        key: API key that the sandbox accepts, with which it also signs webhooks.
        client_id: id of the API app of embedded signers.
    """

    hosts = ("api.hellosign.com",)

    key: str = "dropbox-sign-sandbox-key"
    client_id: str = "b6b8e7deaf8f0b95c029dca049356d4a"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        path = "/v3/signature_request"
        return {
            f"POST {path}/send": self._send,
            f"POST {path}/send_with_template": self._send,
            f"POST {path}/create_embedded": self._send,
            f"POST {path}/create_embedded_with_template": self._send,
            f"GET {path}/list": self._list,
            f"GET {path}/{{id}}": self._get,
            f"POST {path}/remind/{{id}}": self._remind,
            f"POST {path}/cancel/{{id}}": self._cancel,
            f"GET {path}/files/{{id}}": self._files,
            "GET /v3/embedded/sign_url/{id}": self._sign_url,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API key, sent as the user of basic authentication."""
        if request.basic() != (self.key, ""):
            raise _error("unauthorized", "Unauthorized api key", 401)

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _error("not_found", f"There is no {request.path}.", 404).response

    def finish_voids(self) -> None:
        """Execute the requested cancellations."""
        for envelope in self.envelopes.values():
            if envelope.fields.get("cancel"):
                envelope.void_reason = ""

    def report(self, id_: str, event: str, *, url: str, email: str | None = None) -> base.Notice:
        """Send a callback about a request, as a form with a single field."""
        time = str(int(base.moment(None).timestamp()))
        signature = None if email is None else self.person(id_, email).id
        content = {
            "event": {
                "event_type": event,
                "event_time": time,
                "event_hash": hex_hmac(self.key, f"{time}{event}".encode()),
                "event_metadata": {"related_signature_id": signature, "event_message": None},
            },
            "signature_request": self._request_fields(self.envelopes[id_]),
        }
        boundary = "------------------------cdbbc9813ec9"
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="json"\r\n\r\n'.encode()
            + encode_json(content)
            + f"\r\n--{boundary}--\r\n".encode()
        )
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self.notify(url, body, headers)

    def _send(self, request: base.SandboxRequest) -> Response:
        is_embedded = "create_embedded" in request.path
        is_templated = request.path.endswith("_with_template")
        fields, files = _content(request)
        wrong_fields = list(problems(_TEMPLATED if is_templated else _REQUEST, fields))
        if wrong_fields:
            raise _error("bad_request", f"The fields are wrong: {wrong_fields}")
        problem = base.first_problem(
            {
                "There are no files": not is_templated and not files,
                "There is no such template": is_templated and fields["template_ids"] != [TEMPLATE],
                "There is no such role": is_templated
                and any(item["role"] != ROLE for item in fields["signers"]),
                "There is no client_id": is_embedded and fields.get("client_id") != self.client_id,
                "The subject is too long": len(fields.get("subject", "")) > 255,
            }
        )
        if problem is not None:
            raise _error("bad_request", problem)
        envelope = StoredEnvelope(
            id=f"{self.number():040x}",
            persons=[
                StoredSigner(
                    id=f"{self.number():032x}",
                    email=signer["email_address"],
                    name=signer["name"],
                    place=signer.get("order", 0),
                    embedded=is_embedded,
                    phone=signer.get("sms_phone_number"),
                )
                for signer in fields["signers"]
            ],
            mark=as_dict(fields.get("metadata")).get("moorage_key"),
            fields={**fields, "files": files},
        )
        self.envelopes[envelope.id] = envelope
        self.write_to_next(envelope)
        return base.reply({"signature_request": self._request_fields(envelope)})

    def _list(self, request: base.SandboxRequest) -> Response:
        match = _METADATA.search(dict(request.query).get("query", ""))
        envelopes = self.matching_envelopes(match[1]) if match else []
        shown_requests = [self._request_fields(envelope) for envelope in envelopes]
        info = {"page": 1, "num_pages": 1, "num_results": len(shown_requests), "page_size": 20}
        return base.reply({"list_info": info, "signature_requests": shown_requests})

    def _get(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply({"signature_request": self._request_fields(self._existing(id))})

    def _remind(self, request: base.SandboxRequest, id: str) -> Response:
        envelope, body = self._existing(id), as_dict(request.json())
        matching_signers = [
            person
            for person in envelope.in_turn()
            if person.email == body.get("email_address") and body.get("name") in (None, person.name)
        ]
        if not matching_signers or not envelope.is_open or matching_signers[0].embedded:
            raise _error("bad_request", "This signer cannot be reminded.")
        self.emails.append(matching_signers[0].email)
        return base.reply({"signature_request": self._request_fields(envelope)})

    def _cancel(self, _: base.SandboxRequest, id: str) -> Response:
        envelope = self._existing(id)
        if not envelope.is_open:
            raise _error("bad_request", "This request cannot be cancelled.")
        envelope.fields["cancel"] = True
        return Response(200, {"Content-Type": "application/json"})

    def _files(self, request: base.SandboxRequest, id: str) -> Response:
        envelope = self._existing(id)
        if dict(request.query).get("file_type", "pdf") != "pdf":
            raise _error("bad_request", "The sandbox returns only PDF files.")
        content = b"Signed, with an audit trail." if envelope.is_complete else b"Not signed."
        return Response(200, {"Content-Type": "application/pdf"}, PDF + content)

    def _sign_url(self, _: base.SandboxRequest, id: str) -> Response:
        for envelope in self.envelopes.values():
            for person in envelope.persons:
                if person.id == id and person.embedded:
                    url = f"https://app.hellosign.com/editor/embeddedSign?signature_id={id}"
                    number = self.number()
                    link = {"sign_url": f"{url}&token={number:040x}", "expires_at": 4_070_908_800}
                    return base.reply({"embedded": link})
        raise _error("not_found", "There is no such embedded signature.", 404)

    def _existing(self, id_: str) -> StoredEnvelope:
        envelope = base.existing(self.envelopes, id_, _error("not_found", "Not found.", 404))
        if envelope.void_reason is not None:
            raise _error("deleted", "This resource has been deleted.", 410)
        return envelope

    def _request_fields(self, envelope: StoredEnvelope) -> dict[str, Any]:
        fields = envelope.fields
        return {
            "signature_request_id": envelope.id,
            "test_mode": fields.get("test_mode", False),
            "title": fields.get("title", ""),
            "original_title": fields.get("title", ""),
            "subject": fields.get("subject", ""),
            "message": fields.get("message"),
            "metadata": as_dict(fields.get("metadata")),
            "created_at": int(envelope.created_at.timestamp()),
            "expires_at": fields.get("expires_at"),
            "is_complete": envelope.is_complete,
            "is_declined": envelope.is_declined,
            "has_error": False,
            "cc_email_addresses": [],
            "custom_fields": [],
            "response_data": [],
            "requester_email_address": "me@erp.example",
            "signatures": [_shown_person(envelope, person) for person in envelope.persons],
        }


def _content(request: base.SandboxRequest) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """Return a request's fields and files."""
    kind = request.headers.get("content-type") or ""
    if not kind.startswith("multipart/form-data"):
        return as_dict(request.json()), []
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    fields: dict[str, Any] = {}
    files: list[tuple[str, bytes]] = []
    for part in message.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        content: Any = part.get_payload(decode=True)
        if _FILE.fullmatch(name):
            files.append((str(part.get_filename()), content))
        else:
            fields[name] = _as_value(name, content.decode())
    return fields, files


def _as_value(name: str, text: str) -> Any:
    if name in {"test_mode", "allow_decline"}:
        return {"1": True, "0": False}.get(text, text)
    if name in _STRUCTURED:
        return json.loads(text)
    return int(text) if name == "expires_at" else text


def _shown_person(envelope: StoredEnvelope, person: StoredSigner) -> dict[str, Any]:
    states = {
        "declined": person.declined is not None,
        "signed": person.signed_at is not None,
        "expired": envelope.is_expired,
    }
    return {
        "signature_id": person.id,
        "signer_email_address": person.email,
        "signer_name": person.name,
        "signer_role": None,
        "order": person.place,
        "status_code": base.first_problem(states) or "awaiting_signature",
        "decline_reason": person.declined,
        "signed_at": _seconds(person.signed_at),
        "last_viewed_at": _seconds(person.viewed_at),
        "last_reminded_at": None,
        "has_pin": False,
        "has_sms_auth": person.phone is not None,
    }


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


def _error(name: str, message: str, status: int = 400, **headers: str) -> base.Refusal:
    return base.refusal({"error": {"error_msg": message, "error_name": name}}, status, **headers)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = DropboxSignSandbox()
    options = {"credentials": sandbox.key, "client_id": sandbox.client_id, "test_mode": True}
    return SandboxFixture(sandbox=sandbox, options=options)
