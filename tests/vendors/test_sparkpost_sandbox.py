"""The SparkPost sandbox refuses what SparkPost refuses."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from moorage import Account, ConnectorError, Hub
from moorage.domain.http.requests import Request
from moorage.testing.sandboxes.email.sparkpost import SparkPostSandbox
from tests.vendors.email_hubs import mail
from tests.vendors.subjects.sparkpost import sparkpost_hub, sparkpost_vendor

PATH = "/api/v1/transmissions"
CONTENT: dict[str, Any] = {"from": "shop@example.com", "subject": "Hi", "text": "x"}
USUAL: dict[str, Any] = {"recipients": [{"address": "a@example.com"}], "content": CONTENT}
FILE = {"name": "a", "type": "a/b", "data": ""}


def content(**changes: Any) -> dict[str, Any]:
    """Return the content of an email for SparkPost, with one change."""
    return {"content": {**CONTENT, **changes}}


WRONG: list[tuple[dict[str, Any], int, str | None]] = [
    ({"recipients": []}, 422, "1400"),
    ({"recipients": {}}, 422, "1300"),
    ({"recipients": [{"address": {}}]}, 400, "5002"),
    ({"recipients": [{"address": "nobody"}]}, 400, "5002"),
    ({"recipients": [{"address": {"mail": "a@example.com"}}]}, 422, "1300"),
    ({"recipients": [{"address": "a@example.com", "tag": "x"}]}, 422, "1300"),
    ({"recipients": ["a@example.com"]}, 422, "1300"),
    ({"subject": "x"}, 422, "1300"),
    ({"campaign_id": "x" * 65}, 422, "1300"),
    ({"metadata": {"x": "x" * 10_240}}, 422, "2007"),
    ({"options": {"open_tracking": "yes"}}, 422, "1300"),
    ({"options": {"start_time": "2031-05-06T07:08:09"}}, 422, "1300"),
    ({"options": {"start_time": "2031-05-36T07:08:09+00:00"}}, 422, "1300"),
    ({"override": {}}, 422, "1301"),
    ({"content": {}}, 422, "1400"),
    ({"content": {"subject": "x", "text": "x"}}, 422, "1400"),
    ({"content": {"from": "shop@example.com", "text": "x"}}, 422, "1400"),
    (content(text=""), 422, "1400"),
    (content(body="x"), 422, "1300"),
    (content(**{"from": {"mail": "x"}}), 422, "1300"),
    (content(**{"from": "nobody"}), 400, "2008"),
    (content(**{"from": "a@unverified.example"}), 400, "7001"),
    (content(headers={"Subject": "x"}), 422, "3002"),
    (content(headers={"X-A": 1}), 422, "3002"),
    (content(headers={"X-A": "{{#if}}"}), 422, "3000"),
    (content(text="{{#if}}"), 422, "3000"),
    (content(attachments=[{"name": "a"}]), 422, "1400"),
    (content(attachments=[{**FILE, "name": "x" * 256}]), 422, "1400"),
    (content(attachments=[{**FILE, "type": "a"}]), 422, "3010"),
    (content(inline_images=[FILE, FILE]), 422, "1300"),
    (content(text="x" * 20_000_000), 413, None),
    ({"content": {"template_id": "none"}}, 422, "1603"),
    ({"content": {"template_id": "welcome", "text": "x"}}, 422, "1301"),
    ({"content": {"template_id": "welcome", "headers": {}}}, 422, "1300"),
    (
        {"content": {"template_id": "welcome"}, "options": {"perform_substitutions": False}},
        422,
        "1301",
    ),
    ({"content": {"template_id": "welcome"}, "override": {"to": "x"}}, 422, "1300"),
]


@pytest.mark.parametrize("change, status, code", WRONG)
def test_sandbox_is_strict(change: dict[str, Any], status: int, code: str | None) -> None:
    """The sandbox refuses what SparkPost would refuse."""
    _, mail_hub = sparkpost_hub()
    send = partial(mail_hub.manager.call, "mail")
    assert 200 == send(Request.post(PATH, json=USUAL)).status
    with pytest.raises(ConnectorError) as excinfo:
        send(Request.post(PATH, json={**USUAL, **change}))

    error: Any = excinfo.value
    assert (status, code) == (error.status, error.vendor_code)


def test_sandbox_fills_in_placeholders() -> None:
    """The sandbox fills in placeholders and escapes HTML, unless the message turns this off."""
    sandbox, mail_hub = sparkpost_hub()
    body = {
        **USUAL,
        **content(subject="For {{x}}", text="{{ x }}", html="<b>{{x}}{{y}}</b>"),
        "recipients": [{"address": "a@example.com", "substitution_data": {"x": "<1>"}}],
    }
    mail_hub.manager.call("mail", Request.post(PATH, json=body))
    [delivered] = sandbox.delivered

    assert ("For <1>", "<1>", "<b>&lt;1&gt;</b>") == (
        delivered.subject,
        delivered.text,
        delivered.html,
    )


@pytest.mark.parametrize(
    "change",
    [{"precision": "hour"}, {"from": "2026-03-01T00:01"}, {"to": "2026-03-01"}, {"x": "1"}],
)
def test_sandbox_refuses_unknown_periods(change: dict[str, str]) -> None:
    """The sandbox refuses statistics for periods that are not whole days."""
    _, mail_hub = sparkpost_hub()
    query = {
        "from": "2026-03-01T00:00",
        "to": "2026-03-01T23:59",
        "precision": "day",
        "timezone": "UTC",
        "metrics": "count_sent",
    }
    path = "/api/v1/metrics/deliverability/time-series"
    send = partial(mail_hub.manager.call, "mail")
    assert send(Request.get(path, query=query)).ok
    with pytest.raises(ConnectorError):
        send(Request.get(path, query={**query, **change}))


def test_sandbox_checks_the_syntax_of_addresses() -> None:
    """The address check reports an address without a domain as invalid in syntax."""
    _, mail_hub = sparkpost_hub()
    path = "/api/v1/recipient-validation/single/nobody"
    answer = mail_hub.manager.call("mail", Request.get(path)).json()

    assert "Invalid Syntax" == answer["results"]["reason"]


def test_sandbox_wants_a_number_of_a_subaccount() -> None:
    """A subaccount that is not a number is refused."""
    _, mail_hub = sparkpost_hub()
    request = Request.post(PATH, json=USUAL, headers={"X-MSYS-SUBACCOUNT": "x"})
    with pytest.raises(ConnectorError):
        mail_hub.manager.call("mail", request)


def test_sandbox_is_reachable_over_a_real_connection() -> None:
    """The SparkPost sandbox works over a real connection."""
    sandbox = SparkPostSandbox()
    with sandbox.serving() as server:
        vendor = sparkpost_vendor(sandbox, base_url=server.url)
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail())

    assert ("ada@example.com",) == sandbox.delivered[0].to
