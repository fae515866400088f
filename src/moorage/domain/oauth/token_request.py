"""Requests of an authenticated client to an authorisation server."""

from __future__ import annotations

from binascii import b2a_base64
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

from moorage.domain.http.requests import Request
from moorage.domain.oauth.client import ClientAuthentication
from moorage.domain.oauth.grants import JwtBearer, extra_parameters
from moorage.domain.signing.dpop import proof
from moorage.domain.signing.jwt import JwtSigning

if TYPE_CHECKING:
    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.grants import Parameters
    from moorage.domain.signing.context import SigningContext

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME: Final = timedelta(minutes=1)


def token_request(
    client: OAuthClient,
    parameters: Parameters,
    context: SigningContext,
    *,
    endpoint: str = "token_endpoint",
    nonce: str | None = None,
) -> tuple[Request, str]:
    """Return an authenticated client's request with these parameters, and its URL.

    `context` is unique to this request, since no assertion or proof is ever sent twice. `nonce`
    is the value that the server requires in a proof.
    """
    url = client.at(endpoint)
    form = [*parameters, *extra_parameters(client.parameters)]
    headers = {"Accept": "application/json"}
    secret, authentication = client.secret, client.authentication
    if secret is not None and authentication is ClientAuthentication.BASIC:
        # RFC 6749, section 2.3.1: both values are form-encoded first.
        pair = f"{quote_plus(client.client_id)}:{quote_plus(secret.reveal())}".encode()
        headers["Authorization"] = f"Basic {b2a_base64(pair, newline=False).decode()}"
    elif not _has_assertion(client):
        form.append(("client_id", client.client_id))
    if secret is not None and authentication is ClientAuthentication.POST:
        form.append(("client_secret", secret.reveal()))
    if secret is not None and client.uses_assertions:
        signing = JwtSigning(
            algorithm=client.assertion_algorithm,
            issuer=client.client_id,
            subject=client.client_id,
            audience=client.server.token_endpoint,
            lifetime=_LIFETIME,
            key_id=client.key_id,
        )
        form.append(("client_assertion_type", _ASSERTION))
        form.append(("client_assertion", signing.token(secret, context).reveal()))
    if client.dpop_key is not None and endpoint == "token_endpoint":
        shown_secret = proof(client.dpop_key, "POST", url, context, nonce=nonce)
        headers["DPoP"] = shown_secret.reveal()
    return Request.post("/", form=_server_parameters(client, form), headers=headers), url


def _server_parameters(client: OAuthClient, form: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return parameters with this server's names for them, without unsupported ones."""
    names = client.server.own_names
    named_fields = [(names.get(name, name), value) for name, value in form] if names else form
    return [(name, value) for name, value in named_fields if name]


def _has_assertion(client: OAuthClient) -> bool:
    """Return whether the grant's assertion also authenticates the client (RFC 7521, 4.1)."""
    return client.authentication is ClientAuthentication.NONE and isinstance(
        client.grant, JwtBearer
    )


def wanted_scope(client: OAuthClient) -> Parameters:
    """Return the scope parameter of a request; nothing if no scope is configured."""
    return (("scope", " ".join(client.scope)),) if client.scope else ()
