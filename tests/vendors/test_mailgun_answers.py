"""Mailgun's responses: error responses, limits, address checks and daily statistics."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from moorage import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.email_outcomes import EmailCounts, StatisticsQuery, Verdict
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import reply
from moorage.vendors.email.mailgun import classify
from tests.vendors.email_hubs import mail
from tests.vendors.mailgun_account import mailgun_hub


@pytest.mark.parametrize(
    "status, words, kind",
    [
        (400, "to parameter is not a valid address. please check documentation", InvalidRequest),
        (400, "Domain a.example is not allowed to send: It is unverified.", VendorRejected),
        (403, "Domain a.example is not allowed to send large batches yet", VendorRejected),
        (403, "Forbidden", AuthenticationFailed),
        (404, "Domain not found: a.example", VendorRejected),
        (429, "Domain a.example is not allowed to send: limit exceeded", RateLimitExceeded),
        (500, "Internal Server Error", VendorFailed),
    ],
)
def test_refusal_is_classified(status: int, words: str, kind: type[Any]) -> None:
    """Status and text of a Mailgun error decide its class, as for an unverified domain."""
    sandbox, mail_hub = mailgun_hub()
    sandbox.fail(*[reply({"message": words}, status)] * 3)
    with pytest.raises(kind) as excinfo:
        mail_hub.email().send_transactional(mail())

    assert type(excinfo.value) is kind
    assert words == excinfo.value.vendor_message


@pytest.mark.parametrize("words", ["to ada@example.com", "with api_key=k-0123456789"])
@pytest.mark.parametrize("after", ["", ", try again after Mon, 22 Dec 2031 20:33:21 UTC"])
def test_words_of_a_refusal_are_masked(words: str, after: str) -> None:
    """Addresses and credentials in the text of a Mailgun error are masked in moorage's error."""
    status = 429 if after else 403
    text = f"Domain a.example is not allowed to send {words}{after}"
    error = classify(Request.get("/"), reply({"message": text}, status))

    assert isinstance(error, RateLimitExceeded if after else VendorRejected)
    assert "is not allowed to send" in str(error.vendor_message)
    assert not [word for word in ("ada@", "k-01") if word in f"{error}{error.vendor_message}"]


@pytest.mark.parametrize(
    "when, at",
    [
        ("Mon, 22 Dec 2031 20:33:21 UTC", datetime(2031, 12, 22, 20, 33, 21, tzinfo=UTC)),
        ("120 seconds", None),
    ],
)
def test_time_to_retry_is_read_from_mailgun_text(when: str, at: datetime | None) -> None:
    """The time to retry is read from Mailgun's text, if the text has one."""
    sandbox, mail_hub = mailgun_hub()
    words = f"Domain a.example is not allowed to send: limit exceeded, try again after {when}"
    sandbox.fail(*[reply({"message": words}, 429)] * 3)
    with pytest.raises(RateLimitExceeded) as excinfo:
        mail_hub.email().send_transactional(mail())

    assert excinfo.value.by_vendor
    assert words == excinfo.value.vendor_message
    if at is not None:
        # The pause is limited to an hour; the error also has Mailgun's own value.
        retry_at, message = excinfo.value.retry_at, excinfo.value.vendor_retry_after
        assert retry_at is not None
        assert message is not None
        assert at == retry_at - timedelta(hours=1) + timedelta(seconds=message)


@pytest.mark.parametrize(
    "response",
    [
        Response(401, body=b"Forbidden"),
        reply({"message": "x"}, 400),
        reply([], 400),
        reply({"id": "<m>", "message": "Queued. Thank you."}),
    ],
)
def test_other_errors_are_classified_by_status(response: Response) -> None:
    """If the text of a Mailgun error is not known, the status decides its class."""
    assert None is classify(Request.get("/"), response)


@pytest.mark.parametrize("answer", [{"message": "Queued."}, {"id": "<>"}, {"id": None}, []])
def test_message_without_an_id_was_not_taken(answer: object) -> None:
    """A Mailgun response without a message id is malformed."""
    sandbox, mail_hub = mailgun_hub()
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed):
        mail_hub.email().send_transactional(mail())


@pytest.mark.parametrize(
    "address, verdict, reasons, intended, mx",
    [
        ("ada@example.com", Verdict.DELIVERABLE, (), None, None),
        ("info@example.com", Verdict.RISKY, ("mailbox_is_role_address",), None, None),
        ("ada@example.invalid", Verdict.UNDELIVERABLE, ("no_mx",), None, False),
        ("ada@gmial.com", Verdict.UNKNOWN, (), "ada@gmail.com", None),
    ],
)
def test_mailgun_verdict_on_address_is_translated_into_contract_verdicts(
    *,
    address: str,
    verdict: Verdict,
    reasons: tuple[str, ...],
    intended: str | None,
    mx: bool | None,
) -> None:
    """Mailgun's verdict on an address is translated into the contract's verdicts."""
    _, mail_hub = mailgun_hub()
    result = mail_hub.email().validate_address(address)

    assert (verdict, reasons, intended, mx) == (
        result.verdict,
        result.reasons,
        result.did_you_mean,
        result.mx,
    )
    assert address.startswith("info") == result.role
    assert not result.disposable


def test_check_without_a_verdict_is_malformed() -> None:
    """A Mailgun address check without a verdict is a malformed response."""
    sandbox, mail_hub = mailgun_hub()
    sandbox.fail(reply({"address": "ada@example.com"}))
    with pytest.raises(VendorFailed, match="result"):
        mail_hub.email().validate_address("ada@example.com")


def test_daily_statistics_are_paged() -> None:
    """Mailgun statistics are requested for all days of this domain, page by page."""
    sandbox, mail_hub = mailgun_hub()
    first = datetime(2026, 1, 1, tzinfo=UTC)
    sandbox.days = [
        (
            format_datetime(first + timedelta(days=number)),
            {
                "accepted_outgoing_count": 2,
                "delivered_smtp_count": 1,
                "suppressed_bounces_count": 1,
                "suppressed_complaints_count": 1,
            },
        )
        for number in range(-1, 252)
    ]
    query = StatisticsQuery(start=first.date(), end=first.date() + timedelta(days=249))
    result = mail_hub.email().get_statistics(query)

    assert [0, 100, 200] == [
        json.loads(request.body)["pagination"]["skip"] for request in sandbox.requests
    ]
    assert 250 == len(result.rows)
    assert EmailCounts(requested=500, delivered=250, dropped=500) == result.totals


def test_metrics_have_the_names_of_the_contract() -> None:
    """Each metric of Mailgun that has a meaning is counted, and suppressions are added up."""
    sandbox, mail_hub = mailgun_hub()
    metrics = {
        "accepted_outgoing_count": 1,
        "processed_count": 2,
        "delivered_smtp_count": 4,
        "temporary_failed_count": 8,
        "bounced_count": 16,
        "permanent_failed_esp_block_count": 32,
        "suppressed_bounces_count": 64,
        "suppressed_unsubscribed_count": 128,
        "suppressed_complaints_count": 256,
        "opened_count": 512,
        "unique_opened_count": 1024,
        "clicked_count": 2048,
        "unique_clicked_count": 4096,
        "complained_count": 8192,
        "unsubscribed_count": 16384,
    }
    day = {"dimension": "time", "value": "Mon, 02 Mar 2026 00:00:00 +0000"}
    sandbox.fail(reply({"items": [{"dimensions": [day], "metrics": metrics}]}))
    query = StatisticsQuery(start=date(2026, 3, 2), end=date(2026, 3, 2))
    counts = EmailCounts(
        requested=1,
        processed=2,
        delivered=4,
        deferred=8,
        bounced=16,
        blocked=32,
        dropped=64 + 128 + 256,
        opened=512,
        unique_opened=1024,
        clicked=2048,
        unique_clicked=4096,
        complained=8192,
        unsubscribed=16384,
    )

    assert counts == mail_hub.email().get_statistics(query).totals
    body = json.loads(sandbox.requests[0].body)
    assert (set(metrics), 1_000) == (set(body["metrics"]), body["pagination"]["limit"])


def test_days_outside_requested_period_do_not_count_in_mailgun_statistics() -> None:
    """Days outside the requested period do not count in Mailgun statistics."""
    sandbox, mail_hub = mailgun_hub()
    items = [
        {
            "dimensions": [{"dimension": "time", "value": f"{day} Mar 2026 00:00:00 +0000"}],
            "metrics": {"opened_count": 1},
        }
        for day in (1, 2, 3)
    ]
    sandbox.fail(reply({"items": items, "pagination": {"limit": 3}}))
    query = StatisticsQuery(start=date(2026, 3, 2), end=date(2026, 3, 3))
    result = mail_hub.email().get_statistics(query)

    assert 1 == len(sandbox.requests)
    assert EmailCounts(opened=2) == result.totals


@pytest.mark.parametrize("answer", [{}, {"items": {}}, {"items": [{"metrics": {}}]}, []])
def test_days_without_dates_are_malformed(answer: object) -> None:
    """Mailgun statistics without dates are a malformed response."""
    sandbox, mail_hub = mailgun_hub()
    sandbox.fail(reply(answer))
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 1))
    with pytest.raises(VendorFailed):
        mail_hub.email().get_statistics(query)
