"""The operations page of the Flask extension."""

from __future__ import annotations

import re

import pytest

from moorage import CircuitState, ConfigurationError
from moorage.dashboard import ALL_ACTS, READ_ONLY, Person
from tests.dashboard.world import form_of
from tests.embedding.flask.shop import Shop

ACT = "/moorage/operations/acts/circuit-open"


def test_page_is_absent_without_people(database_url: str) -> None:
    """Without a function that knows people there is no page; a stranger is refused."""
    shop = Shop(database_url)
    shop.moored.migrate()
    assert 404 == shop.client().get("/moorage/operations/").status_code
    shop.close()
    stranger = Shop(database_url, PERSON=lambda: None)
    assert 403 == stranger.client().get("/moorage/operations/").status_code
    stranger.close()


@pytest.mark.parametrize("secret", ["a secret key of the shop", b"a secret key of the shop"])
def test_known_person_reads_and_acts(database_url: str, secret: str | bytes) -> None:
    """Every page is shown, and an act needs a form of the page."""
    shop = Shop(database_url, PERSON=lambda: Person("ann", ALL_ACTS), FOUR_EYES=False)
    shop.moored.migrate()
    shop.app.secret_key = secret
    client = shop.client()
    page = client.get("/moorage/operations/").text
    for link in set(re.findall('href="(/[^"]*)"', page)):
        assert link.startswith("/moorage/operations/")
        assert 200 == client.get(link.replace("&amp;", "&")).status_code, link
    assert 404 == client.get("/moorage/operations/nowhere").status_code
    form = {**form_of(client.get(f"{ACT}?service=stripe").text), "reason": "a test"}
    assert 403 == client.post(ACT, data={"service": "stripe", "reason": "x"}).status_code
    sent = client.post(ACT, data=form)
    assert 303 == sent.status_code
    assert "is forced_open now." in client.get(sent.headers["Location"]).text
    state = shop.moorage.hub.manager.circuit_state("stripe").state
    assert CircuitState.FORCED_OPEN is state
    shop.close()


def test_reader_does_not_act(database_url: str) -> None:
    """A person without acts gets no confirmation."""
    shop = Shop(database_url, PERSON=lambda: Person("vera", READ_ONLY))
    shop.moored.migrate()
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
