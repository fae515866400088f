"""Services in a configuration file, with every setting that is not a function."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import moorage
from moorage import (
    AwsSigV4,
    BulkheadConfig,
    CachePolicy,
    CircuitBreakerConfig,
    ConfigurationError,
    ConnectionFailed,
    Credentials,
    Endpoint,
    HedgeConfig,
    HmacSigning,
    JwtSigning,
    LogContent,
    LoggedCalls,
    OAuthCredentials,
    Personal,
    RateLimitConfig,
    Redaction,
    Region,
    Request,
    Response,
    RetryBudget,
    RetryPolicy,
    Service,
    Timeouts,
    VendorFailed,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sqlite import SqliteCredentialProvider
from moorage.config import read_configuration
from moorage.config.tables import FUNCTIONS, SERVICE
from moorage.testing import FakeVendor, ScriptedHttpClient

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
BASE = "https://vat.example"
SAMPLES: Mapping[str, tuple[Any, Any]] = {
    "base_url": (BASE, BASE),
    "http2": (True, True),
    "timeout": (3.5, 3.5),
    "attempt_timeout": (2, 2),
    "timeouts": ({"connect": 1.5}, Timeouts(connect=1.5)),
    "retry": (
        {"max_attempts": 5, "retry_on": ["ConnectionFailed", "VendorFailed"]},
        RetryPolicy(max_attempts=5, retry_on=(ConnectionFailed, VendorFailed)),
    ),
    "limits": (
        [{"rate": 5, "per": "minute"}],
        (RateLimitConfig(rate=5, per=60.0),),
    ),
    "circuit": ({"failures": 3}, CircuitBreakerConfig(failures=3)),
    "retry_budget": ({"ratio": 0.5}, RetryBudget(ratio=0.5)),
    "bulkhead": ({"max_concurrent": 4}, BulkheadConfig(max_concurrent=4)),
    "hedge": ({"delay": 0.5}, HedgeConfig(delay=0.5)),
    "cache": ({"heuristic": 0.1}, CachePolicy(heuristic=0.1)),
    "credentials": (
        {"method": "basic", "username": "erp", "secret": "hidden"},
        Credentials.basic("erp", "hidden"),
    ),
    "needs_credentials": (True, True),
    "headers": ({"X-Shop": "7"}, {"X-Shop": "7"}),
    "idempotency_header": ("Idempotency-Key", "Idempotency-Key"),
    "honours_keys": (True, True),
    "idempotency_memory": (3600, 3600),
    "idempotency_replays": (False, False),
    "idempotency_across_regions": (True, True),
    "idempotency_ttl": (60, 60),
    "moves_money": (True, True),
    "volatile_keys": (True, True),
    "max_limit_wait": (2, 2),
    "max_pause": (9, 9),
    "log_content": (
        {"calls": "all", "max_body": 500},
        LogContent(calls=LoggedCalls.ALL, max_body=500),
    ),
    "redaction": (
        {
            "header_names": "X-Trace",
            "query_names": ["iban"],
            "body_keys": ["name"],
            "body_paths": ["customer.name"],
            "patterns": ["[0-9]{9}"],
            "personal": ["card", "iban"],
        },
        Redaction(
            header_names=["X-Trace"],
            query_names=["iban"],
            body_keys=["name"],
            body_paths=["customer.name"],
            patterns=["[0-9]{9}"],
            personal=[Personal.CARD, Personal.IBAN],
        ),
    ),
    "endpoints": (
        [{"name": "rates", "path": "/rates/{country}", "cost": 2}],
        (Endpoint("rates", path="/rates/{country}", cost=2),),
    ),
    "regions": (
        [{"name": "eu", "base_url": BASE, "credentials": "token"}],
        (Region("eu", BASE, credentials=Credentials.bearer("token")),),
    ),
}
"""For each service setting, its form in a file and its value in a program."""
BESIDE: Mapping[str, Mapping[str, Any]] = {
    "idempotency_header": {"idempotency_memory": 3600},
    "honours_keys": {"idempotency_memory": 3600},
}


def _is_function(field: attrs.Attribute[Any]) -> bool:
    """Return whether the annotated type of a field is a function."""
    return re.search(r"Transform|Classify|Fallback|Callable", str(field.type)) is not None


FIELDS = [field for field in attrs.fields(Service) if field.init and field.name != "name"]


def test_configuration_file_can_set_each_service_setting() -> None:
    """A configuration file can set every service setting; functions are named by entry points."""
    assert {field.name for field in FIELDS} == set(SERVICE.fields)
    assert {field.name for field in FIELDS if _is_function(field)} == set(FUNCTIONS)
    assert SAMPLES.keys() == SERVICE.fields.keys() - FUNCTIONS.keys()


@pytest.mark.parametrize("name", SAMPLES)
def test_service_setting_in_a_file_equals_the_constructor_argument(name: str) -> None:
    """A service setting in a file has the same effect as the constructor argument."""
    file_setting, value = SAMPLES[name]
    other_settings = BESIDE.get(name, {})
    (service,) = read_configuration(
        {"services": {"vat": {name: file_setting, **other_settings}}}
    ).services

    assert Service("vat", **{name: value, **other_settings}) == service


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/configuration.md"])
def test_pages_list_the_service_settings_that_are_functions(page: str) -> None:
    """The README and the manual list the service settings that are functions."""
    text = (ROOT / page).read_text("utf-8")

    assert "`moorage.functions`" in text
    assert [] == [name for name in FUNCTIONS if f"`{name}`" not in text]


EXAMPLE_TIME = datetime(2030, 1, 31, 12, tzinfo=UTC)
FORMS: list[tuple[Any, Credentials | OAuthCredentials]] = [
    ("hidden", Credentials.bearer("hidden")),
    ('{"method": "basic", "username": "u", "secret": "p"}', Credentials.basic("u", "p")),
    ('{"access_token": "t"}', OAuthCredentials(access_token="t")),
    ({"secret": "hidden"}, Credentials.bearer("hidden")),
    (
        {"method": "api_key_header", "name": "X-Key", "secret": "hidden"},
        Credentials.api_key("hidden", header="X-Key"),
    ),
    (
        {"method": "api_key_query", "name": "key", "secret": "hidden", "expires_at": EXAMPLE_TIME},
        Credentials.api_key("hidden", query="key", expires_at=EXAMPLE_TIME),
    ),
    ({"method": "mtls"}, Credentials.mtls()),
    (
        {
            "access_token": "t",
            "refresh_token": None,
            "scope": "a b",
            "issued_at": "2030-01-31T12:00Z",
        },
        OAuthCredentials(access_token="t", scope="a b", issued_at=EXAMPLE_TIME),
    ),
    (
        {
            "method": "hmac",
            "secret_base64": b64encode(b"\xff\x00").decode(),
            "signing": {"signs": "{body}", "headers": {"X-Sign": "{signature}"}},
        },
        Credentials.signed(
            HmacSigning(signs="{body}", headers={"X-Sign": "{signature}"}), b"\xff\x00"
        ),
    ),
    (
        {
            "method": "jwt",
            "secret": "k" * 32,
            "signing": {"algorithm": "HS256", "lifetime": 30, "claims": {"shop": 7}},
        },
        Credentials.signed(
            JwtSigning(algorithm="HS256", lifetime=timedelta(seconds=30), claims={"shop": 7}),
            "k" * 32,
        ),
    ),
    (
        {
            "method": "aws_sigv4",
            "secret": "hidden",
            "signing": {"access_key_id": "AK", "region": "eu", "service": "s3"},
        },
        Credentials.signed(AwsSigV4(access_key_id="AK", region="eu", service="s3"), "hidden"),
    ),
]


@pytest.mark.parametrize("place", range(len(FORMS)))
def test_each_kind_of_credentials_can_be_configured(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of credentials can be configured; a string is JSON or a bearer token."""
    written_credentials, credentials = FORMS[place]
    if isinstance(written_credentials, str):
        monkeypatch.setenv("OURS", written_credentials)
        written_credentials = "secret://env/OURS"
    table = {"base_url": BASE, "credentials": written_credentials}
    region = {"name": "eu", "base_url": BASE, "credentials": written_credentials}
    single_service, several_service = read_configuration(
        {"services": {"alone": table, "several": {"regions": [region]}}}
    ).services

    assert credentials == single_service.credentials
    assert credentials == several_service.regions[0].credentials


@pytest.mark.parametrize(
    "credentials, path, remedy",
    [
        ({"method": "basic", "secret": "hidden"}, "", "a username"),
        ({"method": "basick", "secret": "hidden"}, ".method", "Did you mean basic?"),
        ({"secret": "hidden", "usernam": "u"}, ".usernam", "Did you mean username?"),
        ({"secret": 7}, ".secret", "Write a secret"),
        ({"secret": "hidden", "expires_at": "soon"}, ".expires_at", "a time zone"),
        ({"secret": "hidden", "expires_at": "2030-01-31"}, ".expires_at", "a time zone"),
        ({"secret": "hidden", "expires_at": 7}, ".expires_at", "a time zone"),
        ({"secret_base64": "hidden"}, "", "Encode the secret in base64"),
        ('{"method": "basic", "secret": "hidden"}', "", "a username"),
        ('{"method": ', "", "Correct the JSON"),
        (7, "", "Write a table or a secret"),
    ],
)
def test_credentials_that_cannot_be_sent(credentials: Any, path: str, remedy: str) -> None:
    """A service's incomplete credentials are refused with their path, and never sent."""
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration({"services": {"vat": {"credentials": credentials}}})

    (problem,) = excinfo.value.problems
    assert f"services.vat.credentials{path}" == problem.path
    assert remedy in problem.remedy
    assert "hidden" not in str(excinfo.value)


def test_basic_credentials_from_store_or_from_json_are_sent_as_basic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Basic credentials from a store or from JSON are sent as Basic, never as a bearer token."""
    keys = generate_keys()
    monkeypatch.setenv("KEYS", keys.text().reveal())
    monkeypatch.setenv("TABLE", '{"method": "basic", "username": "u", "secret": "p"}')
    store = SqliteCredentialProvider(tmp_path / "c.db", AesGcmCipher(keys))
    store.rotate("api", None, Credentials.basic("u", "p"))
    vendor = FakeVendor()
    vendor.always(Response(200))
    source = {
        "secrets": {
            "store": {"kind": "sqlite", "path": str(tmp_path / "c.db"), "keys": "secret://env/KEYS"}
        },
        "services": {
            "a": {"base_url": BASE, "credentials": "secret://env/TABLE"},
            "b": {"base_url": BASE, "credentials": "secret://store/api"},
        },
    }
    with moorage.open(source, http=ScriptedHttpClient(vendor)) as hub:
        for name in ("a", "b"):
            hub.manager.call(name, Request.get("/"))

    assert [f"Basic {b64encode(b'u:p').decode()}"] * 2 == [
        request.headers.get("Authorization") for request in vendor.requests
    ]


def test_reference_to_stored_credentials_stands_only_for_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference to stored credentials may stand for a secret, but not for any other string."""
    keys = generate_keys()
    monkeypatch.setenv("KEYS", keys.text().reveal())
    store = SqliteCredentialProvider(tmp_path / "c.db", AesGcmCipher(keys))
    store.rotate("api", None, Credentials.basic("u", "p"))
    store.rotate("nobody", None, Credentials.mtls())
    table = {"kind": "sqlite", "path": str(tmp_path / "c.db"), "keys": "secret://env/KEYS"}
    source = {"secrets": {"store": table}, "state": {"url": "secret://store/api"}}

    assert "p" == read_configuration(source).state
    for name, location in (("nobody", "state.url"), ("api", "state.environment_id")):
        circular_source = {
            "secrets": {"store": table},
            "state": {location[6:]: f"secret://store/{name}"},
        }
        with pytest.raises(ConfigurationError) as excinfo:
            read_configuration(circular_source)
        assert [location] == [problem.path for problem in excinfo.value.problems]
