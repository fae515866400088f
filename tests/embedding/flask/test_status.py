"""The status page of the Flask extension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage import Money
from moorage.contracts.payments import Charge
from moorage.hub.inbox import EntryQuery, EntryState
from tests.embedding.flask.shop import Shop
from tests.embedding.flask.test_webhooks import charge

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def guarded(database_url: str) -> Iterator[Shop]:
    """A shop with a guarded status page."""
    shop = Shop(database_url, GUARD=lambda: True)
    shop.moored.migrate()
    yield shop
    shop.close()


def refused_call(shop: Shop) -> str:
    """Defer a call that the vendor refuses, and return its id."""
    order = Charge(Money("1.00", "EUR"), "pm_card_chargeDeclined", reference="INV-<2>")
    entry = shop.moorage.outbox.put("payments", "charge", order)
    shop.sessions.commit()
    shop.moorage.outbox.deliver(shop.moorage.hub)
    return entry.id


def state_of(shop: Shop, id: str) -> EntryState:
    """Return the state of an entry."""
    (result,) = shop.moorage.outbox.find(EntryQuery(id=id)).items
    return result.state


def test_status_page(guarded: Shop) -> None:
    """The page lists each service, the latest calls, and the calls that wait for a person."""
    charge(guarded)
    refused_call(guarded)
    answer = guarded.client().get("/moorage/status")

    assert 200 == answer.status_code
    assert '<th scope="row">stripe</th><td>closed</td>' in answer.text
    assert "Do again" in answer.text
    assert "http" not in answer.text


@pytest.mark.parametrize(
    "verb, expected", [("replay", EntryState.WAITING), ("drop", EntryState.DROPPED)]
)
def test_person_settles_a_call(verb: str, expected: EntryState, guarded: Shop) -> None:
    """A person repeats or cancels a call that waits for a decision."""
    entry = refused_call(guarded)
    answer = guarded.client().post(f"/moorage/status/outbox/{entry}/{verb}")

    assert 303 == answer.status_code
    assert expected is state_of(guarded, entry)


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}]
)
def test_cross_site_form_is_refused(headers: dict[str, str], guarded: Shop) -> None:
    """A form that another site submits does nothing."""
    entry = refused_call(guarded)
    answer = guarded.client().post(f"/moorage/status/outbox/{entry}/replay", headers=headers)

    assert 403 == answer.status_code
    assert EntryState.DEAD is state_of(guarded, entry)


def test_status_page_needs_a_guard(sqlite_url: str) -> None:
    """Without a guard there is no page, and the guard keeps others out."""
    shops = Shop(sqlite_url), Shop(sqlite_url, GUARD=lambda: False)
    answers = [shop.client().get("/moorage/status").status_code for shop in shops]
    for shop in shops:
        shop.close()

    assert [404, 403] == answers


def test_status_page_without_data() -> None:
    """The page of an application without calls and database says so."""
    shop = Shop(GUARD=lambda: True, volatile=True)
    client = shop.client()
    answer = client.get("/moorage/status")

    assert "<p>Nothing.</p>" in answer.text
    assert 404 == client.post("/moorage/status/outbox/1/replay").status_code
    shop.close()
