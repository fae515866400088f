"""SMS operations: their requests to the dispatcher and to the vendor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from moorage import InvalidData
from moorage.contracts.routes import RoutingRequest
from moorage.contracts.sms import SmsCapability, SmsMessage
from moorage.domain.idempotency.claims import checked_key
from moorage.services.contracts.sms import SmsFlows
from tests.support.virtual_tasks import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE = SmsMessage(to="+4915112345678", text="Ready.")
READY_MESSAGE = SmsMessage(to="+4915112345678", text="Ready.", reference="r-1")


class Vendor:
    """A fake SMS vendor that returns the arguments of each method."""

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        async def return_arguments(*value: Any, **keywords: Any) -> tuple[Any, ...]:
            return verb, *value, keywords

        return return_arguments


class FakeDispatcher:
    """A fake dispatcher that records operations and runs them at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.at_once: int | None = None
        self.calling = SimpleNamespace(core=self)
        self.error: Exception | None = None

    async def execute(self, request: Any, perform: Any, **options: Any) -> Any:
        """Record the request, then raise the configured error or run the operation."""
        self.asked.append((request, options))
        if self.error is not None:
            raise self.error
        return await perform(Vendor(), "wire")

    async def execute_at(self, ref: Any, request: Any, perform: Any, **options: Any) -> Any:
        """Record the request and run the operation with the given reference."""
        self.asked.append((ref, request, options))
        return await perform(Vendor(), "wire", "found")

    def refusal(self, operation: str, recipients: Any) -> None:
        """Do nothing, so that no recipient is refused."""

    async def run_all(self, steps: Any, *, at_once: int) -> list[Any]:
        """Run the operations one after another."""
        self.at_once = at_once
        return [await step() for step in steps]


def operation_request(operation: str, *needs: str, country: str | None = None) -> RoutingRequest:
    """Return the dispatcher's request for an SMS operation."""
    return RoutingRequest(
        kind="sms", operation=operation, tenant="acme", needs=frozenset(needs), country=country
    )


@pytest.fixture
def dispatcher() -> FakeDispatcher:
    """Return a fake dispatcher."""
    return FakeDispatcher()


@pytest.fixture
def sms(dispatcher: FakeDispatcher) -> SmsFlows:
    """Return the SMS operations of one tenant, with the fake dispatcher."""
    value: Any = dispatcher
    return SmsFlows(value, "acme")


def test_idempotency_key_reaches_the_vendor(dispatcher: FakeDispatcher, sms: SmsFlows) -> None:
    """The idempotency key of a message reaches the dispatcher and the vendor."""
    response: Any = run_plain(sms.send(MESSAGE, idempotency_key="k", timeout=3.0))

    assert ("send", "wire", MESSAGE, {"key": "k"}) == response
    target = operation_request("send", *MESSAGE.needs, country="DE")
    assert [(target, {"key": "k", "timeout": 3.0})] == dispatcher.asked


def test_bulk_messages_have_their_own_keys(dispatcher: FakeDispatcher, sms: SmsFlows) -> None:
    """Each message of a bulk has a key that consists of the bulk's key and a number."""
    results = run_plain(
        sms.send_bulk([MESSAGE, READY_MESSAGE], idempotency_key="k", timeout=3.0, at_once=5)
    )

    assert [
        ("send", "wire", MESSAGE, {"key": "k/1"}),
        ("send", "wire", READY_MESSAGE, {"key": "k/2"}),
    ] == [result.unwrap() for result in results]
    assert [{"key": "k/1", "timeout": 3.0}, {"key": "k/2", "timeout": 3.0}] == [
        options for _, options in dispatcher.asked
    ]
    assert 5 == dispatcher.at_once


def test_bulk_without_a_key_sends_eight_messages_at_once(
    dispatcher: FakeDispatcher, sms: SmsFlows
) -> None:
    """A bulk without a key sends eight messages at once, and returns each failure separately."""
    dispatcher.error = ValueError("broken")
    (bulk_failure,) = run_plain(sms.send_bulk([MESSAGE]))

    assert dispatcher.error is bulk_failure.error
    assert [{"key": None, "timeout": None}] == [options for _, options in dispatcher.asked]
    assert 8 == dispatcher.at_once


def test_longest_bulk_key_gives_valid_message_keys(
    dispatcher: FakeDispatcher, sms: SmsFlows
) -> None:
    """A bulk's key may have 255 characters; the key of each message stays valid and unique."""
    run_plain(sms.send_bulk([MESSAGE, READY_MESSAGE], idempotency_key="k" * 255))
    first_key, second_key = (options["key"] for _, options in dispatcher.asked)

    assert first_key == checked_key(first_key)
    assert second_key == checked_key(second_key)
    assert first_key != second_key
    with pytest.raises(InvalidData):
        run_plain(sms.send_bulk([MESSAGE], idempotency_key="k" * 256))
    assert 2 == len(dispatcher.asked)


@pytest.mark.parametrize(
    "verb, needs", [("get", SmsCapability.LOOK_UP), ("cancel", SmsCapability.CANCEL)]
)
def test_operations_on_a_message_use_its_account(
    dispatcher: FakeDispatcher, sms: SmsFlows, verb: str, needs: SmsCapability
) -> None:
    """An operation on an existing message uses the account that sent it."""
    assert (verb, "wire", "found", {}) == run_plain(getattr(sms, verb)("ref", timeout=3.0))
    assert [
        ("ref", operation_request(verb, needs), {"key": None, "timeout": 3.0})
    ] == dispatcher.asked


def test_phone_number_is_checked(dispatcher: FakeDispatcher, sms: SmsFlows) -> None:
    """A phone number must be international, unless a country is given with it."""
    result = run_plain(sms.validate_number("0151", country="DE", timeout=3.0))
    assert ("validate_number", "wire", "0151", {"country": "DE"}) == result
    target = operation_request("validate_number", SmsCapability.VALIDATE_NUMBER, country="DE")
    assert [(target, {"key": None, "timeout": 3.0})] == dispatcher.asked
    run_plain(sms.validate_number("+33612345678"))
    run_plain(sms.validate_number("0612345678", country="fr"))
    french = operation_request("validate_number", SmsCapability.VALIDATE_NUMBER, country="FR")
    assert [french, french] == [target for target, _ in dispatcher.asked[1:]]
    with pytest.raises(InvalidData) as excinfo:
        run_plain(sms.validate_number("0151"))
    assert "number" == excinfo.value.field
    assert run_plain(sms.validate_number("+4915112345678"))


def test_balance_needs_its_capability(dispatcher: FakeDispatcher, sms: SmsFlows) -> None:
    """Reading the balance requires a vendor with the capability for it."""
    assert ("check_balance", "wire", {}) == run_plain(sms.check_balance(timeout=3.0))
    assert [
        (operation_request("check_balance", SmsCapability.BALANCE), {"key": None, "timeout": 3.0})
    ] == dispatcher.asked
