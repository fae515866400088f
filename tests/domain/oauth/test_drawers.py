"""Where the tokens of a client are kept that somebody else may take the place of."""

from __future__ import annotations

from moorage import Consent, OAuthClient, Secret
from moorage.domain.oauth.drawers import drawer_of, tenant_of

SERVER = "https://auth.example/token"


def test_another_client_has_another_drawer() -> None:
    """What tells a client from another tells their drawers apart; its password does not."""
    one = OAuthClient(server=SERVER, client_id="one", secret=Secret("a"))
    rotated = OAuthClient(server=SERVER, client_id="one", secret=Secret("b"))
    others = [
        OAuthClient(server=SERVER, client_id="two", secret=Secret("a")),
        OAuthClient(server="https://other.example/token", client_id="one", secret=Secret("a")),
        OAuthClient(server=SERVER, client_id="one", secret=Secret("a"), scope="more"),
        OAuthClient(
            server=SERVER, client_id="one", secret=Secret("a"), parameters={"audience": "x"}
        ),
    ]

    assert drawer_of(one) == drawer_of(rotated)
    assert 5 == len({drawer_of(each) for each in (one, *others)})


def test_what_a_person_consented_to_is_found_by_its_name() -> None:
    """Consent is kept where whoever asked for it put it."""
    assert drawer_of(OAuthClient(server=SERVER, client_id="one", grant=Consent())) is None


def test_whose_a_drawer_is() -> None:
    """A drawer is a tenant's, or a client's and then no tenant's."""
    drawer = drawer_of(OAuthClient(server=SERVER, client_id="one", secret=Secret("a")))

    assert drawer is not None
    assert len("client 0123456789abcdef") == len(drawer)
    assert ["acme", None, None] == [tenant_of(one) for one in ("acme", None, drawer)]
