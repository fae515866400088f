"""Each operation passes its name, capabilities, key and timeout to the dispatcher."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from moorage.contracts.email import EmailMessage
from moorage.contracts.email_address import EmailAddress
from moorage.contracts.email_bulk import BulkMessage
from moorage.contracts.email_outcomes import StatisticsQuery
from moorage.contracts.payments import (
    BillingInterval,
    Customer,
    DisputeEvidence,
    LinkRequest,
    Money,
    PayeeTransfer,
    PaymentQuery,
    RefundReason,
    StoreRequest,
    SubscriptionRequest,
    Unsettled,
)
from moorage.contracts.signed import PostOptions, UrlOptions
from moorage.contracts.sms import SmsMessage
from moorage.contracts.storage import ByteRange, GetOptions
from moorage.errors import ConfigurationError, InvalidData
from moorage.services.contracts.email import EmailFlows
from moorage.services.contracts.payments import PaymentsFlows
from moorage.services.contracts.shipping import ShippingFlows
from moorage.services.contracts.sms import SmsFlows
from moorage.services.contracts.storage import StorageFlows
from tests.contracts.recording_dispatcher import (
    CHARGE,
    HOME,
    RATES,
    REF,
    START,
    STARTED_UPLOAD,
    TAGGED,
    TIME,
    OperationCall,
    record_operation,
)

TEXT = SmsMessage(to="+4915112345678", text="Hello")
MAIL = EmailMessage(to="b@example.com", text="t")
BULK = BulkMessage(base=EmailMessage(text="t"), recipients=["b@example.com"])
STORED = StoreRequest("tok_1", customer=Customer(id="cus_1"))
EVIDENCE = DisputeEvidence("The buyer signed.")
TRANSFER = PayeeTransfer(Money("1.00", "EUR"), "acct_1", reference="CN-1")
SUBSCRIPTION = SubscriptionRequest(
    Money("1.00", "EUR"),
    BillingInterval("month"),
    "pm_1",
    customer=Customer(id="cus_1"),
    reference="SUB-1",
)
LINK = LinkRequest(Money("1", "EUR"), reference="INV-1")
STATISTICS_DAY = StatisticsQuery(start=date(2026, 1, 1), end=date(2026, 1, 2))

DOWNLOAD_OPTIONS: dict[str, Any] = {
    "range": ByteRange(1, 2),
    "if_match": "e1",
    "if_none_match": "e2",
    "if_modified_since": START,
    "if_unmodified_since": START + timedelta(days=1),
    "version": "v1",
}
FORM = PostOptions(expires=3600, smallest=0, largest=5, content_type="a/b")

KEYED: dict[str, tuple[Any, OperationCall, tuple[Any, ...]]] = {
    "create_intent": (
        PaymentsFlows,
        lambda flows: flows.create_intent(CHARGE, idempotency_key="k", timeout=TIME),
        (CHARGE, {"key": "k"}),
    ),
    "authorize": (
        PaymentsFlows,
        lambda flows: flows.authorize(CHARGE, idempotency_key="k", timeout=TIME),
        (CHARGE, {"key": "k"}),
    ),
    "charge": (
        PaymentsFlows,
        lambda flows: flows.charge(CHARGE, idempotency_key="k", timeout=TIME),
        (CHARGE, {"key": "k"}),
    ),
    "complete": (
        PaymentsFlows,
        lambda flows: flows.complete(REF, {"a": "b"}, idempotency_key="k", timeout=TIME),
        (REF, {"a": "b"}, {"key": "k"}),
    ),
    "capture": (
        PaymentsFlows,
        lambda flows: flows.capture(REF, idempotency_key="k", final=False, timeout=TIME),
        (REF, None, {"final": False, "key": "k"}),
    ),
    "void": (
        PaymentsFlows,
        lambda flows: flows.void(REF, idempotency_key="k", timeout=TIME),
        (REF, {"key": "k"}),
    ),
    "refund": (
        PaymentsFlows,
        lambda flows: flows.refund(
            REF, idempotency_key="k", reason=RefundReason.FRAUD, timeout=TIME
        ),
        (REF, None, {"reason": RefundReason.FRAUD, "key": "k"}),
    ),
    "store_means": (
        PaymentsFlows,
        lambda flows: flows.store_means(STORED, idempotency_key="k", timeout=TIME),
        (STORED, {"key": "k"}),
    ),
    "remove_means": (
        PaymentsFlows,
        lambda flows: flows.remove_means(REF, idempotency_key="k", timeout=TIME),
        (REF, {"key": "k"}),
    ),
    "accept_dispute": (
        PaymentsFlows,
        lambda flows: flows.accept_dispute(REF, idempotency_key="k", timeout=TIME),
        (REF, {"key": "k"}),
    ),
    "submit_evidence": (
        PaymentsFlows,
        lambda flows: flows.submit_evidence(REF, EVIDENCE, idempotency_key="k", timeout=TIME),
        (REF, EVIDENCE, {"key": "k"}),
    ),
    "pay_payee": (
        PaymentsFlows,
        lambda flows: flows.pay_payee(TRANSFER, idempotency_key="k", timeout=TIME),
        (TRANSFER, {"key": "k"}),
    ),
    "create_subscription": (
        PaymentsFlows,
        lambda flows: flows.create_subscription(SUBSCRIPTION, idempotency_key="k", timeout=TIME),
        (SUBSCRIPTION, {"key": "k"}),
    ),
    "change_subscription": (
        PaymentsFlows,
        lambda flows: flows.change_subscription(REF, quantity=2, idempotency_key="k", timeout=TIME),
        (REF, {"amount": None, "quantity": 2, "key": "k"}),
    ),
    "cancel_subscription": (
        PaymentsFlows,
        lambda flows: flows.cancel_subscription(REF, idempotency_key="k", timeout=TIME),
        (REF, {"at_period_end": False, "key": "k"}),
    ),
    "create_link": (
        PaymentsFlows,
        lambda flows: flows.create_link(LINK, idempotency_key="k", timeout=TIME),
        (LINK, {"key": "k"}),
    ),
    "close_link": (
        PaymentsFlows,
        lambda flows: flows.close_link(REF, idempotency_key="k", timeout=TIME),
        (REF, {"key": "k"}),
    ),
    "send": (
        SmsFlows,
        lambda flows: flows.send(TEXT, idempotency_key="k", timeout=TIME),
        (TEXT, {"key": "k"}),
    ),
    "send_transactional": (
        EmailFlows,
        lambda flows: flows.send_transactional(MAIL, idempotency_key="k", timeout=TIME),
        (MAIL, {"key": "k"}),
    ),
    "get_rates": (
        ShippingFlows,
        lambda flows: flows.get_rates(RATES, idempotency_key="k", timeout=TIME),
        (RATES, {"key": "k"}),
    ),
}
"""Operations with a key: their class, a call, and the vendor's resulting arguments."""

NEEDED = {
    "create_intent": {"intent"},
    "authorize": {"authorize"},
    "complete": {"complete"},
    "capture": {"authorize", "multiple_captures"},
    "void": {"void"},
    "store_means": {"store_means"},
    "remove_means": {"stored_means"},
    "accept_dispute": {"accept_dispute"},
    "get_rates": {"rates"},
    "submit_evidence": {"dispute_evidence"},
    "pay_payee": {"payees"},
    "create_subscription": {"subscriptions", "subscription_source"},
    "change_subscription": {"subscriptions", "subscription_quantity"},
    "cancel_subscription": {"subscriptions"},
    "create_link": {"links"},
    "close_link": {"links"},
}
"""The capabilities that the calls in KEYED need."""


@pytest.mark.parametrize("operation", KEYED)
def test_dispatcher_gets_operation_key_and_timeout(operation: str) -> None:
    """Each operation with a key passes its name, key and timeout to the dispatcher."""
    flows, use, result = KEYED[operation]
    dispatcher = record_operation(flows, use)

    assert (operation, "k") == (dispatcher.operation, dispatcher.key)
    assert NEEDED.get(operation, set()) == dispatcher.needs
    assert (operation, *result) == dispatcher.told


def test_rate_can_be_bought_by_its_reference_alone_if_vendor_stores_its_rates() -> None:
    """A rate can be bought by its reference alone if the vendor stores its rates."""
    dispatcher = record_operation(
        ShippingFlows, lambda flows: flows.create_shipment(REF, idempotency_key="k", timeout=TIME)
    )

    assert ("create_shipment", "k", REF) == (dispatcher.operation, dispatcher.key, dispatcher.ref)
    assert frozenset({"buy_by_reference"}) == dispatcher.needs
    assert ("buy", REF, None, {"key": "k"}) == dispatcher.told


PLAIN: dict[tuple[Any, str], tuple[OperationCall, set[str], tuple[Any, ...]]] = {
    (PaymentsFlows, "get"): (
        lambda flows: flows.get(REF, timeout=TIME),
        {"look_up"},
        ("get", REF, {}),
    ),
    (PaymentsFlows, "get_refund"): (
        lambda flows: flows.get_refund(REF, timeout=TIME),
        {"look_up_refund"},
        ("get_refund", REF, {}),
    ),
    (PaymentsFlows, "payments"): (
        lambda flows: flows.payments(timeout=TIME),
        {"list"},
        ("payments", PaymentQuery(), None, {}),
    ),
    (PaymentsFlows, "disputes"): (
        lambda flows: flows.disputes(timeout=TIME),
        {"disputes"},
        ("disputes", PaymentQuery(), None, {}),
    ),
    (PaymentsFlows, "payouts"): (
        lambda flows: flows.payouts(after=REF, timeout=TIME),
        {"payouts"},
        ("payouts", PaymentQuery(), REF, {}),
    ),
    (PaymentsFlows, "payout_items"): (
        lambda flows: flows.payout_items(REF, after=REF, timeout=TIME),
        {"payout_items"},
        ("payout_items", REF, {"after": REF}),
    ),
    (PaymentsFlows, "stored_means"): (
        lambda flows: flows.stored_means("cus_1", timeout=TIME),
        {"stored_means"},
        ("stored_means", "cus_1", None, {}),
    ),
    (PaymentsFlows, "get_link"): (
        lambda flows: flows.get_link(REF, timeout=TIME),
        {"links"},
        ("get_link", REF, {}),
    ),
    (SmsFlows, "get"): (
        lambda flows: flows.get(REF, timeout=TIME),
        {"look_up"},
        ("get", REF, {}),
    ),
    (SmsFlows, "cancel"): (
        lambda flows: flows.cancel(REF, timeout=TIME),
        {"cancel"},
        ("cancel", REF, {}),
    ),
    (SmsFlows, "validate_number"): (
        lambda flows: flows.validate_number("0151 1", country="de", timeout=TIME),
        {"validate_number"},
        ("validate_number", "0151 1", {"country": "de"}),
    ),
    (SmsFlows, "check_balance"): (
        lambda flows: flows.check_balance(timeout=TIME),
        {"balance"},
        ("check_balance", {}),
    ),
    (EmailFlows, "validate_address"): (
        lambda flows: flows.validate_address("a@example.com", timeout=TIME),
        {"validate_address"},
        ("validate_address", EmailAddress("a@example.com"), {}),
    ),
    (EmailFlows, "get_statistics"): (
        lambda flows: flows.get_statistics(STATISTICS_DAY, timeout=TIME),
        {"statistics"},
        ("get_statistics", STATISTICS_DAY, {}),
    ),
    (ShippingFlows, "get_shipment"): (
        lambda flows: flows.get_shipment(REF, timeout=TIME),
        set(),
        ("get", REF, {}),
    ),
    (ShippingFlows, "get_label"): (
        lambda flows: flows.get_label(REF, timeout=TIME),
        {"label_again"},
        ("get_labels", REF, None, {}),
    ),
    (ShippingFlows, "track"): (
        lambda flows: flows.track("1Z", "ups", timeout=TIME),
        {"track"},
        ("track", "1Z", "ups", {}),
    ),
    (ShippingFlows, "track_shipment"): (
        lambda flows: flows.track_shipment(REF, timeout=TIME),
        {"track"},
        ("track_shipment", REF, {}),
    ),
    (ShippingFlows, "cancel"): (
        lambda flows: flows.cancel(REF, timeout=TIME),
        {"cancel"},
        ("cancel", REF, {}),
    ),
    (ShippingFlows, "validate_address"): (
        lambda flows: flows.validate_address(HOME, timeout=TIME),
        {"validate_address"},
        ("validate_address", HOME, {}),
    ),
    (StorageFlows, "upload"): (
        lambda flows: flows.upload("a", b"x", TAGGED, timeout=TIME),
        {"multipart", "tags"},
        ("put", "a", b"x", TAGGED, {}),
    ),
    (StorageFlows, "start_upload"): (
        lambda flows: flows.start_upload("a", TAGGED, timeout=TIME),
        {"multipart", "tags"},
        ("start_upload", "a", TAGGED, {}),
    ),
    (StorageFlows, "abort_upload"): (
        lambda flows: flows.abort_upload(str(STARTED_UPLOAD.ref), timeout=TIME),
        {"multipart"},
        ("abort", STARTED_UPLOAD, {}),
    ),
    (StorageFlows, "download"): (
        lambda flows: flows.download("a", **DOWNLOAD_OPTIONS, timeout=TIME),
        {"range", "conditional_get", "versions"},
        ("open", "a", GetOptions(**DOWNLOAD_OPTIONS), {}),
    ),
    (StorageFlows, "head"): (
        lambda flows: flows.head("a", version="1", timeout=TIME),
        {"versions"},
        ("head", "a", {"version": "1"}),
    ),
    (StorageFlows, "delete"): (
        lambda flows: flows.delete(REF, version="1", timeout=TIME),
        {"versions"},
        ("delete", "thing", {"version": "1"}),
    ),
    (StorageFlows, "list"): (
        lambda flows: flows.list("a/", delimiter="/", cursor="c", limit=5, timeout=TIME),
        set(),
        ("list", "a/", {"delimiter": "/", "cursor": "c", "limit": 5}),
    ),
    (StorageFlows, "copy"): (
        lambda flows: flows.copy("a", "b", timeout=TIME),
        {"copy"},
        ("copy", "a", "b", None, {}),
    ),
    (StorageFlows, "signed_url"): (
        lambda flows: flows.signed_url(
            "a", content_type="a/b", content_disposition="inline", timeout=TIME
        ),
        {"signed_url"},
        (
            "signed_url",
            "a",
            UrlOptions(expires=3600, content_type="a/b", content_disposition="inline"),
            {},
        ),
    ),
    (StorageFlows, "list_containers"): (
        lambda flows: flows.list_containers(timeout=TIME),
        {"containers"},
        ("list_containers", {}),
    ),
    (StorageFlows, "create_container"): (
        lambda flows: flows.create_container("acme-archive", timeout=TIME),
        {"containers"},
        ("create_container", "acme-archive", {}),
    ),
    (StorageFlows, "delete_container"): (
        lambda flows: flows.delete_container("acme-archive", timeout=TIME),
        {"containers"},
        ("delete_container", "acme-archive", {}),
    ),
    (StorageFlows, "list_stale_uploads"): (
        lambda flows: flows.list_stale_uploads("a/", timeout=TIME),
        {"stale_uploads"},
        ("list_uploads", "a/", {}),
    ),
    (StorageFlows, "signed_post"): (
        lambda flows: flows.signed_post("a", largest=5, content_type="a/b", timeout=TIME),
        {"signed_post"},
        ("signed_post", "a", FORM, {}),
    ),
}
"""Operations without a key: a call, its capabilities, and the vendor's arguments."""


@pytest.mark.parametrize("flows, operation", PLAIN)
def test_dispatcher_gets_operation_and_needs(flows: Any, operation: str) -> None:
    """Each operation without a key passes its name and needed capabilities to the dispatcher."""
    use, needed_capabilities, result = PLAIN[flows, operation]
    dispatcher = record_operation(flows, use)

    assert (operation, frozenset(needed_capabilities), None) == (
        dispatcher.operation,
        dispatcher.needs,
        dispatcher.key,
    )
    assert result == dispatcher.told


def test_dispatcher_gets_the_country_of_an_operation() -> None:
    """The dispatcher gets the country code of an operation, in capital letters."""
    result = {
        name: record_operation(flows, use).country
        for (flows, name), (use, _, _) in PLAIN.items()
        if name in {"validate_number", "validate_address"} and flows is not EmailFlows
    }
    assert {"validate_number": "DE", "validate_address": "DE"} == result


MANY: dict[str, tuple[Any, OperationCall, int, str, str | None]] = {
    "settle": (PaymentsFlows, lambda flows: flows.settle([REF], timeout=TIME), 8, "get", None),
    "settle again": (
        PaymentsFlows,
        lambda flows: flows.settle([Unsettled(charge=CHARGE, idempotency_key="k")], timeout=TIME),
        8,
        "charge",
        "k",
    ),
    "send_bulk": (
        SmsFlows,
        lambda flows: flows.send_bulk([TEXT], idempotency_key="k", timeout=TIME),
        8,
        "send",
        "k/1",
    ),
    "send_bulk of mail": (
        EmailFlows,
        lambda flows: flows.send_bulk(BULK, timeout=TIME),
        4,
        "send_bulk",
        None,
    ),
    "create_many": (
        ShippingFlows,
        lambda flows: flows.create_many([REF], idempotency_key="k", timeout=TIME),
        4,
        "create_shipment",
        "k/1",
    ),
}


@pytest.mark.parametrize("name", MANY)
def test_batch_items_have_their_own_keys(name: str) -> None:
    """The items of a batch get keys that count from one, and run with the declared concurrency."""
    flows, use, at_once, operation, key = MANY[name]
    dispatcher = record_operation(flows, use)

    assert (at_once, operation, key) == (dispatcher.at_once, dispatcher.operation, dispatcher.key)


WRONG: dict[str, tuple[Any, OperationCall, str]] = {
    "create_intent": (PaymentsFlows, lambda it: it.create_intent(7, idempotency_key="k"), "charge"),
    "authorize": (PaymentsFlows, lambda it: it.authorize(7, idempotency_key="k"), "charge"),
    "charge": (PaymentsFlows, lambda it: it.charge(7, idempotency_key="k"), "charge"),
    "send": (SmsFlows, lambda it: it.send(7), "message"),
    "send_transactional": (EmailFlows, lambda it: it.send_transactional(7), "message"),
    "send_bulk": (EmailFlows, lambda it: it.send_bulk(7), "bulk"),
    "get_rates": (ShippingFlows, lambda it: it.get_rates(7), "request"),
}


@pytest.mark.parametrize("operation", WRONG)
def test_wrong_values_are_refused(operation: str) -> None:
    """A value of a wrong type is refused with the name of the value's field."""
    flows, use, field = WRONG[operation]
    with pytest.raises(InvalidData) as excinfo:
        record_operation(flows, use)

    assert field == excinfo.value.field


COUNTS: list[tuple[Any, OperationCall, str]] = [
    (PaymentsFlows, lambda flows: flows.settle([], at_once=0), "at_once"),
    (SmsFlows, lambda flows: flows.send_bulk([], at_once=0), "at_once"),
    (EmailFlows, lambda flows: flows.send_bulk(BULK, at_once=0), "at_once"),
    (ShippingFlows, lambda it: it.create_many([], idempotency_key="k", at_once=0), "at_once"),
    (StorageFlows, lambda flows: flows.upload("a", b"x", at_once=0), "at_once"),
    (StorageFlows, lambda flows: flows.delete_many(["a"], at_once=0), "at_once"),
    (StorageFlows, lambda flows: flows.list(limit=0), "limit"),
]


@pytest.mark.parametrize("flows, use, path", COUNTS)
def test_count_of_zero_is_refused(flows: Any, use: OperationCall, path: str) -> None:
    """A count of zero is refused with the argument's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        record_operation(flows, use)

    assert path == excinfo.value.path
