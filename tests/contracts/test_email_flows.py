"""Email operations: chunks of a bulk, failover, idempotency keys, and a change of the vendor."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from moorage import (
    Account,
    ConfigurationError,
    ConnectionFailed,
    Hub,
    InvalidData,
    Route,
    UnsupportedByVendor,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.email import EmailMessage, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus, StatisticsQuery
from moorage.contracts.vendor import Vendor
from moorage.domain.http.requests import Response
from moorage.domain.service.settings import Service
from moorage.domain.values.result import Result
from moorage.testing import VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.email.amazon_ses import AmazonSesSandbox
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.vendors.email.sendgrid import SendGrid
from tests.vendors.email_sandboxes import sendgrid_vendor, ses_vendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.wire import Wire


class MailHubs:
    """Hubs with two email vendors that share their state store."""

    def __init__(self) -> None:
        self.sendgrid, self.ses = SendGridSandbox(), AmazonSesSandbox()
        self.clock = VirtualClock()
        self.state = MemoryStorage(self.clock)

    def hub(self, *route: str) -> Hub:
        """Return a hub that sends email through this route."""
        return Hub(
            [
                Account("sendgrid", sendgrid_vendor(self.sendgrid)),
                Account("ses", ses_vendor(self.ses)),
            ],
            [Route("email", route)],
            http=SandboxHttpClient(self.sendgrid, self.ses),
            clock=self.clock,
            sleeper=VirtualSleeper(self.clock),
            state=self.state,
        )


def _message(**changes: Any) -> EmailMessage:
    default_fields: dict[str, Any] = {
        "from_": "shop@example.com",
        "subject": "Hi",
        "text": "Hello.",
    }
    return EmailMessage(**{**default_fields, **changes})


def _bulk(count: int, **changes: Any) -> BulkMessage:
    people = [f"person{number}@example.com" for number in range(count)]
    return BulkMessage(base=_message(**changes), recipients=people)


def test_changed_vendor_keeps_a_bulks_chunks() -> None:
    """A bulk email that is repeated with another vendor is split into the same chunks again."""
    post = MailHubs()
    post.sendgrid.fail(Response(429))
    first = post.hub("sendgrid").email().send_bulk(_bulk(1_120), idempotency_key="news", at_once=1)
    second = post.hub("ses").email().send_bulk(_bulk(1_120), idempotency_key="news", at_once=1)

    assert 120 == sum(result.ok for result in first)
    assert all(result.ok for result in second)
    # The first chunk was recorded when it was refused.
    assert 1_120 == len({message.to for message in [*post.sendgrid.delivered, *post.ses.delivered]})
    assert 1_120 == len(post.sendgrid.delivered) + len(post.ses.delivered)


def test_chunks_fit_every_vendor_of_a_route() -> None:
    """The chunks of a bulk fit all vendors of the route that may send them."""
    post = MailHubs()
    results = post.hub("sendgrid", "ses").email().send_bulk(_bulk(120), idempotency_key="news")

    assert all(result.ok for result in results)
    sizes = [len(request.json()["personalizations"]) for request in post.sendgrid.requests]
    assert [20, 50, 50] == sorted(sizes)


def test_unsent_chunk_moves_to_the_next_vendor() -> None:
    """If a chunk of a bulk was certainly not sent, the next vendor of the route sends it."""
    post = MailHubs()
    lost_error = ConnectionFailed("no", may_have_been_processed=False)
    post.sendgrid.fail(lost_error, lost_error, lost_error)
    results = (
        post.hub("sendgrid", "ses").email().send_bulk(_bulk(60), idempotency_key="news", at_once=1)
    )

    assert ["ses"] * 50 + ["sendgrid"] * 10 == [result.unwrap().ref.account for result in results]


@pytest.mark.parametrize("key", [None, "news"])
def test_larger_chunk_is_split_for_a_smaller_vendor(key: str | None) -> None:
    """A chunk made for a larger vendor is split for a vendor that accepts fewer messages."""
    post = MailHubs()
    if key is not None:
        # A call that is interrupted at once has still stored the size of its chunks.
        post.hub("sendgrid").email().send_bulk(_bulk(0), idempotency_key=key)
    refused_response = Response(400, {"x-amzn-ErrorType": "BadRequestException"}, b"{}")
    post.ses.fail(refused_response)
    results = post.hub("ses").email().send_bulk(_bulk(120), idempotency_key=key, at_once=1)
    ok_flags = [result.ok for result in results]

    assert [False] * 50 + [True] * 70 == ok_flags
    assert 70 == len(post.ses.delivered)
    repeated_receipts = (
        post.hub("ses").email().send_bulk(_bulk(120), idempotency_key=key, at_once=1)
    )
    assert (ok_flags if key else [True] * 120) == [result.ok for result in repeated_receipts]
    assert (70 if key else 190) == len(post.ses.delivered)


@attrs.frozen(kw_only=True)
class RecordingMailVendor(Vendor):
    """A vendor that accepts any number of emails, and records how many each idempotency key had."""

    name: ClassVar[str] = "bag"
    kinds: ClassVar[tuple[str, ...]] = ("email",)

    given: list[tuple[int, str | None]] = attrs.field(factory=list)

    def services(self) -> Mapping[str, Service]:
        """Return a service that is never called."""
        return {"": Service("bag", "https://bag.example", retry=None)}

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        """Accept all messages at once."""
        self.given.append((len(bulk.recipients), key))
        return [Result(EmailReceipt(ref=wire.ref("1"), status=EmailStatus.SENT))] * len(
            bulk.recipients
        )


class MailVendorOfTwo(RecordingMailVendor):
    """An email vendor that accepts at most two messages at once."""

    limits: ClassVar[Mapping[str, int]] = {"batch": 2}


class MailVendorOfFive(RecordingMailVendor):
    """An email vendor that accepts at most five messages at once."""

    limits: ClassVar[Mapping[str, int]] = {"batch": 5}


def test_vendor_without_chunk_size_gets_a_hundred_emails() -> None:
    """A vendor without a stated chunk size gets chunks of a hundred emails."""
    bag = RecordingMailVendor()
    results = Hub([Account("bag", bag)]).email().send_bulk(_bulk(120), at_once=1)

    assert [(100, None), (20, None)] == bag.given
    assert [True] * 120 == [result.ok for result in results]


def test_keys_of_chunks_are_numbered_from_one() -> None:
    """The keys for a bulk's chunks, and for the parts of a chunk, are numbered from one."""
    small, state = MailVendorOfTwo(), MemoryStorage()
    Hub([Account("bag", MailVendorOfFive())], state=state).email().send_bulk(
        _bulk(0), idempotency_key="k"
    )
    hub = Hub([Account("bag", small)], state=state)
    results = hub.email().send_bulk(_bulk(6), idempotency_key="k", at_once=1)

    assert [True] * 6 == [result.ok for result in results]
    assert [(2, "k/1/1"), (2, "k/1/2"), (1, "k/1/3"), (1, "k/2")] == small.given


def test_chunk_sizes_are_per_tenant() -> None:
    """The chunk size stored for one tenant's key does not affect the same key of another tenant."""
    large, state = MailVendorOfFive(), MemoryStorage()
    Hub([Account("bag", MailVendorOfTwo())], state=state).email("a").send_bulk(
        _bulk(5), idempotency_key="k"
    )
    hub = Hub([Account("bag", large)], state=state)
    hub.email("b").send_bulk(_bulk(5), idempotency_key="k")

    assert [(5, "k/1")] == large.given


def test_unsupported_bulk_is_refused_as_a_whole() -> None:
    """A bulk that no vendor of the route can send is refused before a chunk is sent."""
    post = MailHubs()
    email = post.hub("ses").email()
    with pytest.raises(UnsupportedByVendor) as excinfo:
        email.send_bulk(_bulk(3, track_opens=True))

    assert "sendgrid" in excinfo.value.supported_by
    assert "amazon_ses" not in excinfo.value.supported_by
    assert [] == post.ses.requests


def test_oversized_messages_are_refused_before_sending() -> None:
    """An email above the vendor's limits is not sent."""
    post = MailHubs()
    email = post.hub("ses").email()
    people = [f"person{number}@example.com" for number in range(51)]
    with pytest.raises(InvalidData, match="51 recipients"):
        email.send_transactional(_message(to=people))
    with pytest.raises(InvalidData, match="must have a recipient"):
        email.send_transactional(_message())
    custom_recipient = BulkRecipient(to=people)
    results = email.send_bulk(
        BulkMessage(base=_message(), recipients=[custom_recipient, "a@example.com"])
    )

    assert isinstance(results[0].error, InvalidData)
    assert results[1].ok
    assert 1 == len(post.ses.requests)


def test_bulk_without_recipients_returns_no_results() -> None:
    """A bulk without recipients returns no results."""
    post = MailHubs()

    assert [] == post.hub("ses").email().send_bulk(_bulk(0))


def test_longest_key_of_a_bulk() -> None:
    """The idempotency key of a bulk email may have the maximum length.

    A repeat with this key sends nothing.
    """
    post, key = MailHubs(), "k" * 255
    results = post.hub("ses").email().send_bulk(_bulk(120), idempotency_key=key)
    repeated_results = post.hub("ses").email().send_bulk(_bulk(120), idempotency_key=key)

    assert [result.unwrap() for result in results] == [r.unwrap() for r in repeated_results]
    assert 120 == len(post.ses.delivered)
    with pytest.raises(InvalidData):
        post.hub("ses").email().send_bulk(_bulk(1), idempotency_key="k" * 256)


def test_tenants_have_their_own_keys() -> None:
    """Two tenants that use the same idempotency key send two emails."""
    post = MailHubs()
    hub = post.hub("ses")
    for tenant in ("a", "b", "a"):
        hub.email(tenant).send_transactional(_message(to="a@example.com"), idempotency_key="1")

    assert 2 == len(post.ses.delivered)


def test_invalid_address_is_not_validated_remotely() -> None:
    """An invalid email address is recognised without a request to the vendor."""
    post = MailHubs()
    with pytest.raises(InvalidData):
        post.hub("ses").email().validate_address("nobody")
    assert [] == post.ses.requests


def test_missing_sender_is_refused() -> None:
    """An email without a sender is refused, if its account has no default sender."""
    post = MailHubs()
    for name in ("sendgrid", "ses"):
        with pytest.raises(ConfigurationError, match="sender"):
            post.hub(name).email().send_transactional(EmailMessage(to="a@b.c", text="Hi"))


def test_template_data_are_sent_in_the_format_of_the_vendor() -> None:
    """Template data are sent in the format of each vendor."""
    post = MailHubs()
    for name, template, data in (
        ("sendgrid", "d-welcome", "dynamic_template_data"),
        ("ses", "welcome", "TemplateData"),
    ):
        message = EmailMessage(
            from_="shop@example.com", to="a@b.c", template=TemplateRef(template, {"n": [1]})
        )
        post.hub(name).email().send_transactional(message)
        custom_recipient = BulkRecipient(to="b@b.c", data={"m": 2})
        base = EmailMessage(from_="shop@example.com", template=TemplateRef(template, {"n": 1}))
        results = (
            post.hub(name).email().send_bulk(BulkMessage(base=base, recipients=[custom_recipient]))
        )
        assert results[0].ok
        assert data in str((post.sendgrid if name == "sendgrid" else post.ses).requests[-1].body)


def test_statistics_come_from_the_routes_vendor() -> None:
    """Email statistics come from the vendor of the route."""
    post = MailHubs()
    query = StatisticsQuery(start=date(2026, 1, 1), end=date(2026, 1, 2))

    assert () == post.hub("sendgrid").email().get_statistics(query).rows
    assert isinstance(post.hub("sendgrid").account("sendgrid").vendor, SendGrid)
