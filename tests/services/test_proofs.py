"""DPoP tokens, which are bound to a key: proofs for each attempt, and nonces from servers."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    BodyStream,
    CircuitBreakerConfig,
    CircuitState,
    ConnectionFailed,
    Credentials,
    HedgeConfig,
    OAuthCredentials,
    RateLimitConfig,
    Region,
    Request,
    Response,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.http.headers import Headers
from moorage.services.core.nonces import Nonces
from tests.support.modes import Harness, sync_and_async
from tests.support.proofs import proof_key, verified_claims
from tests.support.virtual_ports import START, PiecewiseBody

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.virtual_ports import SentRequest

# Repeats lines that other tests cover individually.
pytestmark = pytest.mark.untraced

GET = Request.get("/rates", query={"country": "DE"})
ASKS = 'DPoP algs="ES256", error="use_dpop_nonce", error_description="a nonce, please"'


def bound_token(token: str = "token-0") -> OAuthCredentials:
    """Return a DPoP token bound to the key that these tests use."""
    return OAuthCredentials(access_token=token, token_type="DPoP", dpop_key=proof_key())


def vat(**options: object) -> Service:
    """Return a service with a key-bound token, unless a test passes other settings."""
    fields = {
        "base_url": "https://vat.example/v1",
        "circuit": None,
        "retry": None,
        "credentials": bound_token(),
    }
    return Service("vat", **(fields | options))  # type: ignore[arg-type]  # as each test says


def nonce_demand(nonce: str | None, result: str = ASKS) -> Response:
    """Return a 401 response that requests a nonce."""
    fields = {"WWW-Authenticate": result} | ({} if nonce is None else {"DPoP-Nonce": nonce})
    return Response(401, Headers(fields))


def proof_claims(sent: SentRequest) -> Mapping[str, Any]:
    """Return the verified claims of a request's DPoP proof."""
    return verified_claims(sent.header("DPoP"))


def sent_nonces(harness: Harness) -> list[str | None]:
    """Return the nonces in the sent proofs, in order."""
    return [proof_claims(requests).get("nonce") for requests in harness.vendor.requests]


class RenewingProvider:
    """A credential provider that renews bound tokens: `token-1` after `token-0`, and so on."""

    def __init__(self) -> None:
        self.number = 0

    async def get(self, _: str, __: str | None, /) -> Any:
        """Return the current credentials."""
        return bound_token(f"token-{self.number}")

    async def refresh(self, _: str, __: str | None, ___: object, /) -> Any:
        """Renew the credentials."""
        self.number += 1
        return bound_token(f"token-{self.number}")


@sync_and_async
async def test_every_attempt_has_its_own_proof(harness: Harness) -> None:
    """A DPoP proof is for one method, one URL without query, one token and one point in time."""
    harness.vendor.answers(503, 200)

    await harness.manager(vat(retry=RetryPolicy(3, 2, jitter="none"))).call("vat", GET)

    messages = [proof_claims(requests) for requests in harness.vendor.requests]
    ath = base64.urlsafe_b64encode(hashlib.sha256(b"token-0").digest()).rstrip(b"=").decode()
    start_second = int(START.timestamp())
    common_claims = {"htm": "GET", "htu": "https://vat.example/v1/rates", "ath": ath}
    assert [common_claims | {"iat": start_second}, common_claims | {"iat": start_second + 2}] == [
        {name: value for name, value in claims.items() if name != "jti"} for claims in messages
    ]
    assert 2 == len({claims["jti"] for claims in messages})
    assert ["DPoP token-0"] * 2 == [
        request.header("Authorization") for request in harness.vendor.requests
    ]


@sync_and_async
async def test_requested_nonce_is_sent_at_once(harness: Harness) -> None:
    """If the server requests a nonce, the attempt is repeated at once with the same token."""
    harness.vendor.answers(nonce_demand("n-1"))
    provider = RenewingProvider()
    service = vat(
        credentials=None, needs_credentials=True, circuit=CircuitBreakerConfig(failures=1)
    )
    manager = harness.watched(service, credentials=harness.of_mode(provider))

    assert 200 == (await manager.call("vat", GET)).status
    await manager.call("vat", GET)

    assert [None, "n-1", "n-1"] == sent_nonces(harness)
    assert 0 == provider.number
    assert [] == harness.sleeper.slept
    assert {"RetryScheduled", "CredentialRefreshed"}.isdisjoint(harness.event_names())
    assert CircuitState.CLOSED is (await manager.circuit_state("vat")).state


@sync_and_async
async def test_newest_nonce_is_used(harness: Harness) -> None:
    """Any response, even one to a failed request, can carry the next nonce."""
    reports = [Headers({"DPoP-Nonce": name}) for name in ("n-1", "n-2", "n-3")]
    harness.vendor.answers(
        Response(200, reports[0]), Response(503, reports[1]), Response(204, reports[2])
    )
    manager = harness.manager(vat(retry=RetryPolicy(2, 0)))

    for _ in range(3):
        await manager.call("vat", GET)

    assert [None, "n-1", "n-2", "n-3"] == sent_nonces(harness)


@sync_and_async
async def test_nonce_request_uses_no_attempt(harness: Harness) -> None:
    """A request that is repeated with the server's nonce is not counted as another attempt."""
    harness.vendor.answers(
        nonce_demand("n-1"),
        503,
        nonce_demand("n-2"),
        ConnectionFailed("cut"),
        nonce_demand("n-3"),
        200,
    )
    manager = harness.manager(vat(retry=RetryPolicy(3, 0)))

    assert 200 == (await manager.call("vat", GET)).status

    assert [None, "n-1", "n-1", "n-2", "n-2", "n-3"] == sent_nonces(harness)


@sync_and_async
async def test_repeated_nonce_requests_end(harness: Harness) -> None:
    """If a server asks for a nonce twice in a row, the call fails without renewing its token."""
    harness.vendor.otherwise = nonce_demand("n-1")
    provider = RenewingProvider()
    service = vat(credentials=None, needs_credentials=True, retry=RetryPolicy(5, 0))
    manager = harness.manager(service, credentials=harness.of_mode(provider))

    with pytest.raises(AuthenticationFailed) as excinfo:
        await manager.call("vat", GET)

    assert ([None, "n-1"], 0) == (sent_nonces(harness), provider.number)
    assert (401, 2, False) == (
        excinfo.value.status,
        excinfo.value.attempts,
        excinfo.value.retryable,
    )
    assert "The vendor refuses the nonce that it" in excinfo.value.remedy


@pytest.mark.parametrize("nonce", [None, "", "n" * 1_000_000, "n\u00e9", 'a"b', "a\\b", "a b"])
@sync_and_async
async def test_missing_or_invalid_nonce_is_not_sent(harness: Harness, nonce: str | None) -> None:
    """If the server requests a nonce but sends no valid one, the call fails."""
    harness.vendor.answers(nonce_demand(nonce))
    manager = harness.manager(vat())

    with pytest.raises(AuthenticationFailed):
        await manager.call("vat", GET)
    await manager.call("vat", GET)

    assert [None, None] == sent_nonces(harness)


@pytest.mark.parametrize(
    "message", ['DPoP error="invalid_dpop_proof"', "DPoP error=INVALID_DPOP_PROOF"]
)
@sync_and_async
async def test_refused_proof_renews_nothing(harness: Harness, message: str) -> None:
    """If the server refuses the proof, for example because of the clock, the token is kept."""
    harness.vendor.answers(nonce_demand("n-1", message))
    provider = RenewingProvider()
    service = vat(credentials=None, needs_credentials=True)
    manager = harness.manager(service, credentials=harness.of_mode(provider))

    with pytest.raises(AuthenticationFailed) as excinfo:
        await manager.call("vat", GET)

    assert ([None], 0) == (sent_nonces(harness), provider.number)
    assert "clock" in excinfo.value.remedy


@sync_and_async
async def test_refused_bound_token_is_renewed(harness: Harness) -> None:
    """A 401 renews the token, unless the response says that the DPoP proof was wrong."""
    harness.vendor.answers(
        nonce_demand("n-1", 'DPoP error="invalid_token"'), nonce_demand("n-2"), 200
    )
    service = vat(credentials=None, needs_credentials=True)
    manager = harness.manager(service, credentials=harness.of_mode(RenewingProvider()))

    await manager.call("vat", GET)

    requests = harness.vendor.requests
    assert ["DPoP token-0", "DPoP token-1", "DPoP token-1"] == [
        notice.header("Authorization") for notice in requests
    ]
    assert [None, "n-1", "n-2"] == sent_nonces(harness)
    assert 2 == len({proof_claims(notice)["ath"] for notice in requests})


@sync_and_async
async def test_unbound_token_gets_no_nonce(harness: Harness) -> None:
    """If a token is not bound to a key, a request for a nonce is an ordinary 401."""
    harness.vendor.answers(nonce_demand("n-1"))
    manager = harness.manager(vat(credentials=Credentials.bearer("t")))

    with pytest.raises(AuthenticationFailed) as excinfo:
        await manager.call("vat", GET)

    assert (1, [None]) == (
        excinfo.value.attempts,
        [request.header("DPoP") for request in harness.vendor.requests],
    )


@sync_and_async
async def test_nonce_request_proves_that_nothing_was_done(harness: Harness) -> None:
    """A POST is also repeated for a nonce, and uses another token of the rate limit."""
    harness.vendor.answers(nonce_demand("n-1"), 201)
    manager = harness.manager(vat(limits=RateLimitConfig.per_second(1)))

    assert 201 == (await manager.call("vat", Request.post("/orders", json={}))).status

    assert [1.0] == harness.sleeper.slept
    assert ["POST", "POST"] == [proof_claims(request)["htm"] for request in harness.vendor.requests]


@sync_and_async
async def test_keyed_request_and_its_repeat_with_a_nonce_share_a_claim(harness: Harness) -> None:
    """A keyed request and its repeat with a nonce use one claim; the response is stored."""
    harness.vendor.answers(nonce_demand("n-1"), 201)
    manager = harness.manager(vat(idempotency_header="Idempotency-Key", idempotency_memory=86_400))

    first = await manager.call("vat", Request.post("/orders", json={}), idempotency_key="k")
    replayed_response = await manager.call(
        "vat", Request.post("/orders", json={}), idempotency_key="k"
    )

    assert (201, 201, True) == (first.status, replayed_response.status, replayed_response.replayed)
    assert ["k", "k"] == [request.header("Idempotency-Key") for request in harness.vendor.requests]


@sync_and_async
async def test_refusal_after_a_nonce_request_is_final(harness: Harness) -> None:
    """If the request with the nonce is refused, the error proves that nothing was done."""
    harness.vendor.answers(nonce_demand("n-1"), 422)
    manager = harness.manager(vat())

    with pytest.raises(VendorRejected) as excinfo:
        await manager.call("vat", Request.post("/orders", json={}), idempotency_key="k")

    assert (422, 2) == (excinfo.value.status, excinfo.value.attempts)


def single_use_chunks() -> Iterator[bytes]:
    """Yield one chunk, as a request body that can be read only once."""
    yield b"all of it"


@sync_and_async
async def test_single_use_body_is_not_resent_with_a_nonce(harness: Harness) -> None:
    """A single-use body is not sent again with a nonce, but the next request uses the nonce."""
    harness.vendor.answers(nonce_demand("n-1"))
    manager = harness.manager(vat())

    with pytest.raises(AuthenticationFailed) as excinfo:
        await manager.call("vat", Request.post("/files", body=BodyStream.of(single_use_chunks())))
    await manager.call("vat", Request.post("/files", body=BodyStream.of(single_use_chunks())))

    assert [None, "n-1"] == sent_nonces(harness)
    assert (True, 1, 401) == (excinfo.value.retryable, excinfo.value.attempts, excinfo.value.status)
    assert (
        "The vendor requires a nonce from its server in the proof of possession (HTTP 401)."
    ) in str(excinfo.value)
    assert "Send the request again with a new" in excinfo.value.remedy


@sync_and_async
async def test_hooks_do_not_see_nonce_requests(harness: Harness) -> None:
    """Hooks see a server's request for a nonce only if the server sends it twice in a row."""
    statuses: list[int] = []

    def observe(answer: Any) -> Any:
        statuses.append(answer.status)
        return answer

    harness.vendor.answers(nonce_demand("n-1"), 200, nonce_demand("n-2"), nonce_demand("n-3"))
    manager = harness.manager(vat(response_transforms=observe))

    await manager.call("vat", GET)
    with pytest.raises(AuthenticationFailed):
        await manager.call("vat", GET)

    assert [200, 401] == statuses


@sync_and_async
async def test_streams_have_proofs(harness: Harness) -> None:
    """A streamed request has a proof, and is repeated once with the nonce."""
    refusal = PiecewiseBody(401, nonce_demand("n-1").headers, b"{}")
    harness.vendor.answers(refusal, PiecewiseBody(200, {"DPoP-Nonce": "n-2"}, b"all"))
    manager = harness.manager(vat())

    async with await manager.stream("vat", GET) as stream:
        assert [b"all"] == await stream.all()
    await manager.call("vat", GET)

    assert [None, "n-1", "n-2"] == sent_nonces(harness)
    assert [1, 1] == [answer.closed for answer in harness.vendor.arrivals]


@sync_and_async
async def test_retry_after_a_lost_stream_may_be_repeated_with_a_nonce(harness: Harness) -> None:
    """After a lost response, the retry may again be repeated once with a nonce."""
    harness.vendor.answers(
        nonce_demand("n-1"),
        ConnectionFailed("cut"),
        nonce_demand("n-2"),
        PiecewiseBody(200, (), b"a"),
    )
    manager = harness.manager(vat(retry=RetryPolicy(2, 0)))

    async with await manager.stream("vat", GET) as stream:
        assert [b"a"] == await stream.all()

    assert [None, "n-1", "n-1", "n-2"] == sent_nonces(harness)


@sync_and_async
async def test_hedges_have_their_own_proofs(harness: Harness) -> None:
    """Each hedged request has its own proof, and repeats it with the nonce that is requested."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(nonce_demand("n-1")), nonce_demand("n-1"), 200)
    manager = harness.manager(vat(hedge=HedgeConfig(0.1)))
    calling = harness.start(lambda: manager.call("vat", GET))
    await gate.reached()
    harness.gather.too_long.set()
    while 2 > len(harness.vendor.requests):
        await harness.yield_to_tasks()
    gate.open()

    assert 200 == (await calling.result()).status

    assert [None, None, "n-1"] == sent_nonces(harness)
    assert 3 == len({proof_claims(request)["jti"] for request in harness.vendor.requests})


@sync_and_async
async def test_repeated_nonce_requests_end_hedging(harness: Harness) -> None:
    """If a server keeps requesting nonces, a hedged call ends."""
    harness.vendor.otherwise = nonce_demand("n-1")
    manager = harness.manager(vat(hedge=HedgeConfig(0.1, max_extra=2)))

    with pytest.raises(AuthenticationFailed):
        await manager.call("vat", GET)

    assert 6 >= len(harness.vendor.requests)


@sync_and_async
async def test_nonces_are_per_origin(harness: Harness) -> None:
    """A nonce is sent only to the origin that gave it."""
    regions = (Region("eu", "https://eu.vat.example"), Region("us", "https://us.vat.example"))
    service = vat(base_url=None, regions=regions, retry=RetryPolicy(2, 0))
    harness.vendor.answers(nonce_demand("n-1"), 503, nonce_demand("n-2"), 200)
    manager = harness.manager(service)

    assert 200 == (await manager.call("vat", GET)).status

    places = [proof_claims(request)["htu"].partition(".")[0] for request in harness.vendor.requests]
    eu_origin, _, us_origin, _ = places
    assert {"https://eu", "https://us"} == {eu_origin, us_origin}
    assert [eu_origin, eu_origin, us_origin, us_origin] == places
    assert [None, "n-1", None, "n-2"] == sent_nonces(harness)


@sync_and_async
async def test_probe_may_be_asked_for_a_nonce(harness: Harness) -> None:
    """A probe of a half-open circuit is repeated if the server requests a nonce."""
    harness.vendor.answers(503, nonce_demand("n-1"), 200)
    manager = harness.manager(vat(circuit=CircuitBreakerConfig(failures=1, open_for=10)))
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    harness.clock.advance(10)

    assert 200 == (await manager.call("vat", GET)).status


def test_nonces_are_bounded() -> None:
    """Nonces of a limited number of origins are remembered; the newest are never dropped."""
    nonces = Nonces()
    for number in range(5_000):
        url = f"https://n{number}.example/"
        assert nonces.remember_nonce(url, Headers({"DPoP-Nonce": f"n-{number}"}))
        assert f"n-{number}" == nonces.nonce_for(f"HTTPS://N{number}.example:443/path")

    kept_origins = [
        n for n in range(5_000) if nonces.nonce_for(f"https://n{n}.example/") is not None
    ]
    assert 0 < len(kept_origins) <= 1_000
    assert not nonces.remember_nonce("https://n4999.example/", Headers({"DPoP-Nonce": "a b"}))
    assert nonces.remember_nonce("https://n4999.example/", Headers({"DPoP-Nonce": "newer"}))
    assert "newer" == nonces.nonce_for("https://n4999.example/")


def test_oldest_nonce_is_evicted() -> None:
    """A thousand nonces are remembered; one more evicts the oldest."""
    nonces = Nonces()
    for number in range(1_000):
        nonces.remember_nonce(f"https://n{number}.example/", Headers({"DPoP-Nonce": "n"}))
    nonces.remember_nonce("https://n999.example/", Headers({"DPoP-Nonce": "newer"}))
    assert "n" == nonces.nonce_for("https://n0.example/")

    nonces.remember_nonce("https://n1000.example/", Headers({"DPoP-Nonce": "n"}))
    assert nonces.nonce_for("https://n0.example/") is None
    assert "n" == nonces.nonce_for("https://n1.example/")
    assert "n" == nonces.nonce_for("https://n1000.example/")
