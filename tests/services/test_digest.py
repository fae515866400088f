"""Calls to services with HTTP Digest: a challenge, then a digest response with each request."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    BodyStream,
    Credentials,
    RateLimitConfig,
    Request,
    Response,
    RetryPolicy,
    Secret,
    Service,
)
from moorage.domain.auth.digest import DigestChallenge, digest_response
from moorage.domain.http.challenges import read_parameters
from moorage.domain.http.headers import Headers
from moorage.services.core.digests import DigestChallenges
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import PiecewiseBody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.virtual_ports import SentRequest

GET = Request.get("/plates", query={"country": "DE"})
USER = Credentials.digest("erp", "secret-0")


def digest_service(**options: object) -> Service:
    """Return a service with a user name and password, and the given options."""
    fields: dict[str, object] = {
        "base_url": "https://gate.example/v1",
        "circuit": None,
        "retry": None,
        "credentials": USER,
    }
    return Service("gate", **(fields | options))  # type: ignore[arg-type]  # options of each test


def challenge(nonce: str, *, more: str = "") -> Response:
    """Return a 401 response with a Digest challenge."""
    value = f'Digest realm="gate", nonce="{nonce}", qop="auth", algorithm=SHA-256{more}'
    return Response(401, Headers({"WWW-Authenticate": value}))


def digest_fields(sent: SentRequest) -> dict[str, str]:
    """Return the fields of a request's digest, or nothing if it has none."""
    return read_parameters((sent.header("Authorization") or "").removeprefix("Digest "))


def nonce_uses(harness: Harness) -> list[tuple[str, str] | None]:
    """Return the nonce and the count that each request used, in order."""
    requests = map(digest_fields, harness.vendor.requests)
    return [(part["nonce"], part["nc"].lstrip("0")) if part else None for part in requests]


class RenewingProvider:
    """A credential provider with the passwords `secret-0`, then `secret-1`, and so on."""

    def __init__(self) -> None:
        self.number = 0

    async def get(self, _: str, __: str | None, /) -> Any:
        """Return the current user name and password."""
        return Credentials.digest("erp", f"secret-{self.number}")

    async def refresh(self, _: str, __: str | None, ___: object, /) -> Any:
        """Return the user name with the next password."""
        self.number += 1
        return Credentials.digest("erp", f"secret-{self.number}")


@sync_and_async
async def test_challenge_is_responded_to_at_once(harness: Harness) -> None:
    """The first request gets a challenge, and is repeated with a valid response to it."""
    harness.vendor.answers(challenge("n-1"), 200)

    await harness.manager(digest_service()).call("gate", GET)

    assert [None, ("n-1", "1")] == nonce_uses(harness)
    requests = digest_fields(harness.vendor.requests[1])
    expected = digest_response(
        "erp",
        Secret("secret-0"),
        DigestChallenge(realm="gate", nonce="n-1", qop="auth", algorithm="SHA-256"),
        GET,
        "https://gate.example/v1/plates?country=DE",
        count=1,
        client_nonce=requests["cnonce"],
    )
    assert expected == harness.vendor.requests[1].header("Authorization")
    assert [] == harness.sleeper.slept


@sync_and_async
async def test_later_requests_use_the_same_nonce(harness: Harness) -> None:
    """Each later request uses the nonce with the next count, and needs no further challenge."""
    harness.vendor.answers(challenge("n-1"), 200, 200)
    manager = harness.manager(digest_service())

    await manager.call("gate", GET)
    await manager.call("gate", GET)

    assert [None, ("n-1", "1"), ("n-1", "2")] == nonce_uses(harness)
    assert 2 == len({digest_fields(requests)["cnonce"] for requests in harness.vendor.requests[1:]})


@pytest.mark.parametrize("refusal", [challenge("n-2"), challenge("n-1", more=", stale=true")])
@sync_and_async
async def test_expired_nonce_is_replaced(harness: Harness, refusal: Response) -> None:
    """If the vendor sends a new nonce, or calls the old one stale, the nonce count is one again."""
    harness.vendor.answers(challenge("n-1"), 200, refusal, 200)
    manager = harness.manager(digest_service(limits=RateLimitConfig.per_second(9)))

    await manager.call("gate", GET)
    await manager.call("gate", GET)

    latest_nonce = "n-2" if "n-2" in str(refusal.headers["www-authenticate"]) else "n-1"
    assert [None, ("n-1", "1"), ("n-1", "2"), (latest_nonce, "1")] == nonce_uses(harness)


@sync_and_async
async def test_next_nonce_of_a_success_is_used(harness: Harness) -> None:
    """A successful response may name the nonce for the next request."""
    info = Headers({"Authentication-Info": 'nextnonce="n-2"'})
    harness.vendor.answers(challenge("n-1"), Response(200, info), 200)
    manager = harness.manager(digest_service())

    await manager.call("gate", GET)
    await manager.call("gate", GET)

    assert [None, ("n-1", "1"), ("n-2", "1")] == nonce_uses(harness)


@sync_and_async
async def test_wrong_password_is_refused_after_one_response(harness: Harness) -> None:
    """After two 401 responses in a row, the password counts as wrong, and the call ends."""
    harness.vendor.answers(challenge("n-1"), challenge("n-2"))
    manager = harness.manager(digest_service(retry=RetryPolicy(5, 0)))

    with pytest.raises(AuthenticationFailed) as excinfo:
        await manager.call("gate", GET)

    assert [None, ("n-1", "1")] == nonce_uses(harness)
    assert (401, 2, False) == (
        excinfo.value.status,
        excinfo.value.attempts,
        excinfo.value.retryable,
    )
    assert "secret-0" not in str(excinfo.value)


@sync_and_async
async def test_refused_known_nonce_is_a_wrong_password(harness: Harness) -> None:
    """If the vendor refuses a nonce without calling it stale, the call fails: wrong password."""
    harness.vendor.answers(challenge("n-1"), 200, challenge("n-1"))
    manager = harness.manager(digest_service())
    await manager.call("gate", GET)

    with pytest.raises(AuthenticationFailed):
        await manager.call("gate", GET)

    assert [None, ("n-1", "1"), ("n-1", "2")] == nonce_uses(harness)


@sync_and_async
async def test_refused_password_is_renewed(harness: Harness) -> None:
    """The provider renews a refused password, and the same request succeeds with it."""
    harness.vendor.answers(challenge("n-1"), challenge("n-2"), 200)
    provider = RenewingProvider()
    service = digest_service(credentials=None, needs_credentials=True)
    manager = harness.manager(service, credentials=harness.of_mode(provider))

    assert 200 == (await manager.call("gate", GET)).status

    assert 1 == provider.number
    assert [None, ("n-1", "1"), ("n-2", "1")] == nonce_uses(harness)


@sync_and_async
async def test_challenge_of_another_scheme_is_a_refusal(harness: Harness) -> None:
    """A 401 without a Digest challenge is an ordinary error response."""
    harness.vendor.answers(Response(401, Headers({"WWW-Authenticate": "Basic realm=gate"})))

    with pytest.raises(AuthenticationFailed) as excinfo:
        await harness.manager(digest_service()).call("gate", GET)

    assert ([None], 1) == (nonce_uses(harness), excinfo.value.attempts)


@sync_and_async
async def test_credentials_of_the_request_are_not_sent(harness: Harness) -> None:
    """An Authorization header set by the caller is sent instead of the service's credentials."""
    harness.vendor.answers(challenge("n-1"), 200)
    request = Request.get("/plates", headers={"Authorization": "Basic stray"})

    await harness.manager(digest_service()).call("gate", request)

    assert [None, ("n-1", "1")] == nonce_uses(harness)
    assert harness.vendor.requests[0].header("Authorization") is None


@sync_and_async
async def test_write_is_repeated_after_a_challenge(harness: Harness) -> None:
    """A digest challenge proves that the payment was not made, so it is sent again with its key."""
    harness.vendor.answers(challenge("n-1"), 201)
    service = digest_service(idempotency_header="Idempotency-Key", idempotency_memory=86_400)
    manager = harness.manager(service)

    answer = await manager.call("gate", Request.post("/open", json={}), idempotency_key="k")
    replayed_response = await manager.call(
        "gate", Request.post("/open", json={}), idempotency_key="k"
    )

    assert (201, True) == (answer.status, replayed_response.replayed)
    assert ["k", "k"] == [
        requests.header("Idempotency-Key") for requests in harness.vendor.requests
    ]


def body() -> Iterator[bytes]:
    """Yield the only chunk of a body that can be read once."""
    yield b"plates"


@sync_and_async
async def test_single_use_body_is_sent_with_the_next_call(harness: Harness) -> None:
    """A call with a single-use body fails at the challenge; the next call uses the nonce."""
    harness.vendor.answers(challenge("n-1"), 200)
    manager = harness.manager(digest_service())

    with pytest.raises(AuthenticationFailed, match="a response to its Digest challenge") as excinfo:
        await manager.call("gate", Request.post("/files", body=BodyStream.of(body())))
    await manager.call("gate", Request.post("/files", body=BodyStream.of(body())))

    assert excinfo.value.retryable
    assert [None, ("n-1", "1")] == nonce_uses(harness)


@sync_and_async
async def test_streamed_answer_follows_a_challenge(harness: Harness) -> None:
    """After a digest challenge, a streamed request is sent again with an Authorization header."""
    refusal = PiecewiseBody(401, challenge("n-1").headers, b"")
    harness.vendor.answers(refusal, PiecewiseBody(200, {}, b"all"))

    async with await harness.manager(digest_service()).stream("gate", GET) as stream:
        assert [b"all"] == await stream.all()

    assert [None, ("n-1", "1")] == nonce_uses(harness)


@sync_and_async
async def test_session_hashes_the_password_with_the_nonces_of_its_first_request(
    harness: Harness,
) -> None:
    """With a `-sess` algorithm, all requests of a session use its first two nonces in the hash."""
    session = Headers(
        {"WWW-Authenticate": 'Digest realm="gate", nonce="n-1", qop="auth", algorithm=SHA-256-sess'}
    )
    announcement = Response(200, Headers({"Authentication-Info": 'nextnonce="n-2"'}))
    harness.vendor.answers(Response(401, session), 200, announcement, 200)
    manager = harness.manager(digest_service())
    for _ in range(3):
        await manager.call("gate", GET)

    sent = [digest_fields(request) for request in harness.vendor.requests[1:]]
    client_nonce = sent[0]["cnonce"]
    assert [client_nonce] * 3 == [part["cnonce"] for part in sent]
    assert [("n-1", "00000001"), ("n-1", "00000002"), ("n-2", "00000001")] == [
        (part["nonce"], part["nc"]) for part in sent
    ]
    user_hash = sha256(b"erp:gate:secret-0").hexdigest()
    session_key = sha256(f"{user_hash}:n-1:{client_nonce}".encode()).hexdigest()
    effect = sha256(b"GET:/v1/plates?country=DE").hexdigest()
    assert [part["response"] for part in sent] == [
        sha256(
            f"{session_key}:{part['nonce']}:{part['nc']}:{client_nonce}:auth:{effect}".encode()
        ).hexdigest()
        for part in sent
    ]


@sync_and_async
async def test_new_challenge_begins_a_new_session(harness: Harness) -> None:
    """With a `-sess` algorithm, the first request after a new challenge has a new client nonce."""
    more = Headers(
        {"WWW-Authenticate": 'Digest realm="gate", nonce="n-2", qop="auth", algorithm=MD5-sess'}
    )
    first = Headers(
        {"WWW-Authenticate": 'Digest realm="gate", nonce="n-1", qop="auth", algorithm=MD5-sess'}
    )
    harness.vendor.answers(Response(401, first), 200, Response(401, more), 200)
    manager = harness.manager(digest_service())
    await manager.call("gate", GET)
    await manager.call("gate", GET)

    nonces = [digest_fields(request).get("cnonce") for request in harness.vendor.requests]
    assert nonces[1] == nonces[2] != nonces[3]


def test_counter_that_is_used_up_asks_for_a_new_challenge() -> None:
    """After a nonce's last possible count, the next request is sent without a digest."""
    challenges = DigestChallenges(last_count=1)
    assert challenges.remember_challenge("https://gate.example", 401, challenge("n-1").headers)
    first_use = challenges.next_use("https://gate.example", "c-1")
    assert first_use is not None
    assert (1, None) == (first_use.number, challenges.next_use("https://gate.example", "c-2"))
    assert not challenges.remember_challenge("https://gate.example", 200, Headers())
