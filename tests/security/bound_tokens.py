"""Calls with key-bound tokens, for the search for leaked secrets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from moorage import OAuthCredentials, Request, RetryPolicy, Service
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.testing.cassettes.cassette import Cassette
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from tests.support.proofs import new_key

if TYPE_CHECKING:
    from moorage.testing.fakes.http_server import ReceivedRequest
    from tests.security.day import Observations


def _answer(received: ReceivedRequest) -> Behaviour:
    """Return the response that the request's path asks for, repeating all that was sent."""
    path_end = received.target.partition("?")[0].rpartition("/")[2]
    if path_end == "reset":
        return Behaviour(raw=b"", then="reset")
    if path_end == "slow":
        return Behaviour(200, (), b"late", delay=5.0)
    result = {"request": {**received.headers}, "note": received.headers.get("DPoP", "")}
    fields = {"DPoP-Nonce": f"n-{path_end}"}
    if path_end == "asks":
        fields["WWW-Authenticate"] = 'DPoP error="use_dpop_nonce"'
        return Behaviour.of_json(result, status=401, headers=fields)
    return Behaviour.of_json(result, status=int(path_end), headers=fields)


async def bound_tokens(day: Observations, _: VendorServer) -> None:
    """Make calls whose DPoP proofs are accepted, refused, repeated, recorded or unanswered."""
    add_secret, pem = day.plant, new_key()
    add_secret("bound-pem", pem.splitlines()[1])
    bound = OAuthCredentials(
        access_token=add_secret("bound-access"), token_type="DPoP", dpop_key=pem, scope="labels"
    )
    day.keep("bound credentials", bound)
    day.keep("bound repr", repr(bound))
    await day.attempt(
        "no key", OAuthCredentials, access_token="t", dpop_key=add_secret("bound-no-key")
    )
    client = day.pick(StdlibHttpClient, AsyncStdlibHttpClient)()
    day.closing.append(client)
    with VendorServer() as vendor:
        vendor.always(_answer)
        service = Service(
            "bound",
            base_url=vendor.url,
            credentials=bound,
            retry=RetryPolicy(2, 0),
            circuit=None,
            attempt_timeout=0.2,
        )
        with Cassette(day.folder / "bound.json", mode="record") as cassette:
            recording = day.pick(cassette.client, cassette.async_client)(client)
            for http in (client, recording):
                manager = day.manager(service, http=http)
                for path_end in ("200", "asks", "401", "503", "reset", "slow"):
                    await day.call(
                        f"bound {path_end}", manager, "bound", Request.get(f"/{path_end}")
                    )
                    await day.attempt(
                        f"bound stream {path_end}",
                        manager.stream,
                        "bound",
                        Request.get(f"/{path_end}"),
                    )
        await _given_up(day, service)
        proofs = [request.headers.get("DPoP") or "" for request in vendor.requests]
    assert all(proofs)
    for number, proof in enumerate(proofs):
        add_secret(f"bound-proof-{number}", proof.rpartition(".")[2][:60])


async def _given_up(day: Observations, service: Service) -> None:
    if not day.is_async:
        return
    manager = day.manager(service)
    try:
        async with asyncio.timeout(0.05):
            await manager.call("bound", Request.get("/slow"))
    except TimeoutError as error:
        day.keep("bound interrupted", error)
