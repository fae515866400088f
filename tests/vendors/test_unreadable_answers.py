"""Responses to a bulk that cannot be read, and responses that may be empty."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.contracts.email import EmailMessage
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.domain.values.result import Result
from moorage.errors import VendorFailed
from moorage.testing.sandboxes.base import reply
from moorage.vendor_sdk import Answer, malformed
from moorage.vendors.email._common import check_some_readable
from moorage.vendors.email.amazon_ses import read_entries, read_entry
from moorage.vendors.payments.mollie import _check_released

ANSWER = Response(200)
UNREAD: Result[Any] = Result(error=malformed(ANSWER))


class Wire:
    """Makes references, which is all that a parser needs of a wire."""

    account = "main"

    def ref(self, id: str, /, **_: object) -> Ref:
        """Return a reference with this id."""
        return Ref("amazon_ses", "main", id)


def test_wholly_unreadable_bulk_is_lost() -> None:
    """A bulk without any readable result has an unknown outcome."""
    with pytest.raises(VendorFailed):
        check_some_readable([UNREAD, UNREAD], ANSWER)

    check_some_readable([UNREAD, Result[Any](None)], ANSWER)


def test_entries_without_a_status_are_lost() -> None:
    """A bulk at Amazon SES whose entries have no status has an unknown outcome."""
    wire: Any = Wire()
    people = [BulkRecipient(to=f"{name}@example.com") for name in ("ada", "bob")]
    base = EmailMessage(subject="Hello", text="Hello")
    bulk = BulkMessage(base=base, recipients=people)

    with pytest.raises(VendorFailed):
        read_entries(wire, bulk, reply({"BulkEmailEntryResults": [{}, {}]}))

    assert isinstance(read_entry(wire, Answer({}), ()).error, VendorFailed)


def test_release_need_not_say_anything() -> None:
    """Mollie's response to a release may be empty, but must not be an HTML page."""
    _check_released(Response(202))
    _check_released(reply({"id": "tr_1"}))
    with pytest.raises(VendorFailed):
        _check_released(Response(200, body=b"<html></html>"))
