"""The operations page of the Flask extension."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from moorage import CircuitState, ConfigurationError, Money
from moorage.contracts.payments import Charge
from moorage.dashboard import ALL_ACTS, READ_ONLY, Person
from moorage.hub.audit import AuditTrail
from moorage.wiring.store_urls import open_audit
from tests.dashboard.harness import form_of
from tests.embedding.flask.shop import Shop

if TYPE_CHECKING:
    from pathlib import Path

ACT = "/moorage/operations/acts/circuit-open"


def test_page_needs_a_function_that_identifies_users(database_url: str) -> None:
    """Without a function that identifies users there is no page; unknown visitors are refused."""
    shop = Shop(database_url)
    shop.objects.migrate()
    assert 404 == shop.client().get("/moorage/operations/").status_code
    shop.close()
    shop_without_permission = Shop(database_url, PERSON=lambda: None)
    assert 403 == shop_without_permission.client().get("/moorage/operations/").status_code
    shop_without_permission.close()


@pytest.mark.parametrize("secret", ["a secret key of the shop", b"a secret key of the shop"])
def test_known_person_reads_and_acts(database_url: str, secret: str | bytes) -> None:
    """A logged-in user can read every page; an action needs a form that the page created."""
    shop = Shop(database_url, PERSON=lambda: Person("ann", ALL_ACTS), FOUR_EYES=False)
    shop.objects.migrate()
    shop.app.secret_key = secret
    client = shop.client()
    page = client.get("/moorage/operations/").text
    for link in set(re.findall('href="(/[^"]*)"', page)):
        assert link.startswith("/moorage/operations/")
        assert 200 == client.get(link.replace("&amp;", "&")).status_code, link
    assert 404 == client.get("/moorage/operations/nowhere").status_code
    form = {**form_of(client.get(f"{ACT}?service=stripe").text), "reason": "a test"}
    assert 403 == client.post(ACT, data={"service": "stripe", "reason": "x"}).status_code
    act_response = client.post(ACT, data=form)
    assert 303 == act_response.status_code
    assert "is forced_open now." in client.get(act_response.headers["Location"]).text
    state = shop.moorage.hub.manager.circuit_state("stripe").state
    assert CircuitState.FORCED_OPEN is state
    shop.close()


def test_incomplete_form_is_refused(database_url: str) -> None:
    """A form whose end did not arrive does nothing, even if the server reports no error."""
    shop = Shop(database_url, PERSON=lambda: Person("ann", ALL_ACTS))
    shop.objects.migrate()
    shop.app.secret_key = "a secret key of the shop"
    form = {**form_of(shop.client().get(f"{ACT}?service=stripe").text), "reason": "a long test"}
    body = urlencode(form).encode()
    as_under_gunicorn = {"CONTENT_LENGTH": str(len(body)), "wsgi.input_terminated": True}
    response = shop.client().post(
        ACT,
        input_stream=BytesIO(body[:-5]),
        content_type="application/x-www-form-urlencoded",
        environ_overrides=as_under_gunicorn,
    )
    assert 403 == response.status_code
    state = shop.moorage.hub.manager.circuit_state("stripe").state
    assert CircuitState.CLOSED is state
    shop.close()


def test_reader_does_not_act(database_url: str) -> None:
    """A user without permitted actions gets no confirmation page."""
    shop = Shop(database_url, PERSON=lambda: Person("vera", READ_ONLY))
    shop.objects.migrate()
    shop.app.secret_key = "a secret key of the shop"
    assert 403 == shop.client().get(f"{ACT}?service=stripe").status_code
    shop.close()


def test_forms_need_a_secret_key(database_url: str) -> None:
    """Without a secret key the page is refused, because its forms could be forged."""
    shop = Shop(database_url, PERSON=lambda: Person("ann", ALL_ACTS))
    shop.app.testing = True
    with pytest.raises(ConfigurationError, match="no secret key"):
        shop.client().get("/moorage/operations/")
    shop.close()


def test_acts_are_recorded_once_with_the_person(database_url: str, tmp_path: Path) -> None:
    """Each action is in the audit trail once, with the user's name; charts show the calls."""
    audit = f"sqlite:///{tmp_path}/audit.db"
    shop = Shop(database_url, PERSON=lambda: Person("ann", ALL_ACTS))
    shop.app.config["MOORAGE"]["CONFIGURATION"] |= {
        "audit": {"url": audit},
        "metrics": {"url": "memory:"},
    }
    shop.objects.migrate()
    shop.app.secret_key = "a secret key of the shop"
    client = shop.client()
    order = Charge(Money("1.00", "EUR"), "pm_card_visa", reference="INV-2")
    entry = shop.moorage.outbox.put("payments", "charge", order)
    shop.sessions.commit()
    drop = f"/moorage/operations/acts/entry-drop?box=outbox&id={entry.id}"
    for link in (f"{ACT}?service=stripe", drop):
        form = {**form_of(client.get(link).text), "reason": "a test"}
        assert 303 == client.post(link.partition("?")[0], data=form).status_code
    assert "The last 6 hours" in client.get("/moorage/operations/").text
    shop.close()
    with open_audit(audit) as store:
        records = [(item.actor, item.act) for item in AuditTrail(store).find().items]
    assert [("ann", "outbox.drop"), ("ann", "circuit.open")] == records
