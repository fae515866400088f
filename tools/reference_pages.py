"""The pages of the reference: where each is, and which names it holds."""

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final, NamedTuple

import mooring
from mooring import testing
from mooring.wiring.catalog import vendor_class, vendor_names


class Page(NamedTuple):
    """One page: where it is, what it is called, and which names it holds.

    A name without a module is one that `mooring` exports; `module:name` is one to import from
    there, `module:*` is everything public that the module defines, and `module:` the module.
    """

    path: str
    title: str
    about: str
    names: tuple[str, ...]


def _public(home: ModuleType) -> Iterator[tuple[str, Any]]:
    """The classes that a module defines for others."""
    for own, value in vars(home).items():
        if inspect.isclass(value) and value.__module__ == home.__name__ and not own.startswith("_"):
            yield own, value


def _vendors(kind: str) -> Iterator[str]:
    """Our vendors of a kind, each with the one on this machine."""
    for name in vendor_names():
        found = vendor_class(name)
        if kind not in found.kinds or not found.__module__.startswith("mooring."):
            continue
        yield f"{found.__module__}:{found.__name__}"
        sandbox = f"mooring.testing.sandbox.{name}"
        if importlib.util.find_spec(sandbox) is not None:
            own = dict(_public(importlib.import_module(sandbox)))
            yield from (f"{sandbox}:{one}" for one in own if one.endswith("Sandbox"))


PAGES: Final = (
    Page(
        "calling",
        "Calling services",
        "The two managers, what they are told, and what they answer.",
        (
            "ConnectorManager",
            "AsyncConnectorManager",
            "Service",
            "Endpoint",
            "Region",
            "Request",
            "Response",
            "Timeouts",
            "HttpMethod",
            "Headers",
            "BodyStream",
            "FormFile",
            "Result",
            "mooring.streams:StreamedAnswer",
            "mooring.streams:AsyncStreamedAnswer",
        ),
    ),
    Page(
        "parts",
        "One protection at a time",
        "The parts wrap any function, without a manager or a service.",
        (
            "RetryHandler",
            "mooring.parts.retry_handler:Attempt",
            "RateLimiter",
            "mooring.parts.rate_limiter:Reservation",
            "CircuitBreaker",
            "Bulkhead",
            "Idempotency",
            "mooring.parts.idempotency:Answered",
            "mooring.parts.guard:Entry",
        ),
    ),
    Page(
        "protections",
        "How calls are protected",
        "Plain values. A wrong one is refused when it is made, and the error names the field.",
        (
            "RetryPolicy",
            "Backoff",
            "Jitter",
            "RetryBudget",
            "RateLimitConfig",
            "mooring.domain.rate_limit:Calendar",
            "CircuitBreakerConfig",
            "CircuitBreakerState",
            "CircuitState",
            "BulkheadConfig",
            "HedgeConfig",
            "CachePolicy",
        ),
    ),
    Page(
        "oauth",
        "OAuth",
        "Tokens that renew themselves. *Get tokens by OAuth* shows them at work.",
        (
            "OAuthTokenRefresher",
            "AsyncOAuthTokenRefresher",
            "OAuthConsent",
            "PendingConsent",
            "DeviceConsent",
            "Granted",
            "OAuthClient",
            "ClientAuthentication",
            "AuthorizationServer",
            "mooring.discovery:discover",
            "mooring.discovery:adiscover",
            "ClientCredentials",
            "Consent",
            "JwtBearer",
            "TokenExchange",
        ),
    ),
    Page(
        "webhooks",
        "Webhooks",
        "What verifies webhooks, what they become, and how a scheme of one's own is written."
        " *Verify webhooks* shows them at work.",
        (
            "WebhookVerifier",
            "mooring.parts.webhook_verifier:Receipt",
            "WebhookEvent",
            "WebhookReason",
            "WebhookReply",
            "mooring.domain.webhooks.replies:reply_to",
            "WebhookScheme",
            "WebhookSigner",
            "mooring.adapters.webhook_secrets:generate_webhook_secret",
            "mooring.receiving:from_wsgi",
            "mooring.receiving:from_asgi",
            "mooring.receiving:from_starlette",
            "mooring.receiving:from_django",
            "mooring.receiving:from_flask",
            "mooring.domain.webhooks.algorithms:WebhookAlgorithm",
            "mooring.domain.webhooks.algorithms:WebhookEncoding",
            "mooring.domain.webhooks.algorithms:SecretForm",
            "mooring.domain.webhooks.choices:TimeForm",
            "mooring.domain.webhooks.choices:BodyForm",
            "mooring.domain.webhooks.choices:Handshake",
        ),
    ),
    Page(
        "written-down",
        "Work that is written down",
        "Webhooks that are handled, and calls that are made, until they are done; and what is kept"
        " of somebody. *Keep webhooks until they are handled* and *Make calls when your transaction"
        " is committed* show them at work.",
        (
            "WebhookInbox",
            "AsyncWebhookInbox",
            "Outbox",
            "AsyncOutbox",
            "mooring.services.entries:Round",
            "mooring.services.entries:Worked",
            "mooring.domain.inbox:InboxEntry",
            "mooring.domain.outbox:OutboxEntry",
            "mooring.domain.entries:EntryState",
            "mooring.domain.entries:EntryQuery",
            "mooring.domain.entries:EntryPage",
            "Subjects",
            "AsyncSubjects",
            "mooring.subjects:Kept",
            "mooring.subjects:Erased",
            "mooring.contracts.packed:pack",
            "mooring.contracts.packed:unpack",
        ),
    ),
    Page(
        "identity",
        "Credentials and secrets",
        "Who we say we are to a service.",
        (
            "AuthMethod",
            "Credentials",
            "OAuthCredentials",
            "AwsSigV4",
            "AzureSharedKey",
            "HmacSigning",
            "JwtSigning",
            "MessageSignature",
            "Secret",
            "mooring.domain.sealing:KeyRing",
            "Redaction",
            "Personal",
        ),
    ),
    Page(
        "connections",
        "How connections are made",
        "Whom an HTTP client trusts, through whom it goes, and what its connections do.",
        (
            "Tls",
            "TlsVersion",
            "DangerouslyUnverified",
            "Proxy",
            "PoolStatistics",
            "OutgoingGuard",
        ),
    ),
    Page(
        "records",
        "What is recorded",
        "Events are handed to observers; the integration log keeps an entry for every call.",
        (
            "IntegrationLog",
            "IntegrationStatus",
            "mooring.domain.integration_log:LogQuery",
            "mooring.domain.integration_log:LogPage",
            "mooring.domain.integration_log:LogSummary",
            "mooring.domain.events:*",
        ),
    ),
    Page(
        "contracts",
        "Contracts",
        "Vendors behind words that none of them owns: the hub, its accounts and routes, and what a"
        " vendor is made of.",
        (
            "open",
            "aopen",
            "Hub",
            "AsyncHub",
            "Account",
            "Route",
            "Offer",
            "Safety",
            "mooring.contracts.offer:Changes",
            "mooring.watching:Watch",
            "mooring.watching:AsyncWatch",
            "Ref",
            "mooring.config:read_configuration",
            "mooring.config:Configured",
            "mooring.config:Migrated",
            "ConfigurationWarning",
            "mooring.contracts.routes:Prefer",
            "mooring.contracts.vendor:*",
            "mooring.contracts.wire:*",
        ),
    ),
    Page(
        "email",
        "Mail",
        "What is sent, what became of it, and the vendors. *Send mail* shows them at work.",
        (
            "mooring.faces.email:Email",
            "mooring.faces.email:AsyncEmail",
            "mooring.contracts.email:*",
            "mooring.contracts.email_address:*",
            "mooring.contracts.email_bulk:*",
            "mooring.contracts.email_outcomes:*",
            *_vendors("email"),
            "mooring.adapters.smtp_transport:SmtpTransport",
            "mooring.adapters.smtp_transport:AsyncSmtpTransport",
            "mooring.testing.sandbox.mailbox:*",
            "mooring.testing.email_conformance:",
            "mooring.testing.email_conformance:EmailLab",
        ),
    ),
    Page(
        "sms",
        "Text messages",
        "What is sent, what became of it, and who sends. *Send text messages* shows them at work.",
        (
            "mooring.faces.sms:Sms",
            "mooring.faces.sms:AsyncSms",
            "mooring.contracts.sms:*",
            "mooring.contracts.sms:segments",
            "mooring.contracts.calling_codes:country_of",
            "mooring.contracts.sms:is_gsm",
            *_vendors("sms"),
            "mooring.testing.sms_conformance:SmsSubject",
        ),
    ),
    Page(
        "shipping",
        "Shipping",
        "What is sent, what it costs, its labels, and where it is. *Ship parcels* shows them at"
        " work.",
        (
            "mooring.faces.shipping:Shipping",
            "mooring.faces.shipping:AsyncShipping",
            "mooring.contracts.address:Address",
            "mooring.contracts.shipping.parcels:*",
            "mooring.contracts.shipping.units:*",
            "mooring.contracts.shipping.units:converted",
            "mooring.contracts.shipping.rates:*",
            "mooring.contracts.shipping.shipments:*",
            "mooring.contracts.shipping.tracking:*",
            "mooring.contracts.shipping.vendor:ShippingVendor",
            *_vendors("shipping"),
            "mooring.testing.shipping_conformance:ShippingSubject",
        ),
    ),
    Page(
        "storage",
        "Files",
        "What is kept, what is said of it, and who keeps it. *Keep files* shows them at work.",
        (
            "mooring.faces.storage:Storage",
            "mooring.faces.storage:AsyncStorage",
            "mooring.faces.storage:Download",
            "mooring.faces.storage:AsyncDownload",
            "mooring.contracts.storage:*",
            "mooring.contracts.checksum:Checksum",
            "mooring.contracts.checksum:ChecksumAlgorithm",
            "mooring.contracts.signed:*",
            *_vendors("storage"),
            "mooring.vendors.local_files:Grant",
            "mooring.testing.storage_conformance:Subject",
        ),
    ),
    Page(
        "payments",
        "Payments",
        "What is paid, what became of it, and who takes it. *Take payments* shows them at work.",
        (
            "mooring.faces.payments:Payments",
            "mooring.faces.payments:AsyncPayments",
            "mooring.contracts.payments.asking:*",
            "mooring.contracts.payments.values:*",
            "mooring.contracts.payments.states:*",
            "mooring.contracts.payments.news:PaymentEvent",
            "mooring.contracts.payments.news:advance",
            "mooring.contracts.payments.news:state_of",
            "mooring.contracts.payments.buyers:*",
            "mooring.contracts.payments.buyers:told_buyer",
            "mooring.contracts.payments.minor:MinorUnits",
            "mooring.contracts.payments.vendor:*",
            *_vendors("payments"),
            "mooring.testing.payments_conformance:PaymentsSubject",
        ),
    ),
    Page(
        "sandboxes",
        "Sandboxes",
        "What every sandbox of a vendor is made of, and how it is reached. Each vendor's own is on"
        " the page of its contract.",
        ("mooring.testing.sandbox.base:*",),
    ),
    Page("values", "Values", "What travels through calls.", ("Money",)),
    Page(
        "errors",
        "Errors",
        "Everything that can go wrong. *Troubleshooting* says what to do about each.",
        ("mooring.errors:*",),
    ),
    Page(
        "ports",
        "Ports",
        "What mooring asks of its host. An implementer keeps what the docstring says, and the"
        " conformance kits check it.",
        (
            "mooring.ports.http:*",
            "mooring.ports.state:*",
            "mooring.domain.state:Command",
            "mooring.ports.credentials:*",
            "mooring.ports.cipher:*",
            "mooring.ports.secret_manager:*",
            "mooring.ports.webhook_secrets:*",
            "mooring.ports.cache:*",
            "mooring.domain.caching:Found",
            "mooring.domain.caching:CacheEntry",
            "mooring.ports.integration_log:*",
            "mooring.ports.inbox:*",
            "mooring.ports.outbox:*",
            "mooring.ports.observer:*",
            "mooring.ports.clock:*",
            "mooring.ports.chance:*",
            "mooring.ports.locks:*",
            "mooring.ports.gather:*",
        ),
    ),
    Page(
        "adapters",
        "Adapters",
        "What stands behind the ports where a host gives nothing of its own.",
        (
            "mooring.opening:*",
            "mooring.adapters.environment_proxy:environment_proxy",
            "mooring.adapters.memory:*",
            "mooring.adapters.sqlite:SqliteStorage",
            "mooring.adapters.sqlite:AsyncSqliteStorage",
            "mooring.adapters.redis:RedisStorage",
            "mooring.adapters.redis:AsyncRedisStorage",
            "mooring.adapters.sql:SqlStorage",
            "mooring.adapters.sql:AsyncSqlStorage",
            "mooring.adapters.memory_cache:MemoryCache",
            "mooring.adapters.memory_cache:AsyncMemoryCache",
            "mooring.adapters.sealed_cache:SealedCache",
            "mooring.adapters.sealed_cache:AsyncSealedCache",
            "mooring.adapters.memory_log:*",
            "mooring.adapters.memory_entries:MemoryInbox",
            "mooring.adapters.memory_entries:AsyncMemoryInbox",
            "mooring.adapters.memory_entries:MemoryOutbox",
            "mooring.adapters.memory_entries:AsyncMemoryOutbox",
            "mooring.adapters.memory_credentials:MemoryCredentialProvider",
            "mooring.adapters.memory_credentials:AsyncMemoryCredentialProvider",
            "mooring.adapters.environment_credentials:EnvironmentCredentialProvider",
            "mooring.adapters.environment_credentials:AsyncEnvironmentCredentialProvider",
            "mooring.adapters.file_credentials:FileCredentialProvider",
            "mooring.adapters.file_credentials:AsyncFileCredentialProvider",
            "mooring.adapters.sqlite_credentials:SqliteCredentialProvider",
            "mooring.adapters.sqlite_credentials:AsyncSqliteCredentialProvider",
            "mooring.adapters.sql_credentials:SqlCredentialProvider",
            "mooring.adapters.sql_credentials:AsyncSqlCredentialProvider",
            "mooring.adapters.managed_credentials:ManagedCredentialProvider",
            "mooring.adapters.managed_credentials:AsyncManagedCredentialProvider",
            "mooring.adapters.hashicorp_vault:*",
            "mooring.adapters.aws_secrets_manager:*",
            "mooring.adapters.aws_identity:*",
            "mooring.adapters.gcp_secret_manager:*",
            "mooring.adapters.azure_key_vault:*",
            "mooring.adapters.keyring_credentials:KeyringCredentialProvider",
            "mooring.adapters.keyring_credentials:AsyncKeyringCredentialProvider",
            "mooring.adapters.cached_credentials:CachedCredentials",
            "mooring.adapters.cached_credentials:AsyncCachedCredentials",
            "mooring.adapters.webhook_secrets:StaticWebhookSecrets",
            "mooring.adapters.webhook_secrets:AsyncStaticWebhookSecrets",
            "mooring.adapters.aes_gcm:generate_keys",
            "mooring.adapters.aes_gcm:AesGcmCipher",
            "mooring.adapters.stdlib_http:StdlibHttpClient",
            "mooring.adapters.stdlib_http_async:AsyncStdlibHttpClient",
            "mooring.adapters.pyreqwest_http:PyreqwestHttpClient",
            "mooring.adapters.pyreqwest_http_async:AsyncPyreqwestHttpClient",
            "mooring.adapters.httpx2_http:Httpx2HttpClient",
            "mooring.adapters.httpx2_http:AsyncHttpx2HttpClient",
            "mooring.adapters.requests_http:RequestsHttpClient",
            "mooring.adapters.aiohttp_http:AsyncAiohttpHttpClient",
            "mooring.adapters.clock:*",
            "mooring.adapters.clock_async:*",
            "mooring.adapters.chance:*",
        ),
    ),
    Page(
        "testing",
        "Testing",
        "Vendors that do what they are told, time that passes when it is told, and kits that check"
        " adapters.",
        (
            *(f"mooring.testing:{name}" for name in testing.__all__),
            "mooring.testing.pytest_plugin:",
        ),
    ),
)


def found(name: str) -> list[tuple[str, Any]]:
    """What an entry of a page stands for: names and objects."""
    module, colon, wanted = name.partition(":")
    if not colon:
        return [(name, getattr(mooring, name))]
    home = importlib.import_module(module)
    if not wanted:
        return [(module, home)]
    if wanted != "*":
        return [(wanted, getattr(home, wanted))]
    return list(_public(home))
