"""A host's simulated calls, grouped by topic, whose output is searched for leaked secrets."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from moorage import (
    BulkheadConfig,
    CircuitBreakerConfig,
    ConnectorError,
    Credentials,
    HedgeConfig,
    OAuthCredentials,
    RateLimitConfig,
    Request,
    RetryPolicy,
    Secret,
    Service,
    VendorRejected,
    WebhookVerifier,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.cached import AsyncCachedCredentials, CachedCredentials
from moorage.adapters.credentials.environment import EnvironmentCredentialProvider
from moorage.adapters.credentials.file import AsyncFileCredentialProvider, FileCredentialProvider
from moorage.adapters.credentials.sqlite import (
    AsyncSqliteCredentialProvider,
    SqliteCredentialProvider,
)
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.domain.http.transport import Proxy
from moorage.domain.idempotency.claims import Claim
from moorage.domain.signing.azure import AzureSharedKey
from moorage.domain.signing.hmac_signing import HmacSigning
from moorage.domain.signing.jwt import JwtAlgorithm, JwtSigning
from moorage.domain.signing.keys import SignatureAlgorithm
from moorage.domain.signing.message import MessageSignature
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.testing.cassettes.cassette import Cassette
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.fakes.http_tls import tls_pair
from moorage.wiring.store_urls import aopen_storage, open_storage
from tests.security.bound_tokens import bound_tokens
from tests.security.kept_answers import cached_responses
from tests.security.renewed_tokens import renewed_tokens
from tests.security.shared import await_if_needed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.testing.fakes.http_server import ReceivedRequest
    from tests.security.day import Observations


CARD: Final = "4000056655665556"
IBAN: Final = "DE75512108001245126199"

_NOT_HTTP: Final = b"SSH-2.0-OpenSSH_9.6\r\n"


class ForeignError(Exception):
    """An exception of another library, with data in all its fields."""


def script(vendor: VendorServer, day: Observations) -> None:
    """Make a vendor respond as a request's path demands; each response repeats the request."""
    add_secret = day.plant
    key = add_secret("echoed-token", "sk_live_4eC39HqLyjWDarjtT1zdp7dc")
    secret_words = {
        "code": "E1",
        "message": f"password={add_secret('echoed-password')} is wrong, see {key}",
        "secret": add_secret("echoed-secret"),
    }
    cookie = f"sid={add_secret('set-cookie')}; HttpOnly"
    location = f"https://elsewhere.example/?token={add_secret('location-token')}"
    fields = {"Set-Cookie": cookie, "X-Api-Key": add_secret("answered-key"), "Location": location}
    body = add_secret("answered-body")

    def answer(received: ReceivedRequest) -> Behaviour:
        path_end = received.target.partition("?")[0].rpartition("/")[2]
        if path_end.isdigit():
            echoed_members = secret_words | {
                "request": {**received.headers, "url": received.target},
                "body": received.body.decode("latin-1"),
            }
            return Behaviour.of_json(echoed_members, status=int(path_end), headers=fields)
        faults = {
            "ok": Behaviour.of_json({"token": body, "note": body}, headers=fields),
            "reset": Behaviour(raw=b"", then="reset"),
            "close": Behaviour(raw=b"", then="close"),
            "garbage": Behaviour(raw=_NOT_HTTP + body.encode(), then="close"),
            "header": Behaviour(
                raw=f"HTTP/1.1 200 OK\r\nX: {body}\0\r\n\r\n".encode(), then="close"
            ),
            "cut": Behaviour(200, fields, body.encode() * 100, cut=200, then="close"),
            "slow": Behaviour(200, fields, b"late", delay=5.0),
            "drip": Behaviour(200, fields, body.encode() * 9, piece=8, pause=0.2),
            "large": Behaviour(200, fields, body.encode() * 9_000),
            "badzip": Behaviour(200, {**fields, "Content-Encoding": "gzip"}, body.encode()),
        }
        return faults[path_end]

    vendor.always(answer)


def charge(day: Observations, kind: str, path: str = "/ok") -> Request:
    """Return a charge request with secrets and personal data in all its parts."""
    add_secret, suffix = day.plant, f"{kind}{path}".replace("/", "-")
    return Request.post(
        f"{path}?api_key={add_secret(f'path-query{suffix}')}",
        query={"token": add_secret(f"query-token{suffix}")},
        headers={
            "Cookie": f"session={add_secret(f'cookie{suffix}')}",
            "X-Api-Key": add_secret(f"own-header{suffix}"),
        },
        json={
            "password": add_secret(f"body-password{suffix}"),
            "note": add_secret(f"body-note{suffix}"),
            "card": CARD,
            "cvv": add_secret(f"cvv{suffix}"),
            "iban": IBAN,
        },
    )


def service_of(day: Observations, vendor: VendorServer, name: str, **options: Any) -> Service:
    """Return a service at this vendor with a short timeout."""
    options.setdefault("retry", RetryPolicy(2, 0))
    options.setdefault("timeout", 5.0)
    options.setdefault("circuit", None)
    return Service(name, base_url=f"{vendor.url}/v1", **options)


# --- the chapters ------------------------------------------------------------------


def _all_credentials(day: Observations) -> dict[str, Credentials | OAuthCredentials]:
    add_secret = day.plant
    user, password = add_secret("basic-user"), add_secret("basic-password")
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    add_secret("signing-pem", pem.splitlines()[1])
    return {
        "bearer": Credentials.bearer(add_secret("bearer")),
        "basic": Credentials.basic(user, password),
        "key-header": Credentials.api_key(add_secret("key-header")),
        "key-own-header": Credentials.api_key(add_secret("key-own-header"), header="X-Partner"),
        "key-query": Credentials.api_key(add_secret("key-query"), query="api_key"),
        "key-own-query": Credentials.api_key(add_secret("key-own-query"), query="ident"),
        "oauth": OAuthCredentials(
            access_token=add_secret("oauth-access"), refresh_token=add_secret("oauth-refresh")
        ),
        "hmac": Credentials.signed(
            HmacSigning(signs="{timestamp}{body}", headers={"X-Sig": "{signature}"}),
            add_secret("hmac-key"),
        ),
        "sigv4": Credentials.signed(
            AwsSigV4(
                access_key_id="AKIDEXAMPLE",
                region="eu-central-1",
                service="execute-api",
                session_token=Secret(add_secret("aws-session-token")),
            ),
            add_secret("aws-key"),
        ),
        "azure": Credentials.signed(
            AzureSharedKey(account="acmefiles"),
            b64encode(add_secret("azure-key").encode()).decode(),
        ),
        "jwt": Credentials.signed(
            JwtSigning(algorithm=JwtAlgorithm.HS256), add_secret("jwt-key") + "0" * 32
        ),
        "message": Credentials.signed(
            MessageSignature(
                components=("@method", "@target-uri"),
                key_id="k1",
                algorithm=SignatureAlgorithm.ECDSA_P256_SHA256,
            ),
            pem,
        ),
    }


async def _credentials(day: Observations, vendor: VendorServer) -> None:
    """Make calls with each kind of credentials; they are accepted, refused or not answered."""
    existing_credentials = _all_credentials(day)
    services = [
        service_of(
            day,
            vendor,
            name,
            credentials=stored_credentials,
            headers={"X-Tenant-Secret": day.plant(f"service-header-{name}")},
            attempt_timeout=0.05,
        )
        for name, stored_credentials in existing_credentials.items()
    ]
    manager = day.manager(*services)
    for service in services:
        day.keep(f"service {service.name}", service)
        day.keep(f"credentials {service.name}", service.credentials)
        for path in ("/ok", "/401", "/500", "/slow", "/reset", "/garbage"):
            request = charge(day, service.name, path)
            day.keep(f"request {service.name}{path}", request)
            await day.call(f"{service.name}{path}", manager, service.name, request)


async def _failures(day: Observations, vendor: VendorServer) -> None:
    """Make calls to a vendor that fails in every way, so that every protection is triggered."""
    secret = Credentials.api_key(day.plant("failures-key"), query="ident")
    services = (
        service_of(day, vendor, "plain", credentials=secret, retry=None, attempt_timeout=0.05),
        service_of(
            day,
            vendor,
            "guarded",
            credentials=secret,
            circuit=CircuitBreakerConfig(failures=1),
            attempt_timeout=0.05,
        ),
        service_of(
            day,
            vendor,
            "limited",
            credentials=secret,
            limits=RateLimitConfig(1, per=60),
            max_limit_wait=0,
        ),
        service_of(day, vendor, "hedged", credentials=secret, hedge=HedgeConfig(0.02), timeout=0.3),
        service_of(
            day,
            vendor,
            "narrow",
            credentials=secret,
            bulkhead=BulkheadConfig(1),
            attempt_timeout=0.05,
        ),
        service_of(day, vendor, "short", credentials=secret, timeout=0.05),
    )
    client = day.pick(StdlibHttpClient, AsyncStdlibHttpClient)(max_body=50_000)
    day.closing.append(client)
    manager = day.manager(*services, http=client)
    for path_end in ("302", "400", "403", "404", "409", "422", "429", "503", "504"):
        await day.call(f"/{path_end}", manager, "plain", charge(day, "status", f"/{path_end}"))
    for path_end in ("close", "header", "cut", "slow", "drip", "large", "badzip"):
        await day.call(f"/{path_end}", manager, "plain", charge(day, "fault", f"/{path_end}"))
    for turn in ("first", "second"):
        await day.call(f"guarded {turn}", manager, "guarded", charge(day, turn, "/503"))
        await day.call(f"limited {turn}", manager, "limited", charge(day, f"limited-{turn}"))
    token = day.plant("hedged-token")
    for path_end in ("slow", "500", "reset"):
        request = Request.get(f"/{path_end}", query={"token": token})
        await day.call(f"hedged {path_end}", manager, "hedged", request)
    await day.call("short", manager, "short", charge(day, "short", "/slow"))
    many_charges = [
        charge(day, f"many-{last}", f"/{last}") for last in ("ok", "400", "slow", "reset")
    ]
    day.keep("many", await await_if_needed(manager.call_many("narrow", many_charges)))
    for result in await await_if_needed(manager.call_many("plain", many_charges)):
        day.keep("one of many", result.error)


def _hook(day: Observations, text: str) -> Any:
    """Return a user's hook that raises an error, as a function for sync or async mode."""

    def raise_foreign_error(*_: object) -> None:
        raise ForeignError("the hook failed")

    async def fails_later(*_: object) -> None:
        raise ForeignError("the hook failed")

    assert text
    return day.pick(raise_foreign_error, fails_later)


async def _hooks(day: Observations, vendor: VendorServer) -> None:
    """Make calls with transforms, classifiers and fallbacks that raise errors."""
    secret = Credentials.api_key(day.plant("hooks-key"), query="ident")

    def judges(*_: object) -> None:
        raise ForeignError("the judge failed")

    def refuse_response(*_: object) -> None:
        raise VendorRejected("the judge refused")

    def add_late_key(request: Request) -> Request:
        return request.with_header("X-Late-Key", late_key).evolve(
            query=[*request.query, ("late_token", late_key)]
        )

    late_key = day.plant("late-header")
    hooks: dict[str, dict[str, Any]] = {
        "request": {"request_transforms": (add_late_key, _hook(day, "request"))},
        "response": {
            "request_transforms": add_late_key,
            "response_transforms": _hook(day, "response"),
        },
        "judge": {"classify": judges},
        "refusal": {"classify": refuse_response},
        "fallback": {"fallback": _hook(day, "fallback")},
        "nonsense": {"request_transforms": (add_late_key, lambda _: None)},
        "elsewhere": {
            "request_transforms": lambda request: request.evolve(
                path=f"https://other.example/?token={late_key}"
            )
        },
    }
    services = [
        service_of(day, vendor, name, credentials=secret, retry=None, **options)
        for name, options in hooks.items()
    ]
    manager = day.manager(*services)
    for name in hooks:
        for path in ("/ok", "/503"):
            await day.call(f"hook {name}{path}", manager, name, charge(day, f"hook-{name}", path))


async def _unreachable(day: Observations, vendor: VendorServer) -> None:
    """Make calls to unreachable and untrusted hosts, and through proxies."""
    secret = Credentials.api_key(day.plant("unreachable-key"), query="ident")
    server, _ = tls_pair()
    with VendorServer(port="refusing") as refusing_server, VendorServer(tls=server) as untrusted:
        services = (
            service_of(day, refusing_server, "refusing", credentials=secret),
            service_of(day, untrusted, "untrusted", credentials=secret),
            Service("nowhere", base_url="http://nobody.invalid", credentials=secret, retry=None),
        )
        manager = day.manager(*services)
        for service in services:
            await day.call(service.name, manager, service.name, charge(day, service.name, "/ok"))
    proxy = Proxy.at(f"http://{day.plant('proxy-user')}:{day.plant('proxy-word')}@127.0.0.1:9")
    day.keep("proxy", proxy)
    await day.attempt("bad proxy", Proxy.at, f"socks5://u:{day.plant('bad-proxy')}@host")
    await day.attempt("bare proxy", Proxy, url=f"http://u:{day.plant('bare-proxy')}@host:1")


async def _streams(day: Observations, vendor: VendorServer) -> None:
    """Send and read streams that are cut off."""
    secret = Credentials.api_key(day.plant("streams-key"), query="ident")
    manager = day.manager(
        service_of(day, vendor, "streams", credentials=secret, retry=None, timeout=1.0)
    )
    for path_end in ("ok", "cut", "drip", "503", "reset", "badzip"):
        await day.attempt(
            f"stream {path_end}", _read_answer, day, manager, charge(day, "stream", f"/{path_end}")
        )
    piece = day.plant("streamed-piece").encode()

    def interrupted_body() -> Iterator[bytes]:
        yield piece
        raise ForeignError("the source failed")

    def failing_body() -> Iterator[bytes]:
        raise ForeignError("the source failed at once")
        yield b""

    for source in (interrupted_body, failing_body):
        await day.call("source", manager, "streams", Request.post("/ok", body=source))


async def _read_answer(day: Observations, manager: Any, request: Request) -> None:
    stream = await await_if_needed(manager.stream("streams", request))
    day.keep("stream", stream)
    while await await_if_needed(stream.read()):
        pass


async def _renewals(day: Observations, vendor: VendorServer) -> None:
    """Make calls with stored, renewed, refused and missing credentials."""
    add_secret = day.plant
    text = "the server said no"

    def renewed(_: str, __: str | None, stale: Any) -> Any:
        raise ForeignError(text)

    async def renewed_later(_: str, __: str | None, stale: Any) -> Any:
        raise ForeignError(text)

    keys = generate_keys()
    for version, key in keys.keys:
        add_secret(f"ring-{version}", key.reveal_bytes().decode("latin-1"))
    cipher = AesGcmCipher(keys)
    day.keep("cipher", cipher)
    table = day.pick(SqliteCredentialProvider, AsyncSqliteCredentialProvider)(
        day.folder / "credentials.db", cipher, renew=day.pick(renewed, renewed_later)
    )
    credentials = OAuthCredentials(
        access_token=add_secret("kept-access"), refresh_token=add_secret("kept-refresh")
    )
    await await_if_needed(table.rotate("shop", "acme", credentials))
    cached_provider = day.pick(CachedCredentials, AsyncCachedCredentials)(table)
    service = service_of(day, vendor, "shop", needs_credentials=True)
    manager = day.manager(service, credentials=cached_provider)
    for path_end in ("ok", "401"):
        await day.call(
            f"renewal {path_end}",
            manager,
            "shop",
            charge(day, "renewal", f"/{path_end}"),
            tenant="acme",
        )
    await day.call("no credential", manager, "shop", charge(day, "missing"), tenant="other")
    file = day.folder / "credentials.toml"
    day.keep("file", file.name)
    for number, secrets_file in enumerate(
        (
            f'[services.shop]\nsecret = "{add_secret("file-secret")}"',
            f'[services.shop]\nsecret = "{add_secret("file-broken")}',
            f'[services.shop]\nsecret = "{add_secret("file-unsendable")}\\n"',
            f'[services.shop]\nmethod = "basic"\nsecret = "{add_secret("file-no-user")}"',
            f'[services.shop]\nsecret = "{add_secret("file-unknown")}"\nsurprise = 1',
        )
    ):
        secrets = day.folder.parent / f"file-{number}.toml"  # holds secrets on purpose
        secrets.write_text(secrets_file)
        secrets.chmod(0o600)
        provider = day.pick(FileCredentialProvider, AsyncFileCredentialProvider)(secrets)
        manager = day.manager(service, credentials=provider)
        await day.call(f"file {number}", manager, "shop", charge(day, f"file-{number}", "/401"))
    os.environ["MOORAGE_CREDENTIAL_SHOP"] = add_secret("environment") + "\n"
    try:
        await day.attempt("environment", EnvironmentCredentialProvider().get, "shop", None)
    finally:
        del os.environ["MOORAGE_CREDENTIAL_SHOP"]


async def _keys(day: Observations, vendor: VendorServer) -> None:
    """Make calls with idempotency keys, whose results are stored in a file."""
    secret = Credentials.api_key(day.plant("keys-key"), query="ident")
    store = day.pick(SqliteStorage, AsyncSqliteStorage)(day.folder / "state.db")
    day.closing.append(store)
    services = (
        service_of(
            day,
            vendor,
            "pay",
            credentials=secret,
            idempotency_header="Idempotency-Key",
            idempotency_memory=86_400,
        ),
        service_of(day, vendor, "blind", credentials=secret, attempt_timeout=0.05),
    )
    manager = day.manager(*services, state=store, cipher=AesGcmCipher(generate_keys()))
    for path_end in ("ok", "400", "slow", "503"):
        request = charge(day, "keyed", f"/{path_end}")
        for service in services:
            for _ in range(2):
                await day.call(
                    f"key {service.name} {path_end}",
                    manager,
                    service.name,
                    request,
                    idempotency_key=f"k-{path_end}",
                    timeout=0.5,
                )
    request = charge(day, "conflict")
    await day.call("conflict", manager, "pay", request, idempotency_key="k-ok")


async def _stores(day: Observations, vendor: VendorServer) -> None:
    """Make calls with stores that are unreachable or refuse access."""
    open_store = day.pick(open_storage, aopen_storage)
    secret = Credentials.api_key(day.plant("stores-key"), query="ident")
    word = day.plant
    urls = (
        f"redis://user:{word('redis-dead')}@127.0.0.1:9/0",
        f"redis://user:{word('redis-refused')}@127.0.0.1:6379/0",
        f"postgresql://nobody:{word('postgres-dead')}@127.0.0.1:9/none",
        f"postgresql://nobody:{word('postgres-refused')}@127.0.0.1:5432/none",
        f"mysql://nobody:{word('mysql-dead')}@127.0.0.1:9/none",
        f"mysql://nobody:{word('mysql-refused')}@127.0.0.1:3306/none",
    )
    for url in urls:
        name = url.partition("@")[0].rpartition(":")[2]
        store = open_store(url, timeout=0.2)
        day.closing.append(store)
        day.keep(name, store)
        service = service_of(day, vendor, "stored", credentials=secret)
        manager = day.manager(service, state=store)
        await day.call(name, manager, "stored", charge(day, name), idempotency_key="k")
        await day.attempt(f"{name} itself", store.execute, _command())
    for url in (
        f"redis://user:{word('redis-bad-port')}@host:port/0",
        f"nosuch://user:{word('no-scheme')}@host/0",
        f"postgresql://user:{word('sql-bad-port')}@host:port/none",
        f"{word('no-url')}",
    ):
        await day.attempt("bad url", open_store, url)
    broken_path = day.folder.parent / "broken.db"
    broken_path.write_bytes(b"no database" * 1000)
    store = open_store(f"sqlite:///{broken_path}")
    manager = day.manager(service_of(day, vendor, "broken", credentials=secret), state=store)
    await day.call("broken", manager, "broken", charge(day, "broken"), idempotency_key="k")


def _command() -> Any:
    return Claim("k", fingerprint=b"f", owner=1, lease=1, ttl=1, target="t", remembered=0)


async def _refusals(day: Observations, vendor: VendorServer) -> None:
    """Pass invalid values to every function."""
    add_secret = day.plant
    secret = Credentials.api_key(add_secret("refusals-key"), query="ident")
    manager = day.manager(service_of(day, vendor, "strict", credentials=secret, retry=None))
    await day.attempt(
        "newline", Request.get, "/", headers={"X-Api-Key": add_secret("with-newline") + "\n1"}
    )
    await day.attempt("folded", Request.get, "/", headers={"X": add_secret("folded") + "\r\n 1"})
    await day.attempt("path", Request.get, f"/a b?token={add_secret('path-with-space')}")
    await day.attempt(
        "query", Request.get, "/", query={"token": add_secret("query-bytes").encode()}
    )
    await day.attempt("user", Request.get, f"https://u:{add_secret('url-user-info')}@host/")
    await day.attempt("json", Request.post, "/", json={"a": {add_secret("json-in-set")}})
    await day.attempt(
        "two", Request.post, "/", json=add_secret("two-json"), form={"a": add_secret("two-form")}
    )
    await day.attempt(
        "base", Service, "s", base_url=f"https://u:{add_secret('base-user-info')}@host"
    )
    await day.attempt(
        "base query", Service, "s", base_url=f"https://h/?key={add_secret('base-query')}"
    )
    await day.attempt(
        "header", Service, "s", headers={"X-Key": add_secret("service-newline") + "\n"}
    )
    await day.attempt("bearer", Credentials.bearer, add_secret("bearer-newline") + "\n")
    await day.attempt("basic", Credentials.basic, "u:v", add_secret("basic-colon"))
    await day.attempt("basic user", Credentials.basic, add_secret("basic-bad-user") + "\n", "p")
    await day.attempt("api key", Credentials.api_key, add_secret("key-umlaut") + "ä")
    await day.attempt("surrogate", Credentials.bearer, add_secret("key-surrogate") + "\ud800")
    await day.attempt("number", Credentials.bearer, [add_secret("key-in-list")])
    await day.attempt("oauth", OAuthCredentials, access_token=add_secret("oauth-newline") + "\n")
    await day.attempt("wrong", Service, "s", credentials=add_secret("wrong-field"))
    other_request = Request.get(f"https://other.example/?token={add_secret('other-origin')}")
    await day.call("other origin", manager, "strict", other_request)


async def _cassettes(day: Observations, vendor: VendorServer) -> None:
    """Record calls in a cassette, a file that other people may read."""
    existing_credentials = _all_cassette_credentials(day)
    client = day.pick(StdlibHttpClient, AsyncStdlibHttpClient)()
    day.closing.append(client)
    with Cassette(day.folder / "tape.json", mode="record") as cassette:
        recording = day.pick(cassette.client, cassette.async_client)(client)
        manager = day.manager(
            *(
                service_of(day, vendor, name, credentials=stored_credentials)
                for name, stored_credentials in existing_credentials.items()
            ),
            http=recording,
        )
        for name in existing_credentials:
            await day.call(f"tape {name}", manager, name, _taped_request(day, name))


def _all_cassette_credentials(day: Observations) -> dict[str, Credentials]:
    return {
        "taped-bearer": Credentials.bearer(day.plant("taped-bearer")),
        "taped-basic": Credentials.basic(day.plant("taped-user"), day.plant("taped-password")),
        "taped-query": Credentials.api_key(day.plant("taped-query"), query="ident_key"),
        "taped-header": Credentials.api_key(day.plant("taped-header"), header="X-Partner-Key"),
    }


def _taped_request(day: Observations, name: str) -> Request:
    return Request.post(
        "/ok",
        query={"token": day.plant(f"{name}-token")},
        headers={"Cookie": day.plant(f"{name}-cookie")},
        json={
            "password": day.plant(f"{name}-secret"),
            "cvv": day.plant(f"{name}-cvv"),
            "card": CARD,
            "iban": IBAN,
        },
    )


async def _webhooks(day: Observations, vendor: VendorServer) -> None:
    """Receive webhooks that are not genuine."""
    for scheme in ("stripe", "github", "standard"):
        secret = Secret(f"whsec_{b64encode(day.plant(f'webhook-{scheme}').encode()).decode()}")
        try:
            verifier = WebhookVerifier(scheme, secret)
        except ConnectorError as error:
            day.keep(f"webhook {scheme}", error)
            continue
        day.keep(f"verifier {scheme}", verifier)
        for fields in (
            {},
            {"Stripe-Signature": "t=1,v1=00", "X-Hub-Signature-256": "sha256=00"},
            {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,AA=="},
        ):
            await day.attempt(
                f"webhook {scheme}",
                day.pick(verifier.verify, verifier.averify),
                headers=fields,
                body=b"{}",
            )


async def _interrupt_call(day: Observations, vendor: VendorServer) -> None:
    """Make a call that its caller cancels."""
    secret = Credentials.api_key(day.plant("interrupted-key"), query="ident")
    manager = day.manager(service_of(day, vendor, "patient", credentials=secret))
    if not day.is_async:
        return
    for path_end in ("slow", "drip"):
        request = charge(day, "interrupted", f"/{path_end}")
        try:
            async with asyncio.timeout(0.1):
                await manager.call("patient", request)
        except TimeoutError as error:
            day.keep(f"interrupted {path_end}", error)
        try:
            await asyncio.wait_for(manager.call("patient", request), 0.1)
        except TimeoutError as error:
            day.keep(f"waited for {path_end}", error)


CHAPTERS: Final = (
    _credentials,
    _failures,
    _hooks,
    _unreachable,
    _streams,
    _renewals,
    _keys,
    _stores,
    _refusals,
    _cassettes,
    _webhooks,
    _interrupt_call,
    cached_responses,
    bound_tokens,
    renewed_tokens,
)
