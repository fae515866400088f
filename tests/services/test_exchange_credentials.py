"""The credentials and the signature of an HTTP exchange."""

from __future__ import annotations

import hmac
import re
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    AwsSigV4,
    CircuitBreakerConfig,
    CircuitState,
    CredentialNotFound,
    Credentials,
    HmacSigning,
    InvalidData,
    JwtSigning,
    MessageSignature,
    OAuthCredentials,
    Request,
    Response,
    RetryPolicy,
    Secret,
)
from tests.services.renewed_tokens import Provider, vat
from tests.services.vat import GET
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from tests.support.virtual_ports import SentRequest


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
@sync_and_async
async def test_credentials_are_applied_to_the_request(
    harness: Harness, credentials: Credentials, headers: dict[str, str], query: str
) -> None:
    """A service's own credentials are sent with the request, but not shown in the response URL."""

    async def answer_with_url(sent: SentRequest) -> Response:
        return Response(200, url=sent.url)

    harness.vendor.answers(answer_with_url)
    answer = await harness.manager(vat(credentials=credentials)).call("vat", GET)

    (sent_request,) = harness.vendor.requests
    assert "https://vat.example/v1/rates" == answer.url
    assert (headers, f"https://vat.example/v1/rates{query}") == (
        dict(sent_request.request.headers),
        sent_request.url,
    )


@sync_and_async
async def test_provider_gets_the_tenant(harness: Harness) -> None:
    """If a service has no credentials, the provider gives the tenant's, once per call."""
    provider = Provider(harness)
    harness.vendor.answers(503)
    service = vat(needs_credentials=True, retry=RetryPolicy(2, 0))
    manager = harness.manager(service, credentials=harness.of_mode(provider))

    await manager.call("vat", GET, tenant="acme")

    assert [("vat", "acme")] == provider.asked
    assert ["Bearer token-0"] * 2 == [s.header("authorization") for s in harness.vendor.requests]


@sync_and_async
async def test_each_attempt_is_signed_again_with_its_own_time(harness: Harness) -> None:
    """Each attempt is signed again with its own time, after all transforms."""
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
    harness.vendor.answers(503)

    await harness.manager(service).call("vat", GET)

    first, second = harness.vendor.requests
    text = b"GET https://vat.example/v1/rates?key=me 1"
    signature = hmac.digest(b"h1dden", text, "sha256").hex()
    for sent_request in (first, second):
        assert f"https://vat.example/v1/rates?key=me&signature={signature}" == sent_request.url
    times = [int(sent_call.request.headers["x-time"]) for sent_call in (first, second)]
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
@sync_and_async
async def test_each_kind_of_signing_credentials_signs_a_request(
    harness: Harness, signing: Any, header: str, begins: str
) -> None:
    """A request can be signed by each kind of signing credentials."""
    await harness.manager(vat(credentials=Credentials.signed(signing, "k"))).call("vat", GET)

    (requests,) = harness.vendor.requests
    assert requests.request.headers[header].startswith(begins)


@sync_and_async
async def test_unsignable_request_is_not_sent(harness: Harness) -> None:
    """A request without a part that must be signed is refused, and the error hides the key."""
    signing = HmacSigning(signs="{header:x-a}", headers={"S": "{signature}"})
    service = vat(credentials=Credentials.signed(signing, "h1dden"))

    with pytest.raises(InvalidData, match="covers the header 'x-a'") as excinfo:
        await harness.manager(service).call("vat", GET)

    assert [] == harness.vendor.requests
    shown_error = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
    assert "h1dden" not in "".join(shown_error.format())


@sync_and_async
async def test_own_credentials_precede_the_provider(harness: Harness) -> None:
    """A service's own credentials are never replaced by the provider's."""
    provider = Provider(harness)
    harness.vendor.otherwise = 401
    service = vat(needs_credentials=True, credentials=Credentials.bearer("own"))

    with pytest.raises(AuthenticationFailed):
        await harness.manager(service, credentials=harness.of_mode(provider)).call("vat", GET)

    assert ([], []) == (provider.asked, provider.refreshed)


@sync_and_async
async def test_missing_provider_raises_an_error(harness: Harness) -> None:
    """A service that needs credentials without a provider raises an error and sends nothing."""
    with pytest.raises(CredentialNotFound) as excinfo:
        await harness.manager(vat(needs_credentials=True)).call("vat", GET)

    assert ("vat", []) == (excinfo.value.service, harness.vendor.requests)


@pytest.mark.parametrize("value", [KeyError("vault://hunter2"), "hunter2", None])
@sync_and_async
async def test_foreign_provider_errors_become_credential_not_found(
    harness: Harness, value: object
) -> None:
    """A provider's unexpected error or value becomes CredentialNotFound, without its text."""
    provider = Provider(harness)
    provider.given = value if value is not None else 0
    service = vat(needs_credentials=True)

    type_name = type(value if value is not None else 0).__name__
    with pytest.raises(CredentialNotFound, match=f"credential provider .* {type_name}") as excinfo:
        await harness.manager(service, credentials=harness.of_mode(provider)).call("vat", GET)

    assert "hunter2" not in repr(excinfo.value)
    assert re.search("may raise only|so that it returns", excinfo.value.remedy)
    assert [] == harness.vendor.requests


@sync_and_async
async def test_call_without_credential_is_retried(harness: Harness) -> None:
    """If a write found no credential, nothing was sent, so the write may be retried."""
    provider = Provider(harness)
    provider.given = CredentialNotFound("the vault is sealed.", retryable=True)
    service = vat(needs_credentials=True, retry=RetryPolicy(2, 1))
    manager = harness.manager(service, credentials=harness.of_mode(provider))

    async def unseal() -> None:
        provider.given = None

    harness.sleeper.meanwhile.append(unseal)

    assert 200 == (await manager.call("vat", Request.post("/orders", json=1))).status


@sync_and_async
async def test_open_circuit_asks_no_provider(harness: Harness) -> None:
    """A call that the circuit refuses does not ask the credential provider."""
    provider = Provider(harness)
    service = vat(needs_credentials=True, circuit=CircuitBreakerConfig())
    manager = harness.manager(service, credentials=harness.of_mode(provider))
    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)

    with pytest.raises(Exception, match="by hand"):
        await manager.call("vat", GET)

    assert [] == provider.asked
