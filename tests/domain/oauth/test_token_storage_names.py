"""The storage names of OAuth tokens that a client can request again at any time."""

from __future__ import annotations

from moorage import Consent, OAuthClient, RefreshToken, Secret
from moorage.domain.oauth.token_store_names import tenant_of, token_store_name

SERVER = "https://auth.example/token"


def test_storage_name_depends_on_all_but_the_secret() -> None:
    """A token's storage name depends on every setting of its client but the password."""
    client = OAuthClient(server=SERVER, client_id="one", secret=Secret("a"))
    rotated_client = OAuthClient(server=SERVER, client_id="one", secret=Secret("b"))
    other_clients = [
        OAuthClient(server=SERVER, client_id="two", secret=Secret("a")),
        OAuthClient(server="https://other.example/token", client_id="one", secret=Secret("a")),
        OAuthClient(server=SERVER, client_id="one", secret=Secret("a"), scope="more"),
        OAuthClient(
            server=SERVER, client_id="one", secret=Secret("a"), parameters={"audience": "x"}
        ),
    ]

    assert token_store_name(client) == token_store_name(rotated_client)
    assert 5 == len({token_store_name(other_client) for other_client in (client, *other_clients)})


def test_storage_name_depends_on_a_refresh_token() -> None:
    """Each refresh token is stored under its own name, which does not reveal the token."""
    names = [
        token_store_name(OAuthClient(server=SERVER, client_id="one", grant=RefreshToken(token)))
        for token in ("canary-1", "canary-1", "canary-2")
    ]

    assert names[0] == names[1] != names[2]
    assert "canary" not in f"{names}"


def test_consent_has_no_storage_name() -> None:
    """Tokens from a user's consent have no derived storage name: the caller names them."""
    assert token_store_name(OAuthClient(server=SERVER, client_id="one", grant=Consent())) is None


def test_token_storage_name_belongs_to_tenant() -> None:
    """A token's storage name belongs to a tenant, or to a client without a tenant."""
    store_name = token_store_name(OAuthClient(server=SERVER, client_id="one", secret=Secret("a")))

    assert store_name is not None
    assert len("client 0123456789abcdef") == len(store_name)
    assert ["acme", None, None] == [tenant_of(name) for name in ("acme", None, store_name)]
