"""Whether a 429 and a bare 409 prove, at each vendor, that the request was not carried out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import pytest

from moorage import IdempotencyInProgress, RateLimitExceeded, Request, Response, VendorRejected
from moorage.domain.resilience.classify import classify
from moorage.domain.resilience.health import may_have_acted
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from moorage import ConnectorError

OVER_HTTP: Final = sorted(set(vendor_names()) - {"smtp", "local_files"})
WITH_KEYS: Final = {"adyen", "bird", "mollie", "paypal", "resend", "square", "stripe"}
BODIES: Final = {
    "empty": ("text/plain", b""),
    "bare": ("application/json", b"{}"),
    "proxy": ("text/html", b"<html>Slow down.</html>"),
}
PAGE: Final = Path(__file__).parents[2] / "docs" / "explanation" / "http-failures.md"
at_each = pytest.mark.parametrize("name", OVER_HTTP)
with_each = pytest.mark.parametrize("body", BODIES)


def judged(name: str, status: int, body: str, folder: Path) -> list[ConnectorError]:
    """The errors that an answer to a POST means at each of a vendor's services."""
    kind, content = BODIES[body]
    request, response = Request.post("/"), Response(status, {"Content-Type": kind}, content)
    vendor, fixture = cast("Any", vendor_class(name)), fixture_of(name, folder)
    fields = {field.name for field in attrs.fields(vendor)}
    made = vendor(**{key: value for key, value in fixture.options.items() if key in fields})
    errors: list[ConnectorError] = []
    for service in made.services().values():
        found = service.classify(request, response) if service.classify else None
        keyed = service.idempotency_memory is not None and service.idempotency_replays
        found = found or classify(response, safe=False, keyed=keyed)
        assert found is not None
        errors.append(found)
    fixture.close()
    return errors


@at_each
@with_each
def test_429_proves_that_nothing_was_done(name: str, body: str, tmp_path: Path) -> None:
    """Each vendor turns requests away before it acts, so a key is free and a route goes on."""
    for error in judged(name, 429, body, tmp_path):
        assert isinstance(error, RateLimitExceeded)
        assert error.by_vendor
        assert not may_have_acted(error)


@at_each
@with_each
def test_bare_409_refuses_unless_a_key_may_be_in_use(name: str, body: str, tmp_path: Path) -> None:
    """Without a reason it may be about an earlier request, where the vendor honours keys."""
    for error in judged(name, 409, body, tmp_path):
        kind = IdempotencyInProgress if name in WITH_KEYS else VendorRejected
        assert kind is type(error)
        assert may_have_acted(error) == (name in WITH_KEYS)


def test_vendors_with_keys_are_listed() -> None:
    """Each vendor that honours keys has its 409 judged."""
    assert WITH_KEYS == {name for name in OVER_HTTP if vendor_class(name).idempotency is not None}


def test_page_has_a_row_for_each_vendor() -> None:
    """The page about failures has a row for each vendor."""
    assert OVER_HTTP == rows("## Turned away: 429")


def test_page_has_a_row_for_each_vendor_with_keys() -> None:
    """The page says what each vendor that honours keys documents of a key in use."""
    assert sorted(WITH_KEYS) == rows("## A conflict: 409")


def rows(title: str) -> list[str]:
    """The vendors in the table under a title of the page, in its order."""
    section = PAGE.read_text().partition(f"{title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
