"""Clients and browsers for tests of OAuth consent, in sync and async mode."""

from __future__ import annotations

import asyncio
import inspect
from functools import cache
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from moorage import AuthorizationServer, OAuthClient, OAuthConsent, RetryPolicy

if TYPE_CHECKING:
    from tests.support.authorization_server import AuthorizationServer as Strict

REDIRECT = "https://erp.example/callback"


def endpoints(server: Strict, **changes: Any) -> AuthorizationServer:
    """Return a server's metadata as the OAuth client parses it."""
    fields: dict[str, Any] = {
        "token_endpoint": server.token_url,
        "issuer": server.issuer,
        "authorization_endpoint": server.authorize_url,
        "device_authorization_endpoint": server.device_url,
        "revocation_endpoint": server.revoke_url,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
    return AuthorizationServer(**(fields | changes))


def client_of(server: Strict, /, **changes: Any) -> OAuthClient:
    """Return the first client that is registered at an authorisation server."""
    fields: dict[str, Any] = {"server": endpoints(server), "client_id": "erp", "secret": "s3cr3t"}
    return OAuthClient(**(fields | changes))


class AwaitedConsent:
    """An OAuth consent in sync or async mode; asynchronous methods are run to their end."""

    def __init__(self, mode: str, client: OAuthClient, **ports: Any) -> None:
        self.mode = mode
        self.part = OAuthConsent(client, **ports)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.part, name)
        if self.mode == "async":
            method = getattr(self.part, f"a{name}", method)
        if not inspect.iscoroutinefunction(method):
            return method

        def at_once(*args: Any, **kwargs: Any) -> Any:
            return asyncio.run(method(*args, **kwargs))

        return at_once


IN_BOTH = pytest.mark.parametrize("mode", ["sync", "async"])


def open_page(url: str) -> str:
    """Open a page like a browser, and return its redirect without following it."""
    parts = urlsplit(url)
    link = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        link.request("GET", f"{parts.path}?{parts.query}")
        answer = link.getresponse()
        answer.read()
        assert 302 == answer.status
        return answer.headers["Location"]
    finally:
        link.close()


def query_of(url: str) -> dict[str, str]:
    """Return the parameters of a URL, each of which must occur once."""
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}


def async_consent(mode: str, server: Strict, /, **changes: Any) -> AwaitedConsent:
    """Return an asynchronous OAuth consent for the server's first client."""
    ports = {"retry": RetryPolicy(max_attempts=3, base_delay=0.001)}
    return AwaitedConsent(mode, client_of(server, **changes), **ports)


@cache
def proof_key() -> str:
    """Return a key for proofs of possession, the same for all tests."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )
