"""Opt-outs at Amazon SNS and Bird."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

import moorage
from moorage import Response, VendorFailed, VendorRejected
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient, reply

if TYPE_CHECKING:
    from pathlib import Path

TO, SENDER, OTHER_SENDER = "+15550001234", "+15557654321", "+15557654322"


def hub_of(vendor: str, folder: Path) -> tuple[Any, Any]:
    """Return a vendor's sandbox, and a hub with an account there."""
    fixture = fixture_of(vendor, folder)
    assert fixture.sandbox is not None
    http = SandboxHttpClient(fixture.sandbox)
    return fixture.sandbox, moorage.open({"vendors": {vendor: fixture.options}}, http=http)


def all_numbers(hub: Any) -> list[str]:
    """Return the phone numbers on all pages."""
    page = hub.sms().opt_outs()
    numbers = [opt_out.number for opt_out in page.items]
    while page.next is not None:
        page = hub.sms().opt_outs(after=str(page.next))
        numbers += [opt_out.number for opt_out in page.items]
    return numbers


def test_sns_names_its_actions(tmp_path: Path) -> None:
    """Each operation calls its SNS action, with field names that begin with a small letter."""
    sandbox, hub = hub_of("amazon_sns", tmp_path)
    sandbox.opted_out = [TO]
    before = [opt_out.number for opt_out in hub.sms().find_opt_outs(TO)]
    hub.sms().remove_opt_out(TO)
    after = hub.sms().find_opt_outs(TO)

    assert ([TO], ()) == (before, after)
    question = {"Action": "CheckIfPhoneNumberIsOptedOut", "phoneNumber": TO}
    opt_in = {"Action": "OptInPhoneNumber", "phoneNumber": TO}
    forms = [dict(parse_qsl(request.body.decode())) for request in sandbox.requests]
    version = {"Version": "2010-03-31"}
    assert [question | version, opt_in | version, question | version] == forms


def test_pages_of_sns(tmp_path: Path) -> None:
    """Each phone number of a long list at SNS is on exactly one page."""
    sandbox, hub = hub_of("amazon_sns", tmp_path)
    sandbox.opted_out = [f"+1555000{number:04d}" for number in range(201)]

    assert sandbox.opted_out == all_numbers(hub)


def test_pages_of_bird(tmp_path: Path) -> None:
    """Each phone number of a long list at Bird is on exactly one page."""
    sandbox, hub = hub_of("bird", tmp_path)
    numbers = [f"+1555000{number:04d}" for number in range(101)]
    sandbox.opt_outs = {(number, SENDER): "keyword_stop" for number in numbers}

    assert numbers == all_numbers(hub)


def test_bird_tells_the_sender(tmp_path: Path) -> None:
    """An opt-out at Bird has its sender, reason and time."""
    sandbox, hub = hub_of("bird", tmp_path)
    sandbox.opt_outs = {(TO, SENDER): "manual", (OTHER_SENDER, SENDER): "manual"}
    [opt_out] = hub.sms().find_opt_outs(TO)

    assert (TO, SENDER, "manual") == (opt_out.number, opt_out.sender, opt_out.vendor_reason)
    assert 2031 == opt_out.at.year
    assert TO[1:] not in repr(opt_out)


def test_bird_removes_each_sender(tmp_path: Path) -> None:
    """Removing a number's opt-outs removes them for all senders, and for no other number."""
    sandbox, hub = hub_of("bird", tmp_path)
    sandbox.opt_outs = {(TO, SENDER): "manual", (TO, OTHER_SENDER): "manual"}
    sandbox.opt_outs |= {("+15550009999", SENDER): "manual"}
    hub.sms().remove_opt_out(TO)

    assert {("+15550009999", SENDER): "manual"} == sandbox.opt_outs


def test_bird_keeps_an_opt_out_by_text_message(tmp_path: Path) -> None:
    """Bird refuses to remove an opt-out that the phone's owner made by text message."""
    sandbox, hub = hub_of("bird", tmp_path)
    sandbox.opt_outs = {(TO, SENDER): "keyword_stop"}
    with pytest.raises(VendorRejected):
        hub.sms().remove_opt_out(TO)


@pytest.mark.parametrize(
    "vendor, answer",
    [
        ("amazon_sns", Response(200, body=b"<html></html>")),
        ("amazon_sns", Response(200, body=b"none")),
        ("bird", reply({"data": [{"originator": SENDER}]})),
        ("bird", reply({})),
        ("bird", reply({"data": {}})),
        ("bird", reply({"data": [TO]})),
    ],
)
def test_malformed_lists_are_errors(vendor: str, answer: Response, tmp_path: Path) -> None:
    """A response without a list of numbers is an error, not an empty list."""
    for operation in ("opt_outs", "find_opt_outs"):
        sandbox, hub = hub_of(vendor, tmp_path)
        sandbox.fail(answer)
        arguments = [TO] if operation == "find_opt_outs" else []
        with pytest.raises(VendorFailed):
            getattr(hub.sms(), operation)(*arguments)


@pytest.mark.parametrize("answer", ["", "<isOptedOut>perhaps</isOptedOut>"])
def test_answer_of_sns_about_a_number_is_yes_or_no(answer: str, tmp_path: Path) -> None:
    """An SNS response that is neither true nor false is an error."""
    sandbox, hub = hub_of("amazon_sns", tmp_path)
    name = "CheckIfPhoneNumberIsOptedOut"
    text = f"<{name}Response><{name}Result>{answer}</{name}Result></{name}Response>"
    sandbox.fail(Response(200, {"Content-Type": "text/xml"}, text.encode()))
    with pytest.raises(VendorFailed, match="isOptedOut"):
        hub.sms().find_opt_outs(TO)


def test_opt_in_needs_an_id(tmp_path: Path) -> None:
    """An opt-out that Bird lists without an id cannot be removed, so an error is raised."""
    sandbox, hub = hub_of("bird", tmp_path)
    sandbox.fail(reply({"data": [{"destination": TO}]}))
    with pytest.raises(VendorFailed, match="id"):
        hub.sms().remove_opt_out(TO)
