"""One HTTP exchange: who we are, what is sent, what the answer means."""

# ruff: noqa: SLF001 - values of any kind, and a look inside

from __future__ import annotations

import hmac
import traceback
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from mooring import (
    AttemptTimeout,
    AuthenticationFailed,
    AwsSigV4,
    BodyStream,
    CircuitBreakerConfig,
    CircuitState,
    ConfigurationError,
    ConnectionFailed,
    CredentialNotFound,
    CredentialRefreshFailed,
    Credentials,
    DeadlineExceeded,
    Endpoint,
    HmacSigning,
    InvalidData,
    InvalidRequest,
    JwtSigning,
    MessageSignature,
    OAuthCredentials,
    PaymentDeclined,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryPolicy,
    Secret,
    Service,
    VendorFailed,
    VendorRejected,
)
from mooring.services.calling import Calling
from tests.support.colours import World, in_both_colours

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = Request.get("/rates")


def vat(**options: object) -> Service:
    """A service with nothing but what a test gives it."""
    given = {"base_url": "https://vat.example/v1", "circuit": None, "retry": None} | options
    return Service("vat", **given)  # type: ignore[arg-type]  # as each test says


class Provider:
    """Renews bearer tokens: `token-1` after `token-0`, and so on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.number = 0
        self.asked: list[tuple[str, str | None]] = []
        self.refreshed: list[str] = []
        self.fails: Exception | None = None
        self.slow = 0.0
        self.given: Any = None

    def _current(self) -> Any:
        return Credentials.bearer(f"token-{self.number}") if self.given is None else self.given

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Give what is current."""
        self.asked.append((service, tenant))
        if isinstance(self.given, Exception):
            raise self.given
        return self._current()

    async def refresh(self, service: str, tenant: str | None, stale: Credentials, /) -> Any:
        """Renew what is current."""
        assert (service, tenant) in self.asked
        assert stale.secret is not None
        self.refreshed.append(stale.secret.reveal())
        await self._world.breathe()
        self._world.clock.advance(self.slow)
        if self.fails is not None:
            raise self.fails
        self.number += 1
        return self._current()


# --- what is sent ---


@in_both_colours
async def test_the_url_is_the_services_and_the_requests(world: World) -> None:
    """A request's path and query follow the service's base URL."""
    await world.manager(vat()).call("vat", Request.get("/rates", query={"country": "DE"}))

    assert ["https://vat.example/v1/rates?country=DE"] == [s.url for s in world.vendor.requests]


@in_both_colours
async def test_default_headers_fill_gaps(world: World) -> None:
    """A service's headers are sent unless the request has its own."""
    service = vat(headers={"Accept": "application/json", "X-App": "erp"})

    await world.manager(service).call("vat", Request.get("/", headers={"accept": "text/csv"}))

    assert {"accept": "text/csv", "X-App": "erp"} == dict(world.vendor.requests[0].request.headers)


@pytest.mark.parametrize(
    "credentials, headers, query",
    [
        (Credentials.basic("me", "pw"), {"Authorization": "Basic bWU6cHc="}, ""),
        (Credentials.bearer("t"), {"Authorization": "Bearer t"}, ""),
        (Credentials.api_key("k"), {"X-API-Key": "k"}, ""),
        (Credentials.api_key("k", query="key"), {}, "?key=k"),
        (OAuthCredentials(access_token=Secret("a")), {"Authorization": "Bearer a"}, ""),
        (Credentials.none(), {}, ""),
    ],
)
@in_both_colours
async def test_credentials_are_put_where_they_belong(
    world: World, credentials: Credentials, headers: dict[str, str], query: str
) -> None:
    """A service's own credentials are sent in the way that they say."""
    await world.manager(vat(credentials=credentials)).call("vat", GET)

    (sent,) = world.vendor.requests
    assert (headers, f"https://vat.example/v1/rates{query}") == (
        dict(sent.request.headers),
        sent.url,
    )


@in_both_colours
async def test_the_provider_is_asked_for_the_tenant(world: World) -> None:
    """A service that needs credentials gets those of the tenant, once for a call."""
    provider = Provider(world)
    world.vendor.answers(503)
    service = vat(needs_credentials=True, retry=RetryPolicy(2, 0))
    manager = world.manager(service, credentials=world.of_colour(provider))

    await manager.call("vat", GET, tenant="acme")

    assert [("vat", "acme")] == provider.asked
    assert ["Bearer token-0"] * 2 == [s.header("authorization") for s in world.vendor.requests]


@in_both_colours
async def test_every_attempt_is_signed_anew(world: World) -> None:
    """Each attempt is signed last, as it leaves: after the transforms, at its own time."""
    signing = HmacSigning(
        signs="{method} {url} {header:x-late}",
        headers={"X-Time": "{timestamp}", "X-Nonce": "{nonce}"},
        query={"key": "{key_id}", "signature": "{signature}"},
        key_id="me",
    )
    service = vat(
        credentials=Credentials.signed(signing, "h1dden"),
        request_transforms=[lambda request: request.with_header("X-Late", "1")],
        retry=RetryPolicy(2, 5, jitter="none"),
    )
    world.vendor.answers(503)

    await world.manager(service).call("vat", GET)

    first, second = world.vendor.requests
    text = b"GET https://vat.example/v1/rates?key=me 1"
    signature = hmac.digest(b"h1dden", text, "sha256").hex()
    for sent in (first, second):
        assert f"https://vat.example/v1/rates?key=me&signature={signature}" == sent.url
    times = [int(sent.request.headers["x-time"]) for sent in (first, second)]
    assert 5 == times[1] - times[0]
    assert first.request.headers["x-nonce"] != second.request.headers["x-nonce"]


@pytest.mark.parametrize(
    "signing, header, begins",
    [
        (
            AwsSigV4(access_key_id="A", region="r", service="s3"),
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/",
        ),
        (JwtSigning(algorithm="HS256"), "authorization", "Bearer ey"),
        (
            MessageSignature(components=["@path"], key_id="k", algorithm="hmac-sha256"),
            "signature-input",
            'sig1=("@path");created=',
        ),
    ],
)
@in_both_colours
async def test_every_way_to_sign_reaches_the_vendor(
    world: World, signing: Any, header: str, begins: str
) -> None:
    """What a service's credentials sign arrives signed."""
    await world.manager(vat(credentials=Credentials.signed(signing, "k"))).call("vat", GET)

    (sent,) = world.vendor.requests
    assert sent.request.headers[header].startswith(begins)


@in_both_colours
async def test_what_cannot_be_signed_does_not_leave(world: World) -> None:
    """A request that has not what is to be signed is refused, and shows no key."""
    signing = HmacSigning(signs="{header:x-a}", headers={"S": "{signature}"})
    service = vat(credentials=Credentials.signed(signing, "h1dden"))

    with pytest.raises(InvalidData, match="'x-a' is signed") as caught:
        await world.manager(service).call("vat", GET)

    assert [] == world.vendor.requests
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "h1dden" not in "".join(shown.format())


@in_both_colours
async def test_given_credentials_come_before_the_providers(world: World) -> None:
    """Credentials of the service's own are never exchanged for others."""
    provider = Provider(world)
    world.vendor.otherwise = 401
    service = vat(needs_credentials=True, credentials=Credentials.bearer("own"))

    with pytest.raises(AuthenticationFailed):
        await world.manager(service, credentials=world.of_colour(provider)).call("vat", GET)

    assert ([], []) == (provider.asked, provider.refreshed)


@in_both_colours
async def test_no_provider_means_no_credentials(world: World) -> None:
    """A service that needs credentials where nobody has any says so, and sends nothing."""
    with pytest.raises(CredentialNotFound) as caught:
        await world.manager(vat(needs_credentials=True)).call("vat", GET)

    assert ("vat", []) == (caught.value.service, world.vendor.requests)


@in_both_colours
async def test_request_transforms_run_in_order(world: World) -> None:
    """The service's transforms come before the endpoint's, and both before the credentials."""

    def add(letter: str) -> Any:
        def transform(request: Request) -> Request:
            assert "authorization" not in request.headers
            return request.with_header("X-Order", (request.headers.get("x-order") or "") + letter)

        return transform

    service = vat(
        credentials=Credentials.bearer("t"),
        request_transforms=[add("a"), add("b")],
        endpoints=Endpoint("rates", path="/rates", request_transforms=add("c")),
    )

    await world.manager(service).call("vat", GET)

    assert "abc" == world.vendor.requests[0].header("x-order")


@in_both_colours
async def test_a_transform_says_where_a_request_goes(world: World) -> None:
    """The URL is that of the transformed request."""
    service = vat(request_transforms=lambda request: request.evolve(path="/v2" + request.path))

    await world.manager(service).call("vat", GET)

    assert ["https://vat.example/v1/v2/rates"] == [sent.url for sent in world.vendor.requests]


@in_both_colours
async def test_response_transforms_run_in_reverse(world: World) -> None:
    """What the service wraps outermost is unwrapped first by the endpoint, then by the service."""

    def add(letter: bytes) -> Any:
        return lambda response: response.evolve(body=response.body + letter)

    service = vat(
        response_transforms=add(b"a"),
        endpoints=Endpoint("rates", path="/rates", response_transforms=[add(b"b"), add(b"c")]),
    )

    assert b"bca" == (await world.manager(service).call("vat", GET)).body


@in_both_colours
async def test_transforms_may_be_awaited(world: World) -> None:
    """On the asynchronous face a transform may be asynchronous; the other refuses it by name."""

    async def stamp(message: Any) -> Any:
        await world.breathe()
        return message

    service = vat(request_transforms=stamp, response_transforms=stamp)

    if world.is_awaited:
        assert 200 == (await world.manager(service).call("vat", GET)).status
    else:
        with pytest.raises(ConfigurationError, match="stamp is asynchronous") as caught:
            world.manager(service)
        assert "services.vat.request_transforms" == caught.value.path


@in_both_colours
async def test_a_disguised_awaitable_is_refused(world: World) -> None:
    """A plain function that returns an awaitable is only found out when it runs."""

    async def stamp(message: Any) -> Any:
        return message

    def disguised(request: Request) -> Any:
        return stamp(request)

    manager = world.manager(vat(request_transforms=disguised))

    if world.is_awaited:
        assert 200 == (await manager.call("vat", GET)).status
    else:
        with pytest.raises(ConfigurationError, match="awaitable"):
            await manager.call("vat", GET)


def _count(_: object) -> int:
    """Return what goes nowhere."""
    return 7


@pytest.mark.parametrize("kind", ["request_transforms", "response_transforms"])
@in_both_colours
async def test_a_transform_returns_what_goes_on(world: World, kind: str) -> None:
    """A transform that returns something else is named, with where it is configured."""
    what = kind.partition("_")[0]
    with pytest.raises(ConfigurationError) as caught:
        await world.manager(vat(**{kind: _count})).call("vat", GET)

    assert f"_count returned a int, not a {what}." == caught.value.message
    assert (kind, f"Return the {what} that goes on.") == (caught.value.path, caught.value.remedy)


@in_both_colours
async def test_a_transforms_own_error_passes(world: World) -> None:
    """What a transform raises is the caller's own: raised as it is, told of, and not retried."""

    def broken(_: object) -> Any:
        raise KeyError("rates")

    manager = world.watched(
        vat(response_transforms=broken, retry=RetryPolicy(3, 0), circuit=CircuitBreakerConfig())
    )

    with pytest.raises(KeyError):
        await manager.call("vat", GET)

    assert 1 == len(world.vendor.requests)
    assert 0 == (await manager.circuit_state("vat")).failures
    assert ("KeyError", False) == (world.events[-1].error, world.events[-1].cancelled)  # type: ignore[attr-defined]


# --- what an answer means ---


@pytest.mark.parametrize(
    "status, kind",
    [
        (301, VendorRejected),
        (302, VendorRejected),
        (400, InvalidRequest),
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (404, VendorRejected),
        (408, VendorFailed),
        (429, RateLimitExceeded),
        (500, VendorFailed),
    ],
)
@in_both_colours
async def test_failures_have_classes(world: World, status: int, kind: type[Exception]) -> None:
    """Every failing status raises one class, which carries the status and the whole answer."""
    world.vendor.answers(status)

    with pytest.raises(kind) as caught:
        await world.manager(vat()).call("vat", GET)

    assert (status, status) == (caught.value.status, caught.value.response.status)  # type: ignore[attr-defined]


@in_both_colours
async def test_redirects_are_not_followed(world: World) -> None:
    """A redirect is refused, so that no credential goes elsewhere."""
    world.vendor.answers(Response(307, {"Location": "https://evil.example/"}))

    with pytest.raises(VendorRejected, match="redirect"):
        await world.manager(vat(credentials=Credentials.bearer("t"))).call("vat", GET)

    assert 1 == len(world.vendor.requests)


def declined(request: Request, response: Response) -> PaymentDeclined | None:
    """A vendor that answers 200 to a refusal."""
    assert "/rates" == request.path
    return PaymentDeclined("no", vendor_code="51") if b"no" in response.body else None


@in_both_colours
async def test_the_body_comes_before_the_status(world: World) -> None:
    """A service's own classifier is asked first, and may find a failure in a 200."""
    world.vendor.answers(Response(200, body=b"no"), Response(404, body=b"no"), 404, 200)
    manager = world.manager(vat(classify=declined))

    for kind in (PaymentDeclined, PaymentDeclined, VendorRejected):
        with pytest.raises(kind):
            await manager.call("vat", GET)
    assert 200 == (await manager.call("vat", GET)).status


@in_both_colours
async def test_a_classifier_returns_our_errors(world: World) -> None:
    """A classifier that returns something else is named."""

    def agree(*_: object) -> Any:
        return True

    with pytest.raises(ConfigurationError, match="agree returned a bool") as caught:
        await world.manager(vat(classify=agree)).call("vat", GET)

    assert "classify" == caught.value.path
    assert "Return one of mooring's errors" in caught.value.remedy


@in_both_colours
async def test_a_classifier_sees_no_credential(world: World) -> None:
    """What is handed to a classifier is the request as the caller made it."""
    seen: list[Request] = []

    def look(request: Request, _: Response) -> None:
        seen.append(request)

    await world.manager(vat(classify=look, credentials=Credentials.bearer("t"))).call("vat", GET)

    assert [GET] == seen


# --- endpoints ---

ENDPOINTS = (
    Endpoint("rate", "GET", "/rates/{country}", attempt_timeout=1),
    Endpoint("any", path="/rates/{country}", attempt_timeout=2),
    Endpoint("named", attempt_timeout=3),
)


@pytest.mark.parametrize(
    "request_, name, timeout",
    [
        (Request.get("/rates/DE"), None, 1),
        (Request.get("/rates/DE?full=1"), None, 1),
        (Request.get("https://vat.example/v1/rates/DE"), None, 1),
        (Request.delete("/rates/DE"), None, 2),
        (Request.get("/rates/DE"), "named", 3),
        (Request.get("/rates"), None, 30),
        (Request.get("/rates/"), None, 30),
        (Request.get("/rates/DE/reduced"), None, 30),
        (Request.get("/fees/DE"), None, 30),
    ],
)
@in_both_colours
async def test_requests_find_their_endpoint(
    world: World, request_: Request, name: str | None, timeout: float
) -> None:
    """A request belongs to the endpoint that is named, or the first whose method and path fit."""
    await world.manager(vat(endpoints=ENDPOINTS)).call("vat", request_, endpoint=name)

    assert [timeout] == [sent.timeouts.total for sent in world.vendor.requests]


@in_both_colours
async def test_a_functions_plan_is_not_a_requests(world: World) -> None:
    """A request that found its endpoint by path leaves functions without one alone."""
    service = vat(endpoints=Endpoint("rates", path="/rates", retry=RetryPolicy(5, 0)))
    manager = world.manager(service)
    await manager.call("vat", GET)
    calls: list[int] = []

    async def fail() -> None:
        calls.append(1)
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await manager.run("vat", fail)

    assert 1 == len(calls)


# --- what adapters owe ---


@in_both_colours
async def test_a_strangers_error_is_made_ours(world: World) -> None:
    """What an HTTP client should not raise becomes ConnectionFailed, and is not quoted."""
    world.vendor.otherwise = ValueError("https://vat.example/?key=hunter2")

    with pytest.raises(ConnectionFailed, match="ValueError") as caught:
        await world.manager(vat()).call("vat", GET)

    assert caught.value.may_have_been_processed
    assert "hunter2" not in repr(caught.value)
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


@pytest.mark.parametrize("given", [KeyError("vault://hunter2"), "hunter2", None])
@in_both_colours
async def test_a_provider_that_errs_is_made_ours(world: World, given: object) -> None:
    """What a provider should neither raise nor give becomes CredentialNotFound, unquoted."""
    provider = Provider(world)
    provider.given = given if given is not None else 0
    service = vat(needs_credentials=True)

    named = type(given if given is not None else 0).__name__
    with pytest.raises(CredentialNotFound, match=f"credential provider .* {named}") as caught:
        await world.manager(service, credentials=world.of_colour(provider)).call("vat", GET)

    assert "hunter2" not in repr(caught.value)
    assert "must" in caught.value.remedy
    assert [] == world.vendor.requests


@in_both_colours
async def test_what_never_left_may_be_tried_again(world: World) -> None:
    """A write that found no credential has done nothing, so doing it later repeats nothing."""
    provider = Provider(world)
    provider.given = CredentialNotFound("the vault is sealed.", retryable=True)
    service = vat(needs_credentials=True, retry=RetryPolicy(2, 1))
    manager = world.manager(service, credentials=world.of_colour(provider))

    async def unseal() -> None:
        provider.given = None

    world.sleeper.meanwhile.append(unseal)

    assert 200 == (await manager.call("vat", Request.post("/orders", json=1))).status


# --- renewing a credential ---


@in_both_colours
async def test_a_refused_credential_is_renewed_once(world: World) -> None:
    """After a 401 the credential is renewed and the same attempt made again."""
    provider = Provider(world)
    world.vendor.answers(401)
    manager = world.watched(vat(needs_credentials=True), credentials=world.of_colour(provider))

    assert 200 == (await manager.call("vat", GET, tenant="acme")).status

    assert ["token-0"] == provider.refreshed
    assert ["Bearer token-0", "Bearer token-1"] == [
        sent.header("authorization") for sent in world.vendor.requests
    ]
    assert 1 == world.told().count("CredentialRefreshed")


@in_both_colours
async def test_a_credential_is_never_renewed_twice(world: World) -> None:
    """A second 401 is the answer."""
    provider = Provider(world)
    world.vendor.otherwise = 401
    service = vat(needs_credentials=True, retry=RetryPolicy(5, 0))

    with pytest.raises(AuthenticationFailed) as caught:
        await world.manager(service, credentials=world.of_colour(provider)).call("vat", GET)

    assert (["token-0"], 2) == (provider.refreshed, len(world.vendor.requests))
    assert 2 == caught.value.attempts


@in_both_colours
async def test_renewing_takes_no_attempt(world: World) -> None:
    """The attempt after a renewal is the same attempt, so `max_attempts` are left to fail."""
    provider = Provider(world)
    world.vendor.answers(401)
    world.vendor.otherwise = 503
    service = vat(needs_credentials=True, retry=RetryPolicy(3, 0))

    with pytest.raises(VendorFailed):
        await world.manager(service, credentials=world.of_colour(provider)).call("vat", GET)

    assert 1 + 3 == len(world.vendor.requests)


@in_both_colours
async def test_a_forbidden_call_renews_nothing(world: World) -> None:
    """A 403 refuses what we may do, not who we are."""
    provider = Provider(world)
    world.vendor.otherwise = 403
    service = vat(needs_credentials=True)

    with pytest.raises(AuthenticationFailed):
        await world.manager(service, credentials=world.of_colour(provider)).call("vat", GET)

    assert [] == provider.refreshed


@in_both_colours
async def test_many_callers_renew_once(world: World) -> None:
    """Callers whose credential is refused at the same time renew it once between them."""
    provider = Provider(world)

    async def by_token(sent: Any) -> int:
        return 401 if sent.header("authorization") == "Bearer token-0" else 200

    world.vendor.otherwise = by_token
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_colour(provider))
    gates = [world.gate(), world.gate()]
    world.vendor.answers(*(gate.answering(401) for gate in gates))

    async def call() -> int:
        response: Response = await manager.call("vat", GET)
        return response.status

    waiting = [world.start(call) for _ in range(2)]
    for gate in gates:
        await gate.reached()
    for gate in gates:
        gate.open()
    answers = [await one.result() for one in waiting] + await world.together(*[call] * 8)

    assert [200] * 10 == answers
    assert ["token-0"] == provider.refreshed


@pytest.mark.parametrize("error", [CredentialRefreshFailed("gone"), KeyError("vault")])
@in_both_colours
async def test_a_renewal_that_fails_is_the_answer(world: World, error: Exception) -> None:
    """Where renewing fails the error says that, with the refusal behind it."""
    provider = Provider(world)
    provider.fails = error
    world.vendor.otherwise = 401
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_colour(provider))

    with pytest.raises(CredentialRefreshFailed) as caught:
        await manager.call("vat", GET)

    assert AuthenticationFailed is type(caught.value.__cause__)


@in_both_colours
async def test_a_slow_renewal_ends_with_the_deadline(world: World) -> None:
    """Time spent renewing is the call's, and nothing is sent after its deadline."""
    provider = Provider(world)
    provider.slow = 60
    world.vendor.otherwise = 401
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_colour(provider))

    with pytest.raises(DeadlineExceeded):
        await manager.call("vat", GET, timeout=10)

    assert 1 == len(world.vendor.requests)


@pytest.mark.parametrize("timeout", [0.5, 10])
@pytest.mark.parametrize("before", [[], [503]])
@in_both_colours
async def test_waiting_for_a_renewal_ends_with_the_deadline(
    world: World, before: list[int], timeout: float
) -> None:
    """Who waits while another caller renews waits no longer than its deadline.

    What was refused has done nothing, but an attempt before it may have.
    """
    provider = Provider(world)
    world.vendor.answers(*before)
    world.vendor.otherwise = 401
    service = vat(needs_credentials=True, retry=RetryPolicy(2, 0))
    manager = world.manager(service, credentials=world.of_colour(provider))
    key = manager.manager._flows.plans.find("vat", None, None).refresh_key
    await world.locks.acquire(key, object(), places=1, queue=0, timeout=0)
    world.impatient = True

    with pytest.raises(DeadlineExceeded) as caught:
        await manager.call("vat", GET, timeout=timeout)

    assert (timeout, []) == (world.clock.now, provider.refreshed)
    assert bool(before) == caught.value.may_have_been_processed


@in_both_colours
async def test_what_is_awaited_has_what_is_left(world: World) -> None:
    """Transforms and providers are bounded by what is left of the call's deadline."""
    bounds: list[float] = []

    async def within(pending: Any, seconds: float) -> Any:
        bounds.append(seconds)
        return await pending

    def dawdle(message: Any) -> Any:
        world.clock.advance(4)
        return message

    service = vat(request_transforms=[dawdle, lambda request: request])
    core = attrs.evolve(world.manager().manager._flows.core, within=within)

    await Calling(core, [service]).call("vat", GET, timeout=10)

    assert [6.0, 6.0] == bounds


@in_both_colours
async def test_nothing_is_sent_when_the_time_is_over(world: World) -> None:
    """Where a transform took all the time there was, nothing is sent."""

    def dawdle(request: Request) -> Request:
        world.clock.advance(30)
        return request

    with pytest.raises(DeadlineExceeded) as caught:
        await world.manager(vat(request_transforms=dawdle)).call("vat", GET)

    assert not caught.value.may_have_been_processed
    assert [] == world.vendor.requests


def once() -> Iterator[bytes]:
    """A body that can be read once."""
    yield b"all of it"


@in_both_colours
async def test_a_single_use_body_is_not_sent_again_after_a_renewal(world: World) -> None:
    """A body that is gone cannot be sent with the new credential, which is kept for the next."""
    provider = Provider(world)
    world.vendor.answers(401)
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_colour(provider))

    with pytest.raises(AuthenticationFailed):
        await manager.call("vat", Request.post("/files", body=BodyStream.of(once())))

    assert (["token-0"], 1) == (provider.refreshed, len(world.vendor.requests))


@in_both_colours
async def test_a_missing_base_url_is_told(world: World) -> None:
    """A service that only protects functions sends no requests."""
    with pytest.raises(ConfigurationError) as caught:
        await world.manager(Service("vat")).call("vat", GET)

    assert ("base_url", "vat") == (caught.value.path, caught.value.service)
    assert "'vat' has no base_url" in caught.value.message
    assert "Give the service a base_url" in caught.value.remedy


@in_both_colours
async def test_another_origin_is_refused(world: World) -> None:
    """A request to another host than the service's is refused before anything is sent."""
    manager = world.manager(vat(request_transforms=lambda request: request))

    with pytest.raises(InvalidData, match="origin"):
        await manager.call("vat", Request.get("https://evil.example/rates"))

    assert [] == world.vendor.requests


@in_both_colours
async def test_another_origin_takes_no_turn(world: World) -> None:
    """A request that cannot be sent is refused before it takes from a limit."""
    manager = world.manager(vat(limits=RateLimitConfig(1)))

    with pytest.raises(InvalidData, match="origin"):
        await manager.call("vat", Request.get("https://evil.example/rates"))
    await manager.call("vat", GET)

    assert [] == world.sleeper.slept


@in_both_colours
async def test_the_status_told_is_this_attempts(world: World) -> None:
    """An attempt without an answer tells no status of the attempt before."""
    world.vendor.answers(503, AttemptTimeout("late"), 200)
    manager = world.watched(vat(retry=RetryPolicy(3, 0)))

    await manager.call("vat", GET)

    told = [event for event in world.events if type(event).__name__ == "AttemptFinished"]
    assert [(1, 503), (2, None), (3, 200)] == [(e.attempt, e.status) for e in told]  # type: ignore[attr-defined]


@in_both_colours
async def test_an_open_circuit_asks_no_provider(world: World) -> None:
    """What the circuit holds back costs no look at credentials."""
    provider = Provider(world)
    service = vat(needs_credentials=True, circuit=CircuitBreakerConfig())
    manager = world.manager(service, credentials=world.of_colour(provider))
    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)

    with pytest.raises(Exception, match="by hand"):
        await manager.call("vat", GET)

    assert [] == provider.asked
