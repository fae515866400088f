"""Bulk responses that cannot be read, and responses that may be empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest

from moorage import Hub
from moorage.contracts.email import EmailMessage
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.people import PersonChanges
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account, Route
from moorage.domain.http.requests import Response
from moorage.domain.values.result import Result
from moorage.errors import VendorFailed
from moorage.testing.fakes.http import ScriptedIncoming
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.vendor_sdk import Answer, check_done, malformed
from moorage.vendors.email._common import check_some_readable
from moorage.vendors.email.amazon_ses import read_entries, read_entry
from moorage.wiring.installed_vendors import vendor_class

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Request, Timeouts

ANSWER = Response(200)
UNREAD: Result[Any] = Result(error=malformed(ANSWER))


class Wire:
    """A stand-in for an account: it makes the references that a response parser needs."""

    account = "main"

    def ref(self, id: str, /, **_: object) -> Ref:
        """Return a reference with the given id."""
        return Ref("amazon_ses", "main", id)


def test_wholly_unreadable_bulk_is_unknown() -> None:
    """If no result of a bulk can be read, its outcome is unknown."""
    with pytest.raises(VendorFailed):
        check_some_readable([UNREAD, UNREAD], ANSWER)

    check_some_readable([UNREAD, Result[Any](None)], ANSWER)


def test_entries_without_a_status_are_unknown() -> None:
    """If the entries of an Amazon SES bulk have no status, its outcome is unknown."""
    wire: Any = Wire()
    people = [BulkRecipient(to=f"{name}@example.com") for name in ("ada", "bob")]
    base = EmailMessage(subject="Hello", text="Hello")
    bulk = BulkMessage(base=base, recipients=people)

    with pytest.raises(VendorFailed):
        read_entries(wire, bulk, reply({"BulkEmailEntryResults": [{}, {}]}))

    assert isinstance(read_entry(wire, Answer({}), ()).error, VendorFailed)


def test_answer_without_read_fields_is_no_page_or_list() -> None:
    """A success whose content is not needed may be empty or an object, but not HTML or a list."""
    check_done(Response(202))
    check_done(reply({"id": "tr_1"}))
    with pytest.raises(VendorFailed):
        check_done(Response(200, body=b"<html></html>"))
    with pytest.raises(VendorFailed):
        check_done(reply([]))


class ProxyHttpClient(SandboxHttpClient):
    """A sandbox's HTTP client that returns a proxy's HTML page as the response to each write."""

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Return an HTML page for each write.

        Return the sandbox's response for reads and tokens.
        """
        if request.method.safe or "/token" in url:
            return super().send(request, url, timeouts)
        return Response(200, {"Content-Type": "text/html"}, b"<html>Please sign in.</html>")

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> ScriptedIncoming:
        """Return the response of `send` as a stream."""
        return ScriptedIncoming(self.send(request, url, timeouts))


KING = PersonChanges(family_name="King")


@pytest.mark.parametrize(
    "name, contract, calls",
    [
        ("berlin_group", "bank", {"revoke_consent": ()}),
        ("gocardless", "bank", {"revoke_consent": ()}),
        ("dropbox_sign", "signatures", {"void": ()}),
        *(
            (
                name,
                "people",
                {
                    "delete": (),
                    "change": (KING,),
                    "add_member": (f"{name}:{name}:ada@example.com",),
                    "remove_member": (f"{name}:{name}:ada@example.com",),
                },
            )
            for name in ("scim", "google_workspace", "entra")
        ),
    ],
)
def test_page_of_a_proxy_is_no_success(
    name: str, contract: str, calls: dict[str, tuple[object, ...]], tmp_path: Path
) -> None:
    """If the response to a write is an HTML page, the write does not count as done."""
    fixture, kind = fixture_of(name, tmp_path), cast("Any", vendor_class(name))
    fields = {field.name for field in attrs.fields(kind)}
    vendor = kind(**{key: value for key, value in fixture.options.items() if key in fields})
    account = Account(name, vendor, settings={"retry": None, "circuit": None})
    assert fixture.sandbox is not None
    client = ProxyHttpClient(fixture.sandbox)
    with Hub([account], routes=[Route(contract, [name])], http=client) as hub:
        for operation, arguments in calls.items():
            call = getattr(getattr(hub, contract)(), operation)
            with pytest.raises(VendorFailed):
                call(f"{name}:{name}:1", *arguments)
    fixture.close()
