"""DPoP proofs and nonces over real connections."""

from __future__ import annotations

import pytest

from moorage import (
    AuthenticationFailed,
    ConnectorError,
    OAuthCredentials,
    Request,
)
from moorage.testing.fakes.http_server import Behaviour, ReceivedRequest, VendorServer
from tests.oauth.erp import Erp, in_sync_and_async
from tests.support.proofs import proof_key, verified_claims

ASKS = 'DPoP error="use_dpop_nonce"'


def use_bound_token(erp: Erp, *vendors: VendorServer, base: str = "") -> None:
    """Give the host a DPoP-bound token for calls to these vendors."""
    bound = OAuthCredentials(access_token="t", token_type="DPoP", dpop_key=proof_key())
    erp.use_token(bound, *(f"{vendor.url}{base}" for vendor in vendors))


def demand_for_nonce(nonce: str) -> Behaviour:
    """Return a 401 response that demands a DPoP proof with this nonce."""
    return Behaviour(401, {"WWW-Authenticate": ASKS, "DPoP-Nonce": nonce})


def received_nonces(vendor: VendorServer) -> list[str | None]:
    """Return the DPoP nonces that a server received, in order."""
    return [
        verified_claims(request.headers.get("DPoP")).get("nonce") for request in vendor.requests
    ]


@pytest.mark.parametrize("base", ["", "/v1", "/b\u00e4se/"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/rates?q=1",
        "/rates#part",
        "/st\u00fccke/\u96ea",
        "/a%2fb/%7Ec",
        "/a;v=1,2/b:c@d",
        "/.up//twice/",
        '/{curly}|"<>`^\\',
        "/%zz",
        f"/{'long/' * 1_000}?{'q' * 2_000}",
    ],
    ids=range(10),
)
@in_sync_and_async
async def test_proof_url_is_the_received_url(erp: Erp, path: str, base: str) -> None:
    """A DPoP proof has the URL that the server derives from the request."""
    with VendorServer() as vendor:
        vendor.always(lambda _: Behaviour(200))
        use_bound_token(erp, vendor, base=base)
        await erp.call(Request.get(path))
        (seen_webhook,) = vendor.requests

    received_url = f"http://{seen_webhook.headers['Host']}{seen_webhook.target.partition('?')[0]}"
    assert received_url == verified_claims(seen_webhook.headers["DPoP"])["htu"]


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
@in_sync_and_async
async def test_proof_states_the_method_on_the_wire(erp: Erp, method: str) -> None:
    """A DPoP proof states the request's method exactly as it reaches the server."""
    with VendorServer() as vendor:
        vendor.always(lambda _: Behaviour(200))
        use_bound_token(erp, vendor)
        await erp.call(getattr(Request, method)("/"))
        (seen_webhook,) = vendor.requests

    assert (
        seen_webhook.method
        == verified_claims(seen_webhook.headers["DPoP"])["htm"]
        == method.upper()
    )


@pytest.mark.parametrize(
    "nonce",
    [b"n" * 1_000_000, b"a\0b", b"a\rb", b"a\x7fb", b"\xff\xfe", b"", b"a b", b'","iat":0,"x":"'],
    ids=["1 MB", "NUL", "CR", "DEL", "Latin-1", "empty", "space", "JSON"],
)
@in_sync_and_async
async def test_hostile_nonce_is_not_repeated(erp: Erp, nonce: bytes) -> None:
    """A malformed nonce of the vendor ends the call with an error, and is never sent back."""
    head = f"HTTP/1.1 401 No\r\nConnection: close\r\nWWW-Authenticate: {ASKS}\r\n"
    with VendorServer() as vendor:
        head += "Content-Length: 0\r\nDPoP-Nonce: "
        vendor.queue(Behaviour(raw=head.encode() + nonce + b"\r\n\r\n", then="close"))
        vendor.always(lambda _: Behaviour(200))
        use_bound_token(erp, vendor)
        with pytest.raises(ConnectorError):
            await erp.call()
        assert 200 == (await erp.call()).status

        assert [None, None] == received_nonces(vendor)


@in_sync_and_async
async def test_longest_allowed_nonce_is_sent_back(erp: Erp) -> None:
    """A DPoP nonce of 2,048 characters is accepted and sent back."""
    longest = "n" * 2_048
    with VendorServer() as vendor:
        vendor.queue(demand_for_nonce(longest))
        vendor.always(lambda _: Behaviour(200))
        use_bound_token(erp, vendor)

        assert 200 == (await erp.call()).status
        assert [None, longest] == received_nonces(vendor)


@in_sync_and_async
async def test_repeated_nonce_demands_get_two_requests(erp: Erp) -> None:
    """A server that keeps demanding new DPoP nonces gets only two requests per call."""

    def demand_new_nonce(_: ReceivedRequest) -> Behaviour:
        return demand_for_nonce(f"n-{len(vendor.requests)}")

    with VendorServer() as vendor:
        vendor.always(demand_new_nonce)
        use_bound_token(erp, vendor)
        for _ in range(3):
            with pytest.raises(AuthenticationFailed, match="nonce"):
                await erp.call()

        shown_nonces = received_nonces(vendor)
        assert 6 == len(shown_nonces) == len({*shown_nonces})


@in_sync_and_async
async def test_streamed_request_is_sent_at_most_twice_for_nonce(erp: Erp) -> None:
    """A streamed request is sent at most twice for a nonce, and the connection stays usable."""
    with VendorServer() as vendor:
        vendor.always(lambda _: demand_for_nonce("n-1"))
        use_bound_token(erp, vendor)
        with pytest.raises(AuthenticationFailed):
            await erp.settle(erp.manager.stream("vat", Request.get("/")))

        assert [None, "n-1"] == received_nonces(vendor)
        assert 1 == vendor.connections


@in_sync_and_async
async def test_nonces_are_per_origin(erp: Erp) -> None:
    """A server's DPoP nonce is not sent to another origin, including another port of the host."""
    with VendorServer() as local_server, VendorServer() as stored_server:
        local_server.always(lambda _: Behaviour(200, {"DPoP-Nonce": "n-1"}))
        stored_server.always(lambda _: Behaviour(200))
        use_bound_token(erp, local_server, stored_server)
        for service in ("vat", "vat-1", "vat"):
            await erp.call(service=service)

        assert ([None, "n-1"], [None]) == (
            received_nonces(local_server),
            received_nonces(stored_server),
        )
