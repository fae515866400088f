"""UK banks: signed request objects, codes, tokens for consents, and specified responses."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConsentRequired,
    CredentialRefreshFailed,
    Credentials,
    Hub,
    InvalidData,
    InvalidRequest,
    OAuthCredentials,
    PaymentDeclined,
    Request,
    Response,
    StorageUnavailable,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.credentials.cached import CachedCredentials
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.bank import (
    BalanceKind,
    ConsentRequest,
    ConsentStatus,
    Money,
    TransactionQuery,
)
from moorage.contracts.routes import Account
from moorage.domain.idempotency.claims import ClaimResult, Verdict
from moorage.testing.sandboxes.bank.base import RETURN_URL
from moorage.testing.sandboxes.bank.open_banking_uk import (
    AUTHORIZE,
    HOST,
    ISSUER,
    TOKENS,
    OpenBankingUkSandbox,
    options_of,
)
from moorage.testing.sandboxes.base import AlteredAnswer, SandboxHttpClient, reply
from moorage.vendors.bank._open_banking_uk_errors import (
    TOKEN_REFUSALS,
    owner_refusal,
    payer_refusal,
)
from moorage.vendors.bank.open_banking_uk import OpenBankingUk
from tests.vendors.bank_subjects import uk_bank_error, uk_consent

if TYPE_CHECKING:
    from moorage.contracts.bank import BankConsent
    from moorage.domain.http.requests import Timeouts

REQUEST = ConsentRequest(return_url=RETURN_URL, ip_address="192.0.2.7", language="EN")
PERIOD = TransactionQuery(since=date(2017, 1, 1), until=date(2031, 12, 31), pending=True)


def hub(sandbox: OpenBankingUkSandbox, *, store: Any = None, **options: Any) -> Hub:
    """Return a hub with an account for a UK bank."""
    fields: dict[str, Any] = {**options_of(sandbox), **options}
    account = Account("banks", OpenBankingUk(**fields), settings={"retry": None, "circuit": None})
    credentials = MemoryCredentialProvider() if store is None else store
    return Hub([account], http=SandboxHttpClient(sandbox), credentials=credentials)


def finished(sandbox: OpenBankingUkSandbox, bank: Any) -> BankConsent:
    """Return a consent after its owner has agreed at the bank and returned."""
    consent = bank.start_consent(REQUEST)
    sandbox.grant(consent.ref.id)
    result: BankConsent = bank.finish_consent(consent.ref, sandbox.returned_url(consent.link))
    return result


def parameters(link: str | None) -> dict[str, str]:
    """Return the parameters of a link."""
    return dict(parse_qsl(urlsplit(link or "").query))


def test_consent_asks_for_accounts_balances_and_transactions() -> None:
    """A consent is sent with its permissions, its end, and the owner's IP address."""
    sandbox = OpenBankingUkSandbox()
    extra = {"open_banking_uk": {"Data": {"TransactionFromDateTime": "2031-01-01T00:00:00+00:00"}}}
    request = attrs.evolve(REQUEST, days=10, extra=extra)
    before = datetime.now(UTC).date()
    hub(sandbox).bank().start_consent(request, idempotency_key="k-1")
    hub(sandbox).bank().start_consent(request, idempotency_key="k-1")

    first, second = sandbox.requests
    body = first.json()
    day = date.fromisoformat(body["Data"].pop("ExpirationDateTime").removesuffix("T23:59:59+00:00"))
    assert day - before in {timedelta(days=10), timedelta(days=11)}
    assert {
        "Data": {
            "Permissions": [
                "ReadAccountsDetail",
                "ReadBalances",
                "ReadTransactionsCredits",
                "ReadTransactionsDebits",
                "ReadTransactionsDetail",
            ],
            "TransactionFromDateTime": "2031-01-01T00:00:00+00:00",
        },
        "Risk": {},
    } == body
    assert "192.0.2.7" == first.headers["x-fapi-customer-ip-address"]
    name = "x-fapi-interaction-id"
    assert first.headers[name] == second.headers[name]


def test_read_requests_ask_for_json() -> None:
    """A request for accounts has an id of its own, and asks for JSON."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    for _ in range(2):
        bank.accounts(finished(sandbox, bank).ref)

    headers = [request.headers for request in sandbox.requests if request.method == "GET"]
    assert {"application/json"} == {item["accept"] for item in headers}
    ids = [item["x-fapi-interaction-id"] for item in headers]
    assert len(set(ids)) == len(ids) > 1


def test_link_has_a_signed_request_object() -> None:
    """The link repeats some parameters of a signed request object."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    consent, other = bank.start_consent(REQUEST), bank.start_consent(REQUEST)

    query = parameters(consent.link)
    claims = sandbox.claims_of(query.pop("request"))
    issued_at, id_ = claims.pop("iat"), claims.pop("jti")
    intent = {"openbanking_intent_id": {"value": consent.ref.id, "essential": True}}
    values = ["urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca"]
    assert (consent.link or "").startswith(f"{AUTHORIZE}?")
    assert {
        "iss": sandbox.client_id,
        "aud": ISSUER,
        "client_id": sandbox.client_id,
        "response_type": "code id_token",
        "scope": "openid accounts",
        "redirect_uri": RETURN_URL,
        "ui_locales": "en",
        "code_challenge_method": "S256",
        "nbf": issued_at,
        "exp": issued_at + 3_600,
        "claims": {
            "userinfo": intent,
            "id_token": {**intent, "acr": {"essential": True, "values": values}},
        },
        **{name: claims[name] for name in ("state", "nonce", "code_challenge")},
    } == claims
    assert {name: claims[name] for name in query} == query
    assert {"client_id", "response_type", "scope"} <= query.keys()
    other_claims = sandbox.claims_of(parameters(other.link)["request"])
    for name in ("state", "nonce", "code_challenge", "jti"):
        assert other_claims[name] not in {id_, claims.get(name)}


def test_repeat_of_a_consent_has_the_same_link() -> None:
    """Repeating `start_consent` returns the stored link, or no link once the owner has returned."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    consent, repeated_consent = (
        bank.start_consent(REQUEST, idempotency_key="k-1") for _ in range(2)
    )
    assert consent.link == repeated_consent.link is not None
    sandbox.grant(consent.ref.id)
    bank.finish_consent(consent.ref, sandbox.returned_url(consent.link or ""))

    assert None is bank.start_consent(REQUEST, idempotency_key="k-1").link
    assert 2 == len(bank.accounts(consent.ref))


def test_tokens_are_kept_under_the_consent() -> None:
    """The code is exchanged once; its tokens are stored by tenant and consent, and never shown."""
    sandbox, store = OpenBankingUkSandbox(), MemoryCredentialProvider()
    bank = hub(sandbox, store=store).bank("acme")
    consent = finished(sandbox, bank)
    accounts = bank.accounts(consent.ref)

    tokens = store.get(f"banks/{consent.ref.id}", "acme")
    assert isinstance(tokens, OAuthCredentials)
    assert tokens.refresh_token is not None
    assert not store.has(f"banks/{consent.ref.id}", None)
    kinds = [dict(item.form)["grant_type"] for item in sandbox.tokens.requests]
    assert ["client_credentials", "authorization_code"] == kinds
    texts = f"{consent!r}{accounts!r}{[str(item.ref) for item in accounts]}"
    assert tokens.access_token.reveal() not in texts
    assert {} == sandbox.tokens.codes


def test_consent_is_pending_until_the_owner_returns() -> None:
    """Until the owner returns, a consent that was authorised at the bank is pending."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref = bank.start_consent(REQUEST).ref
    sandbox.grant(ref.id)

    consent = bank.get_consent(ref)
    assert (ConsentStatus.PENDING, "AUTH") == (consent.status, consent.vendor_status)
    with pytest.raises(ConsentRequired, match="The consent is pending"):
        bank.accounts(ref)


@pytest.mark.parametrize(
    "fragment", ["code=1&state=of-another-owner", "code=1", "response=a.b.c", "", "code=1&code=2"]
)
def test_url_of_another_consent_is_refused(fragment: str) -> None:
    """A return URL with another consent's state is refused before anything is sent."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    consent = bank.start_consent(REQUEST)
    sandbox.grant(consent.ref.id)
    count = len(sandbox.tokens.requests)

    with pytest.raises(InvalidData):
        bank.finish_consent(consent.ref, f"{RETURN_URL}#{fragment}")
    assert count == len(sandbox.tokens.requests)


def test_code_may_be_in_the_query() -> None:
    """A bank may return the code in the query, beside the application's own parameters."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    consent = bank.start_consent(REQUEST)
    sandbox.grant(consent.ref.id)
    url = sandbox.returned_url(consent.link or "").replace("#", "?own=1&")

    assert ConsentStatus.GRANTED is bank.finish_consent(consent.ref, url).status


def test_refused_consent_is_distinguished_from_open_one() -> None:
    """A consent is refused only if the bank says so; otherwise ConsentRequired is raised."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    consent = bank.start_consent(REQUEST)
    url = sandbox.returned_url(consent.link or "")
    with pytest.raises(ConsentRequired, match="access_denied"):
        bank.finish_consent(consent.ref, url)
    sandbox.refuse(consent.ref.id)

    assert ConsentStatus.REFUSED is bank.finish_consent(consent.ref, url).status


def test_error_of_the_configuration_is_no_refusal() -> None:
    """An error in the return URL that the owner did not cause is not reported as a refusal."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    consent = bank.start_consent(REQUEST)
    state = parameters(consent.link)["state"]

    with pytest.raises(CredentialRefreshFailed, match="invalid_request_object"):
        bank.finish_consent(consent.ref, f"{RETURN_URL}#error=invalid_request_object&state={state}")


def test_code_works_once() -> None:
    """A code that the bank does not accept any more raises ConsentRequired."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    consent = bank.start_consent(REQUEST)
    sandbox.grant(consent.ref.id)
    url = sandbox.returned_url(consent.link or "")
    sandbox.tokens.codes.clear()

    with pytest.raises(ConsentRequired) as excinfo:
        bank.finish_consent(consent.ref, url)
    assert "invalid_grant" == excinfo.value.vendor_code


def with_claims(response: Response, **changed: object) -> Response:
    """Return a token response whose ID token has other claims."""
    body = response.json()
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": ISSUER, "aud": "erp-at-the-bank", "exp": now + 60, "iat": now, **changed}
    part = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return reply({**body, "id_token": f"e30.{part}.e30"})


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"nonce": "of-another"}, "belongs to another consent"),
        ({"iss": "https://elsewhere.example"}, "is from another issuer"),
        ({"aud": "another"}, "is for another client"),
        (None, "is missing"),
    ],
)
def test_id_token_must_belong_to_the_consent(changed: dict[str, str] | None, words: str) -> None:
    """If the ID token is missing or belongs to another consent, no tokens are stored."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    consent = bank.start_consent(REQUEST)
    sandbox.grant(consent.ref.id)
    url = sandbox.returned_url(consent.link or "")

    def alter(response: Response) -> Response:
        if changed is None:
            body = response.json()
            return reply({name: body[name] for name in ("access_token", "token_type")})
        return with_claims(response, **changed)

    sandbox.tokens.fail(AlteredAnswer(alter))
    with pytest.raises(VendorFailed, match=words):
        bank.finish_consent(consent.ref, url)
    assert ConsentStatus.PENDING is bank.get_consent(consent.ref).status


def test_unreadable_token_is_an_error() -> None:
    """A response of the token endpoint without an access token raises VendorFailed."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    consent = bank.start_consent(REQUEST)
    sandbox.grant(consent.ref.id)
    url = sandbox.returned_url(consent.link or "")
    sandbox.tokens.fail(reply({"token_type": "Bearer"}))

    with pytest.raises(VendorFailed, match="access_token"):
        bank.finish_consent(consent.ref, url)


def test_expired_token_is_renewed() -> None:
    """The consent's refresh token renews an expired access token, and is kept."""
    sandbox, store = OpenBankingUkSandbox(), MemoryCredentialProvider()
    sandbox.lifetime = 1
    bank = hub(sandbox, store=store).bank()
    ref = finished(sandbox, bank).ref
    first = store.get(f"banks/{ref.id}", None)
    sandbox.lifetime = 3_600
    bank.accounts(ref)
    bank.accounts(ref)

    second = store.get(f"banks/{ref.id}", None)
    assert isinstance(first, OAuthCredentials)
    assert isinstance(second, OAuthCredentials)
    assert first.access_token != second.access_token
    assert first.refresh_token == second.refresh_token
    assert 1 == refresh_count(sandbox)


@pytest.mark.parametrize("has_refresh_token", [True, False])
def test_token_that_cannot_be_renewed_needs_a_consent(has_refresh_token: bool) -> None:
    """If the refresh token is missing or refused, the owner has to agree again."""
    sandbox, store = OpenBankingUkSandbox(), MemoryCredentialProvider()
    sandbox.lifetime = 1
    bank = hub(sandbox, store=store).bank()
    ref = finished(sandbox, bank).ref
    sandbox.tokens.refresh_tokens.clear()
    if not has_refresh_token:
        tokens = store.get(f"banks/{ref.id}", None)
        assert isinstance(tokens, OAuthCredentials)
        store.rotate(f"banks/{ref.id}", None, attrs.evolve(tokens, refresh_token=None))

    with pytest.raises(ConsentRequired):
        bank.accounts(ref)


class _RenewedMeanwhile(MemoryCredentialProvider):
    """A store that simulates another process: newer tokens replace the old ones just read."""

    newer: Credentials | OAuthCredentials | None = None

    def get(self, service: str, tenant: str | None) -> Any:
        credentials = super().get(service, tenant)
        if self.newer is not None and service.startswith("banks/"):
            self.rotate(service, tenant, self.newer)
        return credentials


def test_tokens_renewed_by_another_process_are_used() -> None:
    """If another process has used the refresh token, the newer tokens that it stored are used."""
    sandbox, store = OpenBankingUkSandbox(), _RenewedMeanwhile()
    sandbox.lifetime = 1
    bank = hub(sandbox, store=store).bank()
    ref = finished(sandbox, bank).ref
    sandbox.tokens.refresh_tokens.clear()
    sandbox.tokens.consents_of_tokens["newer-token"] = ref.id
    store.newer = OAuthCredentials(access_token="newer-token", issued_at=datetime.now(UTC))

    assert 2 == len(bank.accounts(ref))


class _BusyState:
    """A state store that sets an event as soon as one caller has to wait for another's claim."""

    def __init__(self) -> None:
        self._store = MemoryStorage()
        self.busy = Event()

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Execute a command, and set the event if a claim belongs to another caller."""
        reply = self._store.execute(command, timeout)
        if isinstance(reply, ClaimResult) and reply.verdict is Verdict.BUSY:
            self.busy.set()
        return reply

    def post(self, command: Any, /) -> None:
        """Execute a command later."""
        self._store.post(command)


class _SlowRefreshes(SandboxHttpClient):
    """A client whose first refresh ends when a second caller waits for it, or refreshes too."""

    def __init__(self, sandbox: OpenBankingUkSandbox, end: Event) -> None:
        super().__init__(sandbox)
        self.started = Event()
        self._end = end

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request to the sandbox."""
        if url == TOKENS and b"refresh_token" in cast("bytes", request.body):
            if self.started.is_set():
                self._end.set()
            self.started.set()
            assert self._end.wait(120)
        return super().send(request, url, timeouts)


def refresh_count(sandbox: OpenBankingUkSandbox) -> int:
    """Return how many times a refresh token was sent."""
    kinds = [dict(item.form)["grant_type"] for item in sandbox.tokens.requests]
    return kinds.count("refresh_token")


def test_one_process_renews_the_tokens_of_a_consent() -> None:
    """While one process renews a consent's tokens, another waits and uses the stored tokens."""
    sandbox, store, state = OpenBankingUkSandbox(), MemoryCredentialProvider(), _BusyState()
    sandbox.lifetime = 1
    ref = finished(sandbox, hub(sandbox, store=store).bank()).ref
    sandbox.lifetime = 3_600
    client = _SlowRefreshes(sandbox, state.busy)
    fields: dict[str, Any] = options_of(sandbox)
    account = Account("banks", OpenBankingUk(**fields), settings={"circuit": None})
    ports: dict[str, Any] = {"http": client, "credentials": store, "state": state}
    with (
        Hub([account], **ports) as one,
        Hub([account], **ports) as other,
        ThreadPoolExecutor() as threads,
    ):
        first = threads.submit(one.bank().accounts, ref)
        assert client.started.wait(120)
        second = threads.submit(other.bank().accounts, ref)
        assert first.result() == second.result()

    assert 1 == refresh_count(sandbox)


def test_cached_tokens_that_another_process_renewed_are_not_renewed_again() -> None:
    """A process whose cache still has the old tokens reads the store, and does not renew them."""
    sandbox, store, state = OpenBankingUkSandbox(), MemoryCredentialProvider(), MemoryStorage()
    sandbox.lifetime = 1
    ref = finished(sandbox, hub(sandbox, store=store).bank()).ref
    cache = CachedCredentials(store)
    cache.get(f"banks/{ref.id}", None)
    sandbox.lifetime = 3_600
    fields: dict[str, Any] = options_of(sandbox)
    account = Account("banks", OpenBankingUk(**fields), settings={"circuit": None})
    ports: dict[str, Any] = {"http": SandboxHttpClient(sandbox), "state": state}
    with (
        Hub([account], credentials=store, **ports) as one,
        Hub([account], credentials=cache, **ports) as other,
    ):
        assert one.bank().accounts(ref) == other.bank().accounts(ref)

    assert 1 == refresh_count(sandbox)


class _InterruptedStore(MemoryCredentialProvider):
    """A store of credentials whose next write is interrupted."""

    interruption: BaseException | None = None

    def rotate(
        self, service: str, tenant: str | None, credentials: Credentials | OAuthCredentials
    ) -> None:
        """Store credentials, or raise the interruption once."""
        if self.interruption is not None:
            interruption, self.interruption = self.interruption, None
            raise interruption
        super().rotate(service, tenant, credentials)


@pytest.mark.parametrize(
    "interruption", [KeyboardInterrupt(), StorageUnavailable("The store is down.")], ids=repr
)
def test_new_token_is_stored_later_if_its_caller_was_interrupted(
    interruption: BaseException,
) -> None:
    """If storing a new token is interrupted, the next renewal stores it and requests no other."""
    sandbox, store = OpenBankingUkSandbox(), _InterruptedStore()
    sandbox.lifetime = 1
    bank = hub(sandbox, store=store).bank()
    ref = finished(sandbox, bank).ref
    sandbox.lifetime = 3_600
    store.interruption = interruption
    with pytest.raises(type(interruption)):
        bank.accounts(ref)

    assert 2 == len(bank.accounts(ref))
    assert 1 == refresh_count(sandbox)


def test_failed_renewal_leaves_the_next_one_to_another_caller() -> None:
    """After a renewal that failed, the next operation renews the tokens."""
    sandbox, store = OpenBankingUkSandbox(), MemoryCredentialProvider()
    sandbox.lifetime = 1
    bank = hub(sandbox, store=store).bank()
    ref = finished(sandbox, bank).ref
    sandbox.lifetime = 3_600
    sandbox.tokens.fail(reply({}, 503))
    with pytest.raises(VendorFailed):
        bank.accounts(ref)

    assert 2 == len(bank.accounts(ref))


def test_application_may_authenticate_by_certificate() -> None:
    """With `tls_client_auth`, the token requests have the client's id and no assertion."""
    sandbox = OpenBankingUkSandbox(by_certificate=True)
    bank = hub(sandbox, authentication="tls_client_auth").bank()
    finished(sandbox, bank)

    forms = [dict(item.form) for item in sandbox.tokens.requests]
    assert 2 == len(forms)
    assert {sandbox.client_id} == {form["client_id"] for form in forms}
    assert not [form for form in forms if "client_assertion" in form]


def test_assertions_are_signed_with_the_key_of_the_application() -> None:
    """With `private_key_jwt`, each token request has an assertion for the token endpoint."""
    sandbox = OpenBankingUkSandbox()
    finished(sandbox, hub(sandbox).bank())

    claims = [
        sandbox.claims_of(dict(item.form)["client_assertion"]) for item in sandbox.tokens.requests
    ]
    assert [(sandbox.client_id, TOKENS)] * 2 == [(item["sub"], item["aud"]) for item in claims]


def test_key_must_fit_the_algorithm() -> None:
    """PS256 needs an RSA key, and ES256 a P-256 key; another algorithm is refused."""
    rsa_options: dict[str, Any] = options_of(OpenBankingUkSandbox())
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    other_key: dict[str, Any] = {"signing_key": pem, "algorithm": "ES256"}
    OpenBankingUk(**rsa_options | other_key)
    wrong_options: list[tuple[dict[str, Any], str]] = [
        ({"algorithm": "ES256"}, "signing_key"),
        ({"signing_key": pem}, "signing_key"),
        ({"signing_key": "no key"}, "signing_key"),
        ({"algorithm": "RS256"}, "algorithm"),
        ({"authentication": "client_secret_basic"}, "authentication"),
    ]
    for wrong, path in wrong_options:
        with pytest.raises(ConfigurationError) as excinfo:
            OpenBankingUk(**rsa_options | wrong)
        assert path == excinfo.value.path


ENDED = """
    TK01 TKSP TKXP U009 U028 UK.OBIE.Reauthenticate UK.OBIE.Resource.InvalidConsentStatus
"""
MISSING = "U011 UK.OBIE.Resource.NotFound"
SIGNATURES = """
    U015 U016 U017 U018 U019 U020 UK.OBIE.Signature.Invalid UK.OBIE.Signature.InvalidClaim
    UK.OBIE.Signature.Malformed UK.OBIE.Signature.Missing UK.OBIE.Signature.MissingClaim
    UK.OBIE.Signature.Unexpected
"""


@pytest.mark.parametrize(
    "codes, kind, kind_of_payment",
    [
        (ENDED, ConsentRequired, ConsentRequired),
        (MISSING, ConsentRequired, VendorRejected),
        (SIGNATURES, InvalidRequest, AuthenticationFailed),
        ("AM04", InvalidRequest, PaymentDeclined),
        ("U999", InvalidRequest, InvalidRequest),
    ],
)
def test_codes_of_a_bank_in_the_uk_have_error_classes(
    codes: str, kind: type[Exception], kind_of_payment: type[Exception]
) -> None:
    """Each code of an error response means that a consent ended, or that the request is wrong."""
    request = Request.post("/domestic-payments")
    for code in codes.split():
        response = reply({"Errors": [{"ErrorCode": code, "Message": "No."}]}, 400)
        assert kind is type(owner_refusal(request, response))
        assert kind_of_payment is type(payer_refusal(request, response))


@pytest.mark.parametrize(
    "code, kind",
    [
        ("invalid_grant", ConsentRequired),
        ("invalid_client", AuthenticationFailed),
        ("unauthorized_client", AuthenticationFailed),
        ("invalid_scope", InvalidRequest),
    ],
)
def test_codes_of_a_token_endpoint_have_error_classes(code: str, kind: type[Exception]) -> None:
    """A refused token means that the consent ended, or that the client's credentials are wrong."""
    response = reply({"error": code, "error_description": "No."}, 400)

    assert kind is type(TOKEN_REFUSALS(Request.post("/token"), response))


def test_unknown_application_id_raises_authentication_failed() -> None:
    """If the token endpoint does not know the client, AuthenticationFailed is raised."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    consent = bank.start_consent(REQUEST)
    sandbox.grant(consent.ref.id)
    url = sandbox.returned_url(consent.link or "")
    sandbox.tokens.fail(reply({"error": "invalid_client"}, 401))

    with pytest.raises(AuthenticationFailed):
        bank.finish_consent(consent.ref, url)


def test_revocation_deletes_consent_and_tokens() -> None:
    """Revoking deletes the consent at the bank and its tokens, and the state stays revoked."""
    sandbox, store = OpenBankingUkSandbox(), MemoryCredentialProvider()
    bank = hub(sandbox, store=store).bank()
    ref = finished(sandbox, bank).ref
    bank.revoke_consent(ref)
    assert ({}, Credentials.none()) == (sandbox.consents, store.get(f"banks/{ref.id}", None))

    count = len(sandbox.requests)
    assert ConsentStatus.REVOKED is bank.get_consent(ref).status
    assert count == len(sandbox.requests)
    sandbox.fail(uk_bank_error(403, "U028"))
    with pytest.raises(ConsentRequired):
        bank.revoke_consent(ref)


def test_state_of_a_finished_consent() -> None:
    """The states of both API versions are read; a consent whose period is over has expired."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref = finished(sandbox, bank).ref
    times = {"ExpirationDateTime": "2031-05-06T23:59:59+00:00"}
    words = {
        "AUTH": ConsentStatus.GRANTED,
        "Authorised": ConsentStatus.GRANTED,
        "CANC": ConsentStatus.REVOKED,
        "Revoked": ConsentStatus.REVOKED,
        "EXPD": ConsentStatus.EXPIRED,
    }
    for word, status in words.items():
        sandbox.fail(uk_consent(word, **times))
        consent = bank.get_consent(ref)
        assert (status, date(2031, 5, 6)) == (consent.status, consent.valid_until)
    sandbox.fail(uk_consent("AUTH", ExpirationDateTime="2020-05-06T23:59:59+00:00"))
    assert ConsentStatus.EXPIRED is bank.get_consent(ref).status


ACCOUNT = {
    "AccountId": "22289",
    "Status": "Enabled",
    "Currency": "GBP",
    "AccountCategory": "Personal",
    "AccountTypeCode": "CACC",
    "Description": "For paying bills",
    "Nickname": "Bills",
    "Servicer": {"SchemeName": "UK.OBIE.BICFI", "Identification": "BARCGB22", "Name": "Bank"},
    "Account": [
        {
            "SchemeName": "UK.OBIE.SortCodeAccountNumber",
            "Identification": "80200110203345",
            "Name": "Mr Kevin",
            "SecondaryIdentification": "00021",
        }
    ],
}
"""An account, as an example of the specification has it."""
TRANSACTION = {
    "AccountId": "22289",
    "TransactionId": "123",
    "TransactionReference": "Ref 1",
    "Amount": {"Amount": "10.00", "Currency": "GBP"},
    "CreditDebitIndicator": "Debit",
    "Status": "BOOK",
    "BookingDateTime": "2017-04-05T10:43:07+00:00",
    "ValueDateTime": "2017-04-05T10:45:22+00:00",
    "TransactionInformation": "Cash from Aubrey",
    "BankTransactionCode": {"Code": "ReceivedCreditTransfer", "SubCode": "DomesticCreditTransfer"},
    "ProprietaryBankTransactionCode": {"Code": "Transfer", "Issuer": "AlphaBank"},
    "MerchantDetails": {"MerchantName": "Merchant's Name", "MerchantCategoryCode": "5874"},
}
"""A transaction, as an example of the specification has it."""


def answer(name: str, *items: dict[str, Any], **links: str) -> Response:
    """Return a bank's response with a list of objects."""
    return reply({"Data": {name: list(items)}, "Links": links, "Meta": {}})


def test_account_with_a_sort_code() -> None:
    """An account without an IBAN has the sort code, the account number and the owner's name."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref = finished(sandbox, bank).ref
    sandbox.fail(answer("Account", ACCOUNT, {"AccountId": "31820"}))
    account, bare = bank.accounts(ref)

    assert (None, "80200110203345", "Mr Kevin", "Bills") == (
        account.iban,
        account.number,
        account.owner,
        account.name,
    )
    assert account.bic is not None
    assert ("BARCGB22", "GBP", "Enabled") == (
        account.bic.value,
        account.currency,
        account.vendor_status,
    )
    assert (None, None) == (bare.number, bare.owner)
    assert f"open_banking_uk:banks:22289?consent={ref.id}" == str(account.ref)
    sandbox.fail(answer("Account", {"Currency": "GBP"}))
    with pytest.raises(VendorFailed, match="AccountId"):
        bank.accounts(ref)


def test_balances_with_and_without_credit() -> None:
    """A debit balance is negative; `with_credit` says if the amount includes a credit line."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(finished(sandbox, bank).ref)[0].ref
    line = {"Included": True, "Amount": {"Amount": "1000.00", "Currency": "GBP"}}
    amount = {"Amount": {"Amount": "57.36", "Currency": "GBP"}, "CreditDebitIndicator": "Debit"}
    words = ("ITBD", "InterimAvailable", "OPBD", "XPCD", "FWAV", "PRCD")
    sandbox.fail(
        answer(
            "Balance",
            *({"Type": word, "DateTime": "2017-05-02T14:22:09+00:00", **amount} for word in words),
            {"Type": "CLAV", **amount, "CreditDebitIndicator": "Credit", "CreditLine": [line]},
        )
    )
    balances = bank.balances(account)

    assert [
        BalanceKind.BOOKED,
        BalanceKind.AVAILABLE,
        BalanceKind.OPENING,
        BalanceKind.EXPECTED,
        BalanceKind.FORWARD,
        BalanceKind.UNKNOWN,
        BalanceKind.AVAILABLE,
    ] == [item.kind for item in balances]
    assert (Money("-57.36", "GBP"), None) == (balances[0].amount, balances[0].with_credit)
    assert (Money("57.36", "GBP"), True) == (balances[-1].amount, balances[-1].with_credit)
    assert datetime(2017, 5, 2, 14, 22, 9, tzinfo=UTC) == balances[0].at


def test_transactions_of_both_versions() -> None:
    """Booked and pending transactions are listed apart; entries of another status are left out."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(finished(sandbox, bank).ref)[0].ref
    states = ("BOOK", "Booked", "PDNG", "Pending", "RJCT", "Rejected", "INFO", "FUTR")
    sandbox.fail(answer("Transaction", *({**TRANSACTION, "Status": word} for word in states)))
    page = bank.transactions(account, PERIOD)

    assert (2, 2) == (len(page.booked), len(page.pending))
    entry = page.booked[0].entry
    assert (Money("-10.00", "GBP"), "Ref 1", "Transfer", None) == (
        entry.amount,
        entry.bank_reference,
        entry.bank_code,
        entry.code,
    )
    assert (date(2017, 4, 5), None) == (entry.booked_on, page.pending[0].entry.booked_on)
    payment = entry.transactions[0]
    assert ("Merchant's Name", "Cash from Aubrey") == (
        payment.counterparty.name,
        payment.remittance,
    )
    sandbox.fail(reply({"Data": {}, "Links": {}, "Meta": {}}))
    assert () == bank.transactions(account, PERIOD).booked


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/open-banking/v4.0/aisp/accounts/22289/transactions?pg=1",
        f"https://{HOST}/open-banking/v4.0/aisp/accounts/22290/transactions?pg=1",
        f"https://{HOST}/open-banking/v4.0/aisp/accounts/22289/transactions",
        "https://[",
    ],
)
def test_link_to_another_page_is_refused(link: str) -> None:
    """A link to the next page is refused unless it leads to the same account's transactions."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(finished(sandbox, bank).ref)[0].ref
    sandbox.fail(answer("Transaction", TRANSACTION, Next=link))

    with pytest.raises(VendorFailed, match="next page"):
        bank.transactions(account, PERIOD)


def test_period_is_in_days() -> None:
    """A query begins at the first second of its first day, and ends at the last of its last day."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(finished(sandbox, bank).ref)[0].ref
    bank.transactions(account, PERIOD)
    bank.transactions(account)

    first, second = (dict(item.query) for item in sandbox.requests[-2:])
    assert {
        "fromBookingDateTime": "2017-01-01T00:00:00",
        "toBookingDateTime": "2031-12-31T23:59:59",
    } == first
    assert ["fromBookingDateTime"] == [*second]


def test_refusal_without_a_body_needs_a_consent() -> None:
    """If a bank refuses the owner's token without a body, the owner has to agree again."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref = finished(sandbox, bank).ref
    sandbox.fail(Response(401))
    with pytest.raises(ConsentRequired, match="access token of the consent is not valid"):
        bank.accounts(ref)


def test_first_error_is_shown() -> None:
    """An error has the code and message of the response's first error, or else of the response."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref = finished(sandbox, bank).ref
    errors = [{"ErrorCode": "U004", "Message": "Missing."}, {"ErrorCode": "U027"}]
    sandbox.fail(reply({"Id": "1", "Code": "400 BadRequest", "Errors": errors}, 400))
    with pytest.raises(InvalidRequest) as excinfo:
        bank.accounts(ref)
    assert ("U004", "Missing.") == (excinfo.value.vendor_code, excinfo.value.vendor_message)
    sandbox.fail(reply({"Code": "400 BadRequest", "Message": "Wrong.", "Errors": []}, 400))
    with pytest.raises(InvalidRequest, match=r"Wrong\.") as excinfo:
        bank.accounts(ref)
    assert "400 BadRequest" == excinfo.value.vendor_code


def test_sandbox_checks_what_a_bank_checks() -> None:
    """The sandbox refuses links and requests that a bank would refuse."""
    sandbox = OpenBankingUkSandbox()
    consent = hub(sandbox).bank().start_consent(REQUEST)
    link = consent.link or ""
    wrong_links = (
        link.replace(AUTHORIZE, "https://elsewhere.example/"),
        link.replace("state=", "state=another"),
        link.replace("request=", "request=x"),
        link.replace("request=", "unsigned="),
    )
    for wrong in wrong_links:
        with pytest.raises(AssertionError, match="no valid request object"):
            sandbox.returned_url(wrong)
