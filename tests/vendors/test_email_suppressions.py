"""Lists, pages, additions and removals of the addresses that email vendors suppress."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

import moorage
from moorage import InvalidData, VendorFailed, VendorRejected
from moorage.contracts.email_outcomes import RejectReason
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient, reply

if TYPE_CHECKING:
    from pathlib import Path

ADA = "ada@example.com"
PATH = {
    "amazon_ses": "/v2/email/suppression/addresses",
    "mandrill": "/api/1.0/rejects",
    "postmark": "/message-streams/outbound/suppressions",
    "resend": "/suppressions",
    "scaleway": "/transactional-email/v1alpha1/regions/fr-par/blocklists",
    "sparkpost": "/api/v1/suppression-list",
    "unisender_go": "/ru/transactional/api/v1/suppression",
}
REASONS: dict[str, dict[str, RejectReason]] = {
    "amazon_ses": {"BOUNCE": RejectReason.BOUNCED, "COMPLAINT": RejectReason.SPAM},
    "brevo": {
        "hardBounce": RejectReason.BOUNCED,
        "contactFlaggedAsSpam": RejectReason.SPAM,
        "unsubscribedViaEmail": RejectReason.UNSUBSCRIBED,
        "adminBlocked": RejectReason.BLOCKED,
        "odd": RejectReason.OTHER,
    },
    "mailgun": {
        "bounces": RejectReason.BOUNCED,
        "complaints": RejectReason.SPAM,
        "unsubscribes": RejectReason.UNSUBSCRIBED,
    },
    "mandrill": {
        "hard-bounce": RejectReason.BOUNCED,
        "soft-bounce": RejectReason.BOUNCED,
        "spam": RejectReason.SPAM,
        "unsub": RejectReason.UNSUBSCRIBED,
        "custom": RejectReason.BLOCKED,
        "odd": RejectReason.OTHER,
    },
    "postmark": {
        "HardBounce": RejectReason.BOUNCED,
        "SpamComplaint": RejectReason.SPAM,
        "ManualSuppression": RejectReason.BLOCKED,
    },
    "resend": {
        "bounce": RejectReason.BOUNCED,
        "complaint": RejectReason.SPAM,
        "manual": RejectReason.BLOCKED,
        "odd": RejectReason.OTHER,
    },
    "scaleway": {
        "mailbox_full": RejectReason.BOUNCED,
        "mailbox_not_found": RejectReason.INVALID,
        "unknown_type": RejectReason.OTHER,
    },
    "sendgrid": {
        "bounces": RejectReason.BOUNCED,
        "blocks": RejectReason.BLOCKED,
        "invalid_emails": RejectReason.INVALID,
        "spam_reports": RejectReason.SPAM,
        "unsubscribes": RejectReason.UNSUBSCRIBED,
    },
    "sparkpost": {
        "Bounce Rule": RejectReason.BOUNCED,
        "Spam Complaint": RejectReason.SPAM,
        "List Unsubscribe": RejectReason.UNSUBSCRIBED,
        "Manually Added": RejectReason.BLOCKED,
    },
    "unisender_go": {
        "unsubscribed": RejectReason.UNSUBSCRIBED,
        "temporary_unavailable": RejectReason.BOUNCED,
        "permanent_unavailable": RejectReason.BOUNCED,
        "complained": RejectReason.SPAM,
        "blocked": RejectReason.BLOCKED,
        "odd": RejectReason.OTHER,
    },
}
LISTED = {
    "amazon_ses": f"GET {PATH['amazon_ses']}",
    "brevo": "GET /v3/smtp/blockedContacts",
    "mailgun": "GET /v3/mail.example.com/bounces",
    "mandrill": f"POST {PATH['mandrill']}/list",
    "postmark": f"GET {PATH['postmark']}/dump",
    "resend": f"GET {PATH['resend']}",
    "scaleway": f"GET {PATH['scaleway']}",
    "sendgrid": "GET /v3/suppression/bounces",
    "sparkpost": f"GET {PATH['sparkpost']}",
    "unisender_go": f"POST {PATH['unisender_go']}/list.json",
}
ADDED: dict[str, tuple[str, str, Any]] = {
    "amazon_ses": ("PUT", PATH["amazon_ses"], {"EmailAddress": ADA, "Reason": "COMPLAINT"}),
    "mailgun": ("POST", "/v3/mail.example.com/unsubscribes", {"address": ADA}),
    "mandrill": (
        "POST",
        f"{PATH['mandrill']}/add",
        {"email": ADA, "key": "md-sandbox-key-7f3a9c"},
    ),
    "postmark": ("POST", PATH["postmark"], {"Suppressions": [{"EmailAddress": ADA}]}),
    "resend": ("POST", PATH["resend"], {"email": ADA}),
    "scaleway": (
        "POST",
        PATH["scaleway"],
        {
            "domain_id": "1e1ad2a5-3b5c-4a3d-9f9e-3b6f1e0c7d11",
            "emails": [ADA],
            "type": "mailbox_not_found",
        },
    ),
    "sendgrid": ("POST", "/v3/asm/suppressions/global", {"recipient_emails": [ADA]}),
    "sparkpost": (
        "PUT",
        PATH["sparkpost"],
        {
            "recipients": [
                {"recipient": ADA, "type": "transactional"},
                {"recipient": ADA, "type": "non_transactional"},
            ]
        },
    ),
    "unisender_go": (
        "POST",
        f"{PATH['unisender_go']}/set.json",
        {"email": ADA, "cause": "unsubscribed"},
    ),
}
REMOVED: dict[str, list[str]] = {
    "amazon_ses": [f"DELETE {PATH['amazon_ses']}/ada%40example.com"],
    "brevo": ["DELETE /v3/smtp/blockedContacts/ada%40example.com"],
    "mailgun": [
        f"DELETE /v3/mail.example.com/{name}/ada%40example.com" for name in REASONS["mailgun"]
    ],
    "mandrill": [f"POST {PATH['mandrill']}/delete"],
    "postmark": [f"POST {PATH['postmark']}/delete"],
    "resend": [f"DELETE {PATH['resend']}/ada%40example.com"],
    "scaleway": [
        f"GET {PATH['scaleway']}",
        f"DELETE {PATH['scaleway']}/id-of-ada%40example.com",
    ],
    "sendgrid": [
        *(
            f"DELETE /v3/suppression/{name}/ada%40example.com"
            for name in ("bounces", "blocks", "invalid_emails", "spam_reports")
        ),
        "DELETE /v3/asm/suppressions/global/ada%40example.com",
    ],
    "sparkpost": [f"DELETE {PATH['sparkpost']}/ada%40example.com"],
    "unisender_go": [f"POST {PATH['unisender_go']}/delete.json"],
}
LARGEST = {
    "amazon_ses": 1_000,
    "brevo": 100,
    "mailgun": 1_000,
    "resend": 100,
    "scaleway": 100,
    "sendgrid": 500,
    "sparkpost": 1_000,
    "unisender_go": 2,
}


def hub_of(vendor: str, folder: Path, **options: Any) -> tuple[Any, Any]:
    """Return a vendor's sandbox, and a hub with an account there."""
    fixture = fixture_of(vendor, folder)
    assert fixture.sandbox is not None
    http = SandboxHttpClient(fixture.sandbox)
    account = {**fixture.options, **options}
    return fixture.sandbox, moorage.open({"vendors": {vendor: account}}, http=http)


def all_pages(hub: Any) -> list[Any]:
    """Return the suppressed addresses of all pages."""
    page = hub.email().suppressions()
    entries = [*page.items]
    while page.next is not None:
        page = hub.email().suppressions(after=str(page.next))
        entries += page.items
    return entries


@pytest.mark.parametrize("vendor", REASONS)
def test_reasons_have_common_names(vendor: str, tmp_path: Path) -> None:
    """Each suppressed address has a common reason, beside the vendor's own word."""
    sandbox, hub = hub_of(vendor, tmp_path)
    words = REASONS[vendor]
    sandbox.suppressions |= {f"a{number}@example.com": word for number, word in enumerate(words)}
    entries = {entry.email: entry for entry in all_pages(hub)}

    assert words == {entry.vendor_reason: entry.reason for entry in entries.values()}
    assert set(sandbox.suppressions) == set(entries)
    assert all(entry.at < datetime(2027, 1, 1, tzinfo=UTC) for entry in entries.values())


@pytest.mark.parametrize("vendor", LARGEST)
def test_each_address_of_long_list_is_on_exactly_one_page(vendor: str, tmp_path: Path) -> None:
    """Each address of a long list is on exactly one page."""
    sandbox, hub = hub_of(vendor, tmp_path)
    word = next(iter(REASONS[vendor]))
    count = LARGEST[vendor] + 1
    sandbox.suppressions |= {f"a{number}@example.com": word for number in range(count)}
    emails = [entry.email for entry in all_pages(hub)]

    assert count == len(emails) == len(set(emails))


@pytest.mark.parametrize("vendor", sorted(LARGEST.keys() - {"unisender_go"}))
def test_requested_page_has_the_largest_size(vendor: str, tmp_path: Path) -> None:
    """A page of suppressed addresses has the largest size that the vendor documents."""
    sandbox, hub = hub_of(vendor, tmp_path)
    hub.email().suppressions()

    assert str(LARGEST[vendor]) in dict(sandbox.requests[0].query).values()


@pytest.mark.parametrize("vendor", LISTED)
def test_request_that_lists(vendor: str, tmp_path: Path) -> None:
    """The first page of suppressed addresses is read from the path that the vendor documents."""
    sandbox, hub = hub_of(vendor, tmp_path)
    hub.email().suppressions()

    assert LISTED[vendor] == f"{sandbox.requests[0].method} {sandbox.requests[0].path}"


@pytest.mark.parametrize("vendor", ADDED)
def test_request_that_adds(vendor: str, tmp_path: Path) -> None:
    """An address is added to the suppression list by the request that the vendor documents."""
    sandbox, hub = hub_of(vendor, tmp_path)
    hub.email().add_suppression(f"Ada <{ADA}>")
    [request] = sandbox.requests
    is_json = (request.headers.get("content-type") or "").startswith("application/json")
    text = request.body.decode()
    content = json.loads(text) if is_json else dict(parse_qsl(text))

    assert ADDED[vendor] == (request.method, request.path, content)


@pytest.mark.parametrize("vendor", REMOVED)
def test_requests_that_remove(vendor: str, tmp_path: Path) -> None:
    """An address is removed from each of the vendor's suppression lists."""
    sandbox, hub = hub_of(vendor, tmp_path)
    sandbox.suppressions[ADA] = list(REASONS[vendor])[-1]
    hub.email().remove_suppression(ADA)

    requests = [f"{request.method} {request.path}" for request in sandbox.requests]
    assert REMOVED[vendor] == requests
    assert {} == sandbox.suppressions


def test_postmark_keeps_complaints(tmp_path: Path) -> None:
    """If Postmark refuses a single address, an error is raised despite the status 200."""
    sandbox, hub = hub_of("postmark", tmp_path)
    sandbox.suppressions[ADA] = "SpamComplaint"
    with pytest.raises(VendorRejected, match="required authority") as excinfo:
        hub.email().remove_suppression(ADA)

    assert ("Failed", {ADA: "SpamComplaint"}) == (excinfo.value.vendor_code, sandbox.suppressions)


def test_postmark_uses_the_stream_of_the_account(tmp_path: Path) -> None:
    """Postmark suppresses addresses in the stream that the account sends through."""
    sandbox, hub = hub_of("postmark", tmp_path, message_stream="broadcast")
    hub.email().suppressions()

    assert "/message-streams/broadcast/suppressions/dump" == sandbox.requests[0].path


@pytest.mark.parametrize(
    "vendor, answer",
    [
        ("amazon_ses", {"SuppressedDestinationSummaries": [{"Reason": "BOUNCE"}]}),
        ("brevo", {"contacts": [{}]}),
        ("mailgun", {"items": [{}]}),
        ("mandrill", [{}]),
        ("postmark", {"Suppressions": [{}]}),
        ("resend", {"data": [{}]}),
        ("scaleway", {"blocklists": [{}]}),
        ("sendgrid", [{}]),
        ("sparkpost", {"results": [{}]}),
        ("unisender_go", {"suppressions": [{}]}),
    ],
)
def test_entry_without_an_address_is_malformed(vendor: str, answer: Any, tmp_path: Path) -> None:
    """A suppression list with an entry without an address is malformed."""
    sandbox, hub = hub_of(vendor, tmp_path)
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed, match="address"):
        hub.email().suppressions()


@pytest.mark.parametrize("answer", [{}, [1], {"items": None}], ids=repr)
@pytest.mark.parametrize("vendor", [*sorted(PATH.keys() - {"mandrill"}), "mailgun"])
def test_response_without_a_list_is_malformed(vendor: str, answer: Any, tmp_path: Path) -> None:
    """A response without a list does not mean that no address is suppressed."""
    sandbox, hub = hub_of(vendor, tmp_path)
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed):
        hub.email().suppressions()


def test_scaleway_removal_needs_the_list(tmp_path: Path) -> None:
    """An address at Scaleway does not count as removed if its entries could not be read."""
    sandbox, hub = hub_of("scaleway", tmp_path)
    sandbox.fail(reply({}))
    with pytest.raises(VendorFailed, match="blocklists"):
        hub.email().remove_suppression(ADA)


def test_postmark_change_without_a_result_is_malformed(tmp_path: Path) -> None:
    """If Postmark's response does not contain the change, adding a suppression fails."""
    sandbox, hub = hub_of("postmark", tmp_path)
    sandbox.fail(reply({"Suppressions": []}))
    with pytest.raises(VendorFailed, match="Status"):
        hub.email().add_suppression(ADA)


def test_other_refusals_of_a_removal_are_errors(tmp_path: Path) -> None:
    """If SparkPost refuses a removal, an error is raised unless the address is missing."""
    sandbox, hub = hub_of("sparkpost", tmp_path)
    sandbox.fail(reply({"errors": [{"message": "Forbidden."}]}, 409))
    with pytest.raises(VendorRejected):
        hub.email().remove_suppression(ADA)


def test_mailgun_hides_the_address_in_a_cursor(tmp_path: Path) -> None:
    """Mailgun's page cursor does not show the email address that it contains."""
    sandbox, hub = hub_of("mailgun", tmp_path)
    sandbox.suppressions[ADA] = "bounces"

    assert "ada" not in str(hub.email().suppressions().next)


@pytest.mark.parametrize(
    "vendor, answer",
    [
        ("mailgun", {"items": [], "paging": {"next": "http://[x"}}),
        ("sparkpost", {"results": [], "links": [{"rel": "next", "href": "http://[x"}]}),
    ],
)
def test_malformed_link_to_the_next_page_ends_the_list(
    vendor: str, answer: Any, tmp_path: Path
) -> None:
    """A malformed link to the next page means that there is no next page."""
    sandbox, hub = hub_of(vendor, tmp_path)
    sandbox.fail(reply(answer))

    assert () == hub.email().suppressions().items


def test_account_is_named(tmp_path: Path) -> None:
    """Each operation uses the account that the caller names, and refuses an unknown one."""
    resend, sendgrid = fixture_of("resend", tmp_path), fixture_of("sendgrid", tmp_path)
    assert resend.sandbox is not None
    assert sendgrid.sandbox is not None
    configuration = {
        "email": {"vendor": ["resend", "sendgrid"]},
        "vendors": {"resend": resend.options, "sendgrid": sendgrid.options},
    }
    hub = moorage.open(configuration, http=SandboxHttpClient(resend.sandbox, sendgrid.sandbox))
    hub.email().add_suppression(ADA, account="sendgrid")
    hub.email().remove_suppression(ADA, account="sendgrid")
    hub.email().suppressions(account="sendgrid")

    assert [] == resend.sandbox.requests
    with pytest.raises(InvalidData, match="No account named"):
        hub.email().add_suppression(ADA, account="other")
