"""Operations that are executed from their declarations."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from moorage import Account, Hub, Ref
from moorage.contracts.payments import PaymentQuery
from moorage.contracts.routes import RoutingRequest, shared_request
from moorage.contracts.sms import SmsCapability, SmsMessage, SmsReceipt, SmsStatus
from moorage.contracts.vendor import Vendor
from moorage.domain.service.settings import Service
from moorage.services.contracts.payments import PaymentsFlows
from moorage.services.contracts.sms import SmsFlows
from tests.contracts.recording_dispatcher import TIME, OperationCall, record_operation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from moorage.contracts.wire import Wire

NUMBER = "+4915112345678"
TEXT = SmsMessage(to=NUMBER, text="Hello")

EQUAL_CALLS: dict[str, tuple[OperationCall, tuple[Any, ...]]] = {
    "positional": (
        lambda flows: flows.validate_number(NUMBER, timeout=TIME),
        ("validate_number", NUMBER, {"country": None}),
    ),
    "by keyword": (
        lambda flows: flows.validate_number(number=NUMBER, timeout=TIME),
        ("validate_number", NUMBER, {"country": None}),
    ),
    "every option": (
        lambda flows: flows.validate_number(NUMBER, country="DE", timeout=TIME),
        ("validate_number", NUMBER, {"country": "DE"}),
    ),
    "key by default": (
        lambda flows: flows.send(message=TEXT, timeout=TIME),
        ("send", TEXT, {"key": None}),
    ),
}


@pytest.mark.parametrize("name", EQUAL_CALLS)
def test_vendor_gets_all_arguments(name: str) -> None:
    """The vendor gets every declared argument of an operation, including defaults."""
    use, arguments = EQUAL_CALLS[name]

    assert arguments == record_operation(SmsFlows, use).told


def test_equal_requests_are_made_once() -> None:
    """Operations with the same routing properties share one request object."""
    request = shared_request("sms", "send", "acme", frozenset({"media"}), "DE", None)

    assert request is shared_request("sms", "send", "acme", frozenset({"media"}), "DE", None)
    assert (
        RoutingRequest(
            kind="sms", operation="send", tenant="acme", needs=frozenset({"media"}), country="DE"
        )
        == request
    )
    assert "sms.send" == request.full_name


START = Ref("post", "post", "7")
QUERY = PaymentQuery(limit=5)

PAGES: dict[str, tuple[OperationCall, tuple[Any, ...]]] = {
    "first page": (
        lambda flows: flows.payouts(timeout=TIME),
        ("payouts", PaymentQuery(), None, {}),
    ),
    "next page": (
        lambda flows: flows.payouts(QUERY, after=str(START), timeout=TIME),
        ("payouts", QUERY, START, {}),
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_vendor_gets_the_start_of_a_page(name: str) -> None:
    """If a caller asks for a page of a list, the vendor gets the filter and the parsed cursor."""
    use, arguments = PAGES[name]

    assert arguments == record_operation(PaymentsFlows, use).told


RECEIPT = SmsReceipt(ref=Ref("post", "post", "1"), status=SmsStatus.SENT)


@attrs.frozen(kw_only=True)
class RequestlessVendor(Vendor):
    """A fictional vendor that answers without sending a request."""

    name: ClassVar[str] = "post"
    kinds: ClassVar[tuple[str, ...]] = ("sms",)
    capabilities: ClassVar[frozenset[str]] = frozenset({SmsCapability.LOOK_UP})

    def services(self) -> Mapping[str, Service]:
        """Return one service; no test calls it."""
        return {"": Service("post", "https://post.example", retry=None)}

    async def send(self, _: Wire, __: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Return a fixed receipt."""
        assert key is None
        return RECEIPT

    async def get(self, _: Wire, __: Ref, /) -> SmsReceipt:
        """Return a fixed receipt."""
        return RECEIPT


def calls_of(use: Callable[[], Any]) -> int:
    """Return how many Python functions are called when an operation is executed again."""
    calls: list[str] = []

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)

    use()
    previous_profile = sys.getprofile()
    sys.setprofile(count)
    try:
        use()
    finally:
        sys.setprofile(previous_profile)
    return len(calls)


def test_declared_operations_take_few_calls() -> None:
    """A declared operation calls few Python functions."""
    with closing(Hub([Account("post", RequestlessVendor())])) as hub:
        sms = hub.sms()
        calls = {
            "get": calls_of(lambda: sms.get(RECEIPT.ref)),
            "send": calls_of(lambda: sms.send(TEXT)),
        }

    assert calls["get"] <= 26, calls
    assert calls["send"] <= 40, calls
