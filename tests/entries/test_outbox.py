"""Calls are stored in the outbox together with the host's data, and made once each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import moorage
from moorage import (
    ConfigurationError,
    IdempotencyInProgress,
    InvalidData,
    LogQuery,
    Outbox,
    OutcomeUnknown,
    PaymentDeclined,
    Request,
    Result,
    Secret,
    Service,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.entries.memory import AsyncMemoryOutbox, MemoryOutbox
from moorage.contracts.email import EmailMessage
from moorage.contracts.payments import Charge, Money
from moorage.contracts.sms import SmsMessage
from moorage.domain.entries.outbox import fate_of
from moorage.domain.resilience.retry import Backoff, Jitter, RetryPolicy
from moorage.domain.state.sealing import sealing_context
from moorage.hub.outbox import EntryQuery, EntryState, _refusal
from moorage.testing import ScriptedRandomness
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from tests.entries.shop import CHARGE, Shop, shop

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["shop"]

DECLINED = Charge(Money("9.90", "EUR"), "pm_card_chargeDeclined", reference="INV-9")
MESSAGE = EmailMessage(from_="shop@example.com", to="ada@example.com", subject="Hi", text="Hello.")


def _put_entry(shop: Shop, charge: Charge = CHARGE, **options: Any) -> Any:
    return shop.do(shop.outbox.put, "payments", "charge", charge, **options)


def _deliver(shop: Shop, **options: Any) -> Any:
    return shop.do(shop.outbox.deliver, shop.hub, **options)


def _states(delivered: Any) -> list[tuple[str, str]]:
    return [(work.entry.id, work.entry.state.value) for work in delivered.worked]


def _stored_entry(shop: Shop, id: str) -> Any:
    return shop.do(shop.outbox.find, EntryQuery(id=id)).items[0]


# --- putting ----------------------------------------------------------------------------


def test_call_is_stored_first_and_reaches_the_vendor_once(shop: Shop) -> None:
    """A call is stored first, and reaches the vendor once, when the outbox delivers it."""
    entry = _put_entry(shop)
    assert ("payments", "charge", EntryState.WAITING) == (entry.contract, entry.verb, entry.state)
    assert {} == shop.stripe.charges

    delivered_batch = _deliver(shop)
    assert [(entry.id, "done")] == _states(delivered_batch)
    assert "captured" == delivered_batch.worked[0].answer.state
    assert 0 == len(_deliver(shop))
    assert 1 == len(shop.stripe.charges)


def test_only_first_of_several_calls_with_one_key_is_made(shop: Shop) -> None:
    """If several calls have the same key, only the first is made.

    Keys of other tenants are independent.
    """
    first = _put_entry(shop, key="INV-1")
    assert first == _put_entry(shop, DECLINED, key="INV-1")
    assert first.id != _put_entry(shop, key="INV-1", tenant="acme").id
    assert first.id != _put_entry(shop).id
    assert first.id != _put_entry(shop, key="INV-2").id
    assert 4 == len(shop.do(shop.outbox.find, EntryQuery()).items)


def test_entry_id_of_a_key_is_the_same_in_every_release(shop: Shop) -> None:
    """The entry id derived from a key is the same in every release."""
    assert "5b2c5fbc65707093e44b4ae36219b367" == _put_entry(shop, key="INV-1", tenant="acme").id


@pytest.mark.parametrize(
    "call, words",
    [
        (("mail", "send"), "no contract 'mail'"),
        (("payments", "get"), "cannot be stored for later"),
        (("payments", "close"), "cannot be stored for later"),
        (("payments", "charge"), "does not accept these values"),
        (("payments", "charge", CHARGE, 5), "does not accept these values"),
        (("payments", "charge", 5), "must be a Charge, not an int"),
        (("payments", "refund", "nonsense"), "not a reference"),
        (("email", "send_transactional", CHARGE), "must be an EmailMessage"),
        (("sms", "send_bulk", 5), "must be a list, not an int"),
    ],
)
def test_invalid_calls_are_refused_at_once(shop: Shop, call: tuple[Any, ...], words: str) -> None:
    """An invalid call is refused when it is added to the outbox, and nothing is stored."""
    if call[:2] == ("payments", "refund"):
        # A location can only be shown with the configuration.
        _put_and_fail(shop, call)
        return
    with pytest.raises(InvalidData, match=words):
        shop.do(shop.outbox.put, *call)
    assert () == shop.do(shop.outbox.find, EntryQuery()).items


def _put_and_fail(shop: Shop, call: tuple[Any, ...]) -> None:
    shop.do(shop.outbox.put, *call)
    assert 1 == _deliver(shop).dead


def test_options_are_checked_and_kept(shop: Shop) -> None:
    """Known options of a method are stored with the call; unknown options are refused."""
    entry = _put_entry(shop, timeout=7.0)
    assert ((CHARGE,), {"timeout": 7.0}) == shop.outbox.arguments_of(entry)
    with pytest.raises(InvalidData, match="does not accept these values"):
        _put_entry(shop, mode="red")


def test_call_that_already_has_an_idempotency_key_is_refused(shop: Shop) -> None:
    """A call that already has an `idempotency_key` is refused.

    The error says to use `key` instead.
    """
    with pytest.raises(InvalidData, match="chooses the idempotency key") as excinfo:
        _put_entry(shop, idempotency_key="mine")
    assert "key=" in excinfo.value.remedy


def test_call_that_contains_a_secret_is_refused(shop: Shop) -> None:
    """A call that contains a secret or credentials is refused."""
    secret = Secret("sk_live_1")
    with pytest.raises(InvalidData, match="a secret") as excinfo:
        shop.do(shop.outbox.put, "sms", "cancel", "twilio:a:1", timeout=secret)
    assert "sk_live_1" not in repr(excinfo.value)
    request = Request.get("/", headers={"Authorization": "Bearer 1"})
    with pytest.raises(InvalidData, match="may contain a secret") as excinfo:
        shop.do(shop.outbox.put_request, "vat", request)
    assert "request.headers" == excinfo.value.field
    assert "Remove the header, and set credentials for" in excinfo.value.remedy
    with pytest.raises(InvalidData, match="The request is a str") as excinfo:
        shop.do(shop.outbox.put_request, "vat", "GET /")
    assert "request" == excinfo.value.field
    assert "Request.post('/path', json={…})" in excinfo.value.remedy


@pytest.mark.parametrize("option", ["order", "endpoint"])
def test_names_of_a_stored_request_must_be_texts(shop: Shop, option: str) -> None:
    """An order or an endpoint that is not text, such as a number of a row, is refused."""
    with pytest.raises(InvalidData, match="must be a str, not an int") as excinfo:
        shop.do(shop.outbox.put_request, "vat", Request.get("/"), **{option: 2041})
    assert option == excinfo.value.field


@pytest.mark.parametrize("is_async", [False, True])
def test_stored_calls_are_encrypted_with_a_cipher(*, is_async: bool) -> None:
    """With a cipher the store contains no readable part of a call."""
    cipher = AesGcmCipher(generate_keys())
    shop = Shop(is_async=is_async, cipher=cipher)
    entry = _put_entry(shop)
    assert b"INV-1" not in entry.content
    assert b"INV-1" in cipher.open(entry.content[1:], sealing_context(None, "outbox", entry.id))
    assert 1 == _deliver(shop).done
    with pytest.raises(ConfigurationError, match="no cipher") as excinfo:
        Shop(is_async=is_async).outbox.arguments_of(entry)
    assert "cipher" == excinfo.value.path
    assert "Set the same cipher in all processes that share the store." == excinfo.value.remedy


def test_outbox_refuses_a_store_of_the_wrong_mode(shop: Shop) -> None:
    """An outbox immediately refuses a store of the wrong mode (sync or async)."""
    other_store: Any = AsyncMemoryOutbox() if isinstance(shop.outbox, Outbox) else MemoryOutbox()
    with pytest.raises(ConfigurationError, match="but this class needs"):
        type(shop.outbox)(other_store)


# --- making -----------------------------------------------------------------------------


def test_a_call_is_not_made_before_its_time(shop: Shop) -> None:
    """A call is not made before `not_before`.

    Of the due calls, the lowest priority number goes first.
    """
    late_entry = _put_entry(shop, not_before=shop.time_after(60))
    entry = _put_entry(shop, DECLINED)
    assert [(entry.id, "dead")] == _states(_deliver(shop))
    shop.advance_clock(60)
    assert [(late_entry.id, "done")] == _states(_deliver(shop))


def test_calls_of_one_order_wait_for_each_other(shop: Shop) -> None:
    """Each call waits for the previous call of its `order`, but not for calls of other orders."""
    shop.stripe.fail(reply({}, 500))
    first, second = _put_entry(shop, order="INV-1"), _put_entry(shop, order="INV-1")
    other_entry = _put_entry(shop, order="INV-2")
    tenants = _put_entry(shop, order="INV-1", tenant="acme")
    assert [(first.id, "waiting"), (other_entry.id, "done"), (tenants.id, "done")] == _states(
        _deliver(shop)
    )
    assert [] == _states(_deliver(shop))
    shop.advance_clock(10)
    assert [(first.id, "done"), (second.id, "done")] == _states(_deliver(shop))


def test_calls_with_the_same_long_order_name_are_made_in_order(shop: Shop) -> None:
    """Calls with the same long `order` name are made in order.

    Calls with different long names are independent.
    """
    names = ["x" * 1000, "x" * 1000, "x" * 1001]
    lanes = [_put_entry(shop, order=name).lane for name in names]
    assert lanes[0] == lanes[1] != lanes[2]
    assert [1, 3] == [entry.number for entry in shop.sent.due(9)]


def test_delivery_makes_at_most_limit_calls(shop: Shop) -> None:
    """`limit` is the maximum number of calls in one delivery.

    The remaining calls are left for the next delivery.
    """
    for _ in range(3):
        _put_entry(shop)
    assert [2, 1, 0] == [len(_deliver(shop, limit=2)) for _ in range(3)]


def test_failed_call_is_retried_with_the_same_key(shop: Shop) -> None:
    """A call whose response was lost is retried with its idempotency key, and charges once."""
    entry = _put_entry(shop)
    shop.stripe.fail(Lost())
    (worked_entry,) = _deliver(shop).worked
    assert (EntryState.WAITING, 1) == (worked_entry.entry.state, worked_entry.entry.attempts)
    assert worked_entry.entry.error.startswith(
        "ConnectionFailed: stripe.payments.charge: The answer was lost."
    )
    assert [] == _states(_deliver(shop))
    shop.advance_clock(10)
    assert [(entry.id, "done")] == _states(_deliver(shop))
    assert 1 == len(shop.stripe.charges)


@pytest.mark.parametrize(
    "spread, pause", [({"jitter": Jitter.FULL}, 2.5), ({"backoff": Backoff.DECORRELATED}, 15.0)]
)
def test_delays_between_attempts_are_random(
    shop: Shop, spread: dict[str, Any], pause: float
) -> None:
    """The delays between attempts are random, as the retry policy configures."""
    outbox = shop.outbox_over(
        MemoryOutbox(shop.clock),
        retry=RetryPolicy(max_attempts=3, base_delay=10.0, **spread),
        randomness=ScriptedRandomness([0.25]),
    )
    shop.do(outbox.put, "payments", "charge", CHARGE)
    shop.stripe.fail(reply({}, 500))
    (worked_entry,) = shop.do(outbox.deliver, shop.hub).worked
    assert shop.time_after(pause) == worked_entry.entry.due


def test_retry_after_delays_the_call(shop: Shop) -> None:
    """A vendor's `Retry-After` applies if it is longer than the retry policy's delay."""
    _put_entry(shop)
    shop.stripe.fail(reply({}, 429, Retry_After="120"))
    (worked_entry,) = _deliver(shop).worked
    assert shop.time_after(120) == worked_entry.entry.due


def test_call_that_always_fails_is_dead(shop: Shop) -> None:
    """After its last attempt a call is dead, listed as stuck, and blocks its order."""
    entry, later_entry = _put_entry(shop, order="a"), _put_entry(shop, order="a")
    shop.stripe.fail(*[reply({}, 500)] * 3)
    states = []
    for _ in range(4):
        states += _states(_deliver(shop))
        shop.advance_clock(100)
    assert [(entry.id, state) for state in ("waiting", "waiting", "dead")] == states
    (stuck,) = shop.do(shop.outbox.stuck).items
    assert (entry.id, 3, 0) == (stuck.id, stuck.attempts, stuck.turn)

    shop.do(shop.outbox.replay, entry.id)
    assert [(entry.id, "done"), (later_entry.id, "done")] == _states(_deliver(shop))


def test_stuck_returns_a_hundred_calls_per_page(shop: Shop) -> None:
    """`stuck` returns a hundred calls by default, and the rest on the next page."""
    dead = attrs.evolve(_put_entry(shop), state=EntryState.DEAD, due=None)
    for number in range(101):
        shop.sent.add(attrs.evolve(dead, id=f"e{number}"))
    first = shop.do(shop.outbox.stuck)
    assert 100 == len(first.items)
    assert ["e0"] == [item.id for item in shop.do(shop.outbox.stuck, after=first.next).items]
    assert ["e100"] == [item.id for item in shop.do(shop.outbox.stuck, limit=1).items]


def test_declined_call_is_given_up_at_once(shop: Shop) -> None:
    """A declined call is given up at once, and replaying it uses a new idempotency key."""
    entry = _put_entry(shop, DECLINED, order="a")
    later_entry = _put_entry(shop, order="a")
    (worked_entry,) = _deliver(shop).worked
    assert isinstance(worked_entry.error, PaymentDeclined)
    assert shop.clock.utc() == worked_entry.entry.settled_at
    assert (EntryState.DEAD, f"{entry.id}/1") == (worked_entry.entry.state, worked_entry.entry.key)
    count = len(shop.stripe.requests)

    shop.do(shop.outbox.replay, entry.id)
    assert [(entry.id, "dead")] == _states(_deliver(shop))
    assert len(shop.stripe.requests) > count
    shop.do(shop.outbox.drop, entry.id)
    assert [(later_entry.id, "done")] == _states(_deliver(shop))
    assert EntryState.DROPPED is _stored_entry(shop, entry.id).state


def test_replay_of_a_done_call_repeats_no_effect(shop: Shop) -> None:
    """Replaying a call that is done returns the same response without a second charge."""
    entry = _put_entry(shop)
    first = _deliver(shop).worked[0].answer
    count = len(shop.stripe.requests)
    shop.do(shop.outbox.replay, entry.id)
    assert first.ref == _deliver(shop).worked[0].answer.ref
    assert count + 1 >= len(shop.stripe.requests)
    assert 1 == len(shop.stripe.charges)


def test_dead_workers_call_is_not_repeated(shop: Shop) -> None:
    """If a worker is killed after the vendor accepted a call, the call is not carried out again."""
    entry = _put_entry(shop)

    class FailingOutbox(MemoryOutbox):
        dying = True

        def swap(self, entry: Any, fence: int, /) -> bool:
            if self.dying and entry.state is EntryState.DONE:
                self.dying = False
                raise KeyboardInterrupt
            return shop.sent.swap(entry, fence)

        def due(self, limit: int, /) -> Any:
            return shop.sent.due(limit)

    outbox = shop.outbox_over(FailingOutbox(shop.clock))
    with pytest.raises(KeyboardInterrupt):
        shop.do(outbox.deliver, shop.hub)
    assert 1 == len(shop.stripe.charges)
    assert [] == _states(_deliver(shop))
    with pytest.raises(IdempotencyInProgress):
        shop.do(shop.outbox.drop, entry.id)
    shop.advance_clock(60)
    assert [(entry.id, "done")] == _states(_deliver(shop))
    assert 1 == len(shop.stripe.charges)


@pytest.mark.parametrize("is_async", [False, True])
def test_call_with_unknown_outcome_is_not_repeated_without_vendor_keys(*, is_async: bool) -> None:
    """If a vendor has no idempotency keys, a call whose response was lost stays undecided."""
    shop = Shop(is_async=is_async, idempotency_header=None)
    entry, later_entry = _put_entry(shop, order="a"), _put_entry(shop, order="a")
    shop.stripe.fail(Lost())
    (worked_entry,) = _deliver(shop).worked
    assert isinstance(worked_entry.error, OutcomeUnknown)
    assert worked_entry.entry.error.startswith("OutcomeUnknown: ")
    assert shop.clock.utc() == worked_entry.entry.settled_at
    shop.advance_clock(1e5)
    assert [] == _states(_deliver(shop))
    assert 0 == shop.do(shop.outbox.forget, shop.clock.utc())
    assert [entry.id] == [item.id for item in shop.do(shop.outbox.stuck).items]
    assert 1 == len(shop.stripe.charges)
    assert EntryState.WAITING is _stored_entry(shop, later_entry.id).state


def test_decisions_use_the_latest_entry(shop: Shop) -> None:
    """If an entry changes between read and write, the outbox reads it and decides again."""
    entry = _put_entry(shop)

    class ContestedOutbox(MemoryOutbox):
        changes = 2

        def find(self, query: Any, /) -> Any:
            page = shop.sent.find(query)
            if self.changes:
                self.changes -= 1
                (read,) = page.items
                changed_entry = attrs.evolve(read, fence=read.fence + 7, error="changed")
                assert shop.sent.swap(changed_entry, read.fence)
            return page

        def swap(self, entry: Any, fence: int, /) -> bool:
            return shop.sent.swap(entry, fence)

    replayed_entry = shop.do(shop.outbox_over(ContestedOutbox()).replay, entry.id)
    assert (15, "changed") == (replayed_entry.fence, replayed_entry.error)


def test_kind_of_error_decides_whether_a_call_ends_waits_or_is_retried() -> None:
    """A call ends after a final error, waits after an unknown outcome, and otherwise retries."""
    outcomes = [
        fate_of(error).value
        for error in (
            OutcomeUnknown("x"),
            PaymentDeclined("x"),
            PaymentDeclined("x", retryable=True),
            InvalidData("x"),
            UnsupportedByVendor("x"),
            ConfigurationError("x"),
            VendorFailed("x"),
            RuntimeError("x"),
        )
    ]
    assert ["doubt", "spent", "again", "never", "never", "again", "again", "again"] == outcomes


def test_worst_result_decides_fate_of_batch(shop: Shop) -> None:
    """The worst result decides the fate of a batch: unknown, then retryable, then rejected."""
    final_error, retryable_error, unknown_error = (
        InvalidData("x"),
        VendorFailed("x"),
        OutcomeUnknown("x"),
    )
    declined_error, repaired = PaymentDeclined("x"), ConfigurationError("x")
    cases: list[tuple[list[Exception | None], str, int]] = [
        ([None, None], "done", 0),
        ([None, final_error], "dead", 0),
        ([final_error, retryable_error, None], "waiting", 0),
        ([final_error, RuntimeError("x")], "waiting", 0),
        ([declined_error, repaired], "waiting", 0),
        ([retryable_error, unknown_error, final_error], "unknown", 0),
        ([declined_error, declined_error], "dead", 1),
        ([declined_error, final_error], "dead", 0),
        ([None, declined_error], "dead", 0),
    ]
    for errors, state, turn in cases:
        entry = _put_entry(shop)
        answer: list[Result[Any]] = [Result(error=error) for error in errors]

        async def call(*_: Any, answer: Any = answer) -> Any:
            return answer

        flows = shop.outbox._flows  # noqa: SLF001 - what it does with an answer
        shop.do(flows.deliver, call, shop.hub.unsettled, limit=1, utc=shop.clock.utc)
        stored_entry = _stored_entry(shop, entry.id)
        assert (state, turn) == (stored_entry.state.value, stored_entry.turn)
        shop.do(shop.outbox.remove, EntryQuery())


def test_replaying_batch_sends_only_refused_part_again(tmp_path: Path) -> None:
    """Replaying a batch sends only the messages that were refused."""
    fixture = fixture_of("twilio", tmp_path)
    twilio: Any = fixture.sandbox
    account = {**fixture.options, "volatile_keys": True}
    toml = {"sms": {"vendor": "twilio"}, "vendors": {"twilio": account}}
    hub = moorage.open(toml, http=SandboxHttpClient(twilio))
    outbox = Outbox(MemoryOutbox())
    messages = [
        SmsMessage(to=number, text="Hello") for number in ("+4915112345678", "+15005550001")
    ]
    entry = outbox.put("sms", "send_bulk", messages)
    (refused_entry,) = outbox.deliver(hub).worked
    assert EntryState.DEAD is refused_entry.entry.state
    assert isinstance(refused_entry.error, VendorRejected)

    outbox.replay(entry.id)
    assert 1 == outbox.deliver(hub).dead
    assert ["+4915112345678"] == [message["to"] for message in twilio.messages.values()]


def test_forget_removes_ended_calls(shop: Shop) -> None:
    """`forget` removes ended calls, but not waiting or unknown calls."""
    _put_entry(shop)
    _put_entry(shop, not_before=shop.time_after(99))
    _deliver(shop)
    shop.advance_clock(1)
    assert 1 == shop.do(shop.outbox.forget, shop.clock.utc())
    assert 1 == len(shop.do(shop.outbox.find, EntryQuery()).items)


def test_subject_of_a_call_is_stored_and_logged(shop: Shop) -> None:
    """The subject of a call is stored with the call, and logged when the call is made."""
    entry = _put_entry(shop, subject="customer-1", tenant=None)
    assert "customer-1" == entry.subject
    _deliver(shop)
    assert {entry.id} == {
        item.idempotency_key for item in shop.log.find(LogQuery(subject="customer-1")).items
    } & {entry.id}


@pytest.mark.parametrize("field", ["subject", "tenant"])
@pytest.mark.parametrize("name", ["x" * 256, "a\0b", "a\ud800b"])
def test_names_fit_into_every_store(shop: Shop, field: str, name: str) -> None:
    """A name that any supported store could not hold is refused when the call is put."""
    options: dict[str, Any] = {field: name}
    with pytest.raises(InvalidData, match=field):
        _put_entry(shop, **options)


def test_idempotent_methods_take_no_key(shop: Shop) -> None:
    """A method that is idempotent by itself is called without an idempotency key."""
    shop.do(shop.outbox.put, "storage", "delete", "invoices/1.pdf")
    (worked_entry,) = _deliver(shop).worked
    assert isinstance(worked_entry.error, ConfigurationError)
    assert EntryState.WAITING is worked_entry.entry.state


def test_plain_http_request_is_stored_and_made(shop: Shop) -> None:
    """A plain HTTP request to a service is stored and made like any other call."""
    vendor = shop.stripe
    service = Service("vat", base_url="https://api.stripe.com")
    hub = shop.hub_with(service)
    request = Request.post("/v1/rates", json={"country": "DE"})
    entry = shop.do(shop.outbox.put_request, "vat", request, order="vat", subject="customer-1")
    assert ("vat", "call") == (entry.contract, entry.verb)
    assert ("/vat", "customer-1") == (entry.lane, entry.subject)
    assert 1 == shop.do(shop.outbox.deliver, hub).dead
    assert ("POST", "/v1/rates", b'{"country":"DE"}') == (
        vendor.requests[-1].method,
        vendor.requests[-1].path,
        vendor.requests[-1].body,
    )


def test_plain_http_request_takes_tenant_key_and_start_time(shop: Shop) -> None:
    """A plain HTTP request can be put with a tenant, a key and a start time, like any call."""
    request, due_time = Request.get("/rates"), shop.time_after(60)
    options = {"tenant": "acme", "key": "INV-1", "not_before": due_time}
    entry = shop.do(shop.outbox.put_request, "vat", request, **options)
    assert ("acme", due_time) == (entry.tenant, entry.due)
    assert entry == shop.do(shop.outbox.put_request, "vat", Request.get("/other"), **options)


def test_only_the_calls_of_some_ids_are_made(shop: Shop) -> None:
    """If ids are passed, only the calls with these ids are made; all others wait for a worker."""
    other_entry, own_entry = _put_entry(shop), _put_entry(shop)
    result = _deliver(shop, ids=[own_entry.id, "nobody"])

    assert [own_entry.id] == [work.entry.id for work in result.worked]
    assert [other_entry.id] == [work.entry.id for work in _deliver(shop).worked]
    assert 0 == len(_deliver(shop, ids=[own_entry.id]))
    other_ids = [_put_entry(shop).id for _ in range(3)]
    assert 2 == len(_deliver(shop, ids=other_ids, limit=2))


def test_call_selected_by_id_waits_for_earlier_calls_of_its_order(shop: Shop) -> None:
    """A call selected by id still waits for earlier calls of its order and for its start time."""
    first, second = _put_entry(shop, order="customer-1"), _put_entry(shop, order="customer-1")
    later_entry = _put_entry(shop, not_before=timedelta(seconds=60))
    requests = [second.id, later_entry.id]

    assert 0 == len(_deliver(shop, ids=requests))
    assert 1 == _deliver(shop, ids=[first.id]).done
    assert 1 == _deliver(shop, ids=requests).done


def test_call_selected_by_id_is_not_made_while_earlier_one_of_its_order_needs_person(
    shop: Shop,
) -> None:
    """A call selected by id is not made while an earlier one of its order needs a person."""
    first = _put_entry(shop, DECLINED, order="customer-1")
    second = _put_entry(shop, order="customer-1")
    assert 1 == _deliver(shop, ids=[first.id]).dead

    assert 0 == len(_deliver(shop, ids=[second.id]))
    shop.do(shop.outbox.drop, first.id)
    assert 1 == _deliver(shop, ids=[second.id]).done


class _UnacceptedValue:
    """A value that no contract's method accepts."""


@pytest.mark.parametrize(
    "error, values, ours",
    [
        (AttributeError("no such thing", obj=None), (CHARGE,), True),
        (AttributeError("no such thing", obj=CHARGE), (CHARGE,), False),
        (AttributeError("no such thing", obj=CHARGE), ([CHARGE],), False),
        (TypeError("no such thing"), (CHARGE,), True),
        (TypeError("no such thing"), (_UnacceptedValue(),), False),
    ],
)
def test_internal_errors_are_not_blamed_on_the_caller(
    error: Exception, values: tuple[Any, ...], ours: bool
) -> None:
    """An internal error that no argument has caused is raised unchanged."""

    def verb(*_: Any) -> None:
        raise error

    if ours:
        with pytest.raises(type(error), match="no such thing"):
            _refusal(verb, values, {})
    else:
        assert isinstance(_refusal(verb, values, {}), InvalidData)


def test_outbox_delivers_only_the_calls_of_a_hub() -> None:
    """A manager in place of the hub is refused, with the type of the object."""
    manager: Any = moorage.ConnectorManager([])
    with (
        manager,
        pytest.raises(ConfigurationError, match="of a hub, not of a ConnectorManager") as excinfo,
    ):
        Outbox(MemoryOutbox()).deliver(manager)
    assert "hub" == excinfo.value.path
