"""The Brevo sandbox refuses what Brevo refuses."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from moorage import Account, AuthenticationFailed, Hub, InvalidRequest, VendorRejected
from moorage.domain.http.requests import Request
from moorage.testing.sandboxes.email.brevo import BrevoSandbox
from tests.vendors.brevo_account import brevo_hub
from tests.vendors.email_hubs import hub, mail
from tests.vendors.subjects.brevo import brevo_vendor

ADA = {"email": "ada@example.com"}
USUAL: dict[str, Any] = {
    "sender": {"email": "shop@example.com"},
    "to": [ADA],
    "subject": "Hi",
    "textContent": "x",
}
COMMON = {name: value for name, value in USUAL.items() if name != "to"}
PATH = "/v3/smtp/email"

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"sender": {}}, "missing_parameter"),
    ({"sender": {"name": "Shop"}}, "missing_parameter"),
    ({"sender": "shop@example.com"}, "invalid_parameter"),
    ({"sender": {"email": "shop"}}, "invalid_parameter"),
    ({"to": []}, "missing_parameter"),
    ({"to": ["ada@example.com"]}, "invalid_parameter"),
    ({"to": [{"name": "Ada"}]}, "missing_parameter"),
    ({"to": [{"email": "nobody"}]}, "invalid_parameter"),
    ({"to": [{**ADA, "name": "x" * 71}]}, "invalid_parameter"),
    ({"cc": [{"email": f"a{number}@example.com"} for number in range(99)]}, "invalid_parameter"),
    ({"replyTo": [ADA]}, "invalid_parameter"),
    ({"replyTo": {"email": "nobody"}}, "invalid_parameter"),
    ({"subject": ""}, "missing_parameter"),
    ({"textContent": ""}, "missing_parameter"),
    ({"textContent": 7}, "invalid_parameter"),
    ({"text": "x"}, "invalid_parameter"),
    ({"tags": "x"}, "invalid_parameter"),
    ({"headers": {"X-A": 1}}, "invalid_parameter"),
    ({"headers": []}, "invalid_parameter"),
    ({"scheduledAt": "tomorrow"}, "invalid_parameter"),
    ({"templateId": "7"}, "invalid_parameter"),
    ({"templateId": 8}, "document_not_found"),
    ({"attachment": [{"name": "a.txt"}]}, "missing_parameter"),
    ({"attachment": [{"content": "YQ=="}]}, "missing_parameter"),
    ({"attachment": [{"content": "YQ==", "name": "a.exe"}]}, "invalid_parameter"),
    ({"textContent": "x" * 16_000_000}, "invalid_parameter"),
    ({"messageVersions": [{"to": [ADA]}]}, "invalid_parameter"),
]


@pytest.mark.parametrize("change, code", WRONG)
def test_sandbox_is_strict(change: dict[str, Any], code: str) -> None:
    """The sandbox refuses what Brevo would refuse."""
    _, mail_hub = brevo_hub()
    send = partial(mail_hub.manager.call, "mail")
    assert 201 == send(Request.post(PATH, json=USUAL)).status
    with pytest.raises((InvalidRequest, VendorRejected)) as excinfo:
        send(Request.post(PATH, json={**USUAL, **change}))

    assert code == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "versions",
    [
        [],
        [{}],
        [{"to": []}],
        [{"to": [ADA], "tags": ["x"]}],
        [{"to": [ADA], "sender": {"email": "shop@example.com"}}],
        [{"to": [ADA]}] * 1_001,
        [{"to": [ADA] * 51}] * 40,
        [{"to": [ADA] * 100}],
    ],
)
def test_versions_are_checked(versions: list[dict[str, Any]]) -> None:
    """Brevo accepts up to 1000 versions and 2000 recipients; a version has only a few fields."""
    _, mail_hub = brevo_hub()
    body = {**COMMON, "messageVersions": versions}
    with pytest.raises(InvalidRequest):
        mail_hub.manager.call("mail", Request.post(PATH, json=body))


def test_file_at_a_url_is_accepted() -> None:
    """Brevo fetches a file from a URL; the file needs no name."""
    sandbox, mail_hub = brevo_hub()
    body = {**USUAL, "attachment": [{"url": "https://example.com/a.pdf"}]}
    mail_hub.manager.call("mail", Request.post(PATH, json=body))

    assert () == sandbox.delivered[0].items


def test_template_needs_no_sender() -> None:
    """An email to Brevo needs a sender, a subject and a text, unless it has a template."""
    _, mail_hub = brevo_hub()
    with pytest.raises(InvalidRequest, match="sender is missing"):
        mail_hub.manager.call(
            "mail", Request.post(PATH, json={"to": [ADA], "subject": "x", "textContent": "x"})
        )


@pytest.mark.parametrize(
    "query",
    [
        {"startDate": "2026-03-01"},
        {"startDate": "2026-03-01", "endDate": "yesterday"},
        {"startDate": "2026-03-01", "endDate": "2026-03-02", "limit": "31"},
        {"startDate": "2026-03-01", "endDate": "2026-03-02", "offset": "x"},
        {"startDate": "2026-03-01", "endDate": "2026-03-02", "from": "x"},
        {"startDate": "2026-03-01", "endDate": "2026-03-02", "sort": "up"},
    ],
)
def test_statistics_are_checked(query: dict[str, str]) -> None:
    """Brevo's sandbox refuses unknown parameters, over 30 days a page, and a range without end."""
    _, mail_hub = brevo_hub()
    with pytest.raises(InvalidRequest):
        mail_hub.manager.call("mail", Request.get("/v3/smtp/statistics/reports", query=query))


def test_statistics_begin_with_the_newest_day() -> None:
    """Brevo's statistics are those of the latest ten days, newest first, unless told otherwise."""
    sandbox, mail_hub = brevo_hub()
    sandbox.days = [{"date": f"2026-03-{day:02}"} for day in range(1, 13)]
    query = {"startDate": "2026-03-01", "endDate": "2026-03-31"}
    request = Request.get("/v3/smtp/statistics/reports", query=query)
    reports = mail_hub.manager.call("mail", request).json()["reports"]

    assert (10, "2026-03-12") == (len(reports), reports[0]["date"])


def test_unverified_sender_is_refused() -> None:
    """Brevo refuses a sender that is not validated."""
    _, mail_hub = brevo_hub()
    with pytest.raises(InvalidRequest, match="Sender is not valid"):
        mail_hub.email().send_transactional(mail(from_="a@unverified.example"))


def test_key_is_needed() -> None:
    """The Brevo sandbox refuses a request without a key, and a body that is not an object."""
    sandbox = BrevoSandbox()
    mail_hub = hub(brevo_vendor(sandbox), sandbox)
    with pytest.raises(InvalidRequest):
        mail_hub.manager.call("mail", Request.post(PATH, json=["x"]))
    stranger = hub(brevo_vendor(BrevoSandbox(api_key="xkeysib-other")), sandbox)
    with pytest.raises(AuthenticationFailed, match="Key not found"):
        stranger.email().send_transactional(mail())


def test_sandbox_is_reachable_over_a_real_connection() -> None:
    """The Brevo sandbox works over a real connection."""
    sandbox = BrevoSandbox()
    with sandbox.serving() as server:
        vendor = brevo_vendor(sandbox, base_url=server.url)
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail())

    assert ("ada@example.com",) == sandbox.delivered[0].to
