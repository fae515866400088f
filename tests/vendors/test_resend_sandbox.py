"""The Resend sandbox refuses what Resend refuses."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from moorage import Account, Hub, IdempotencyConflict, InvalidRequest, Timeouts, VendorRejected
from moorage.domain.http.requests import Request
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.email.resend import ResendSandbox
from tests.vendors.email_hubs import mail
from tests.vendors.resend_account import resend_hub
from tests.vendors.subjects.resend import resend_vendor


def test_sandbox_drops_odd_attachments() -> None:
    """Resend accepts an email with an invalid attachment, and never delivers it."""
    sandbox, mail_hub = resend_hub()
    file = {"filename": "a.pdf", "content": "", "content_type": "text/plain"}
    body = {**USUAL, "attachments": [file]}

    assert 200 == mail_hub.manager.call("mail", Request.post("/emails", json=body)).status
    assert [] == sandbox.delivered


USUAL: dict[str, Any] = {
    "from": "shop@example.com",
    "to": "a@example.com",
    "subject": "Hi",
    "text": "x",
}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"from": ""}, "missing_required_field"),
    ({"to": []}, "missing_required_field"),
    ({"to": "nobody"}, "validation_error"),
    ({"to": [f"a{number}@example.com" for number in range(51)]}, "validation_error"),
    ({"text": ""}, "validation_error"),
    ({"Subject": "x"}, "validation_error"),
    ({"tags": {"a": "b"}}, "validation_error"),
    ({"headers": []}, "validation_error"),
    ({"tags": [{"name": "a b", "value": "c"}]}, "validation_error"),
    ({"attachments": [{"filename": "a"}]}, "invalid_attachment"),
    ({"template": {"id": "welcome"}}, "validation_error"),
    ({"text": "x" * 42_000_000}, "validation_error"),
]


@pytest.mark.parametrize("change, name", WRONG)
def test_sandbox_is_strict(change: dict[str, Any], name: str) -> None:
    """The sandbox refuses what Resend would refuse."""
    _, mail_hub = resend_hub()
    send = partial(mail_hub.manager.call, "mail")
    assert 200 == send(Request.post("/emails", json=USUAL)).status
    with pytest.raises(InvalidRequest) as excinfo:
        send(Request.post("/emails", json={**USUAL, **change}))

    assert name == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "path, body, name",
    [
        ("/emails", [], "validation_error"),
        ("/emails", {"from": "a@b.c", "to": "a@b.c", "text": "x"}, "missing_required_field"),
        ("/emails/batch", {}, "validation_error"),
        ("/emails/batch", [USUAL] * 101, "validation_error"),
        ("/emails/batch", [USUAL, {**USUAL, "to": ""}], "missing_required_field"),
        ("/emails/batch", [{**USUAL, "attachments": []}], "validation_error"),
    ],
)
def test_sandbox_wants_the_right_shape(path: str, body: object, name: str) -> None:
    """If one email of a strict Resend batch is wrong, the whole batch fails."""
    sandbox, mail_hub = resend_hub()
    with pytest.raises(InvalidRequest) as excinfo:
        mail_hub.manager.call("mail", Request.post(path, json=body))

    assert name == excinfo.value.vendor_code
    assert [] == sandbox.delivered


@pytest.mark.parametrize(
    "template",
    [{"id": "none"}, {"id": "welcome"}, {"id": "welcome", "variables": {"name": []}}, {"x": 1}],
)
def test_resend_template_must_exist_and_get_all_its_variables(template: dict[str, Any]) -> None:
    """A Resend template must exist and get all its variables."""
    _, mail_hub = resend_hub()
    body = {"from": "a@b.c", "to": "a@b.c", "template": template}
    with pytest.raises(VendorRejected):
        mail_hub.manager.call("mail", Request.post("/emails", json=body))


def test_strict_batch_that_is_right_is_taken() -> None:
    """A valid strict batch is accepted by Resend, and its response has no list of errors."""
    _, mail_hub = resend_hub()
    answer = mail_hub.manager.call("mail", Request.post("/emails/batch", json=[USUAL]))

    assert {"data"} == set(answer.json())


@pytest.mark.parametrize(
    "headers, kind",
    [
        ({"Idempotency-Key": "k" * 257}, InvalidRequest),
        ({"Idempotency-Key": "taken"}, IdempotencyConflict),
    ],
)
def test_key_at_resend_has_maximum_length(headers: dict[str, str], kind: type[Any]) -> None:
    """A key for Resend has a maximum length, and cannot be reused with another body."""
    _, mail_hub = resend_hub()
    send = partial(mail_hub.manager.call, "mail")
    send(Request.post("/emails", json=USUAL, headers={"Idempotency-Key": "taken"}))
    with pytest.raises(kind):
        send(Request.post("/emails", json={**USUAL, "text": "y"}, headers=headers))


@pytest.mark.parametrize(
    "headers, status",
    [({"Authorization": "Bearer re_sandbox_key"}, 403), ({"User-Agent": "x"}, 401)],
)
def test_sandbox_needs_a_key_and_a_user_agent(headers: dict[str, str], status: int) -> None:
    """Resend refuses a request without a key or a user agent."""
    request = Request.post("/emails", json=USUAL, headers=headers)
    client = SandboxHttpClient(ResendSandbox())

    assert status == client.send(request, "https://api.resend.com/emails", Timeouts()).status


def test_sandbox_refuses_unknown_parameters() -> None:
    """The Resend sandbox refuses unknown parameters of metrics."""
    _, mail_hub = resend_hub()
    with pytest.raises(InvalidRequest):
        mail_hub.manager.call("mail", Request.get("/emails/metrics", query={"from": "x"}))


def test_unverified_domain_is_refused() -> None:
    """Resend refuses an unverified domain."""
    _, mail_hub = resend_hub()
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail(from_="a@unverified.example"))

    assert "validation_error" == excinfo.value.vendor_code


def test_sandbox_is_reachable_over_a_real_connection() -> None:
    """The Resend sandbox works over a real connection."""
    sandbox = ResendSandbox()
    with sandbox.serving() as server:
        vendor = resend_vendor(sandbox, base_url=server.url)
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail())

    assert ("ada@example.com",) == sandbox.delivered[0].to
