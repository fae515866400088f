"""The list of reference pages: the path of each, and the names that it documents."""

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final, NamedTuple

import moorage
from moorage import testing, vendor_sdk
from moorage.contracts.catalog import CONTRACTS, contract
from moorage.wiring.installed_vendors import vendor_class, vendor_names


class Page(NamedTuple):
    """A reference page: its path, its title, and the names that it documents.

    A name without a module is one that `moorage` exports; `module:name` is one to import from
    there, `module:*` is everything public that the module defines, and `module:` the module.
    """

    path: str
    title: str
    about: str
    names: tuple[str, ...]


def _public(home: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the public classes that a module defines."""
    for custom, value in vars(home).items():
        if (
            inspect.isclass(value)
            and value.__module__ == home.__name__
            and not custom.startswith("_")
        ):
            yield custom, value


def _vendors(kind: str) -> Iterator[str]:
    """Yield the built-in vendors of a contract, each followed by its sandbox."""
    for name in vendor_names():
        result = vendor_class(name)
        if kind not in result.kinds or not result.__module__.startswith("moorage."):
            continue
        yield f"{result.__module__}:{result.__name__}"
        sandbox = f"moorage.testing.sandboxes.{kind}.{name}"
        if importlib.util.find_spec(sandbox) is not None:
            custom = dict(_public(importlib.import_module(sandbox)))
            yield from (f"{sandbox}:{item}" for item in custom if item.endswith("Sandbox"))


_PAGES: Final = (
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
            "HttpOperation",
            "GraphQL",
            "GraphQLAnswer",
            "GraphQLPage",
            "GraphQLProblem",
            "GraphQLSchema",
            "PersistedDocuments",
            "JsonRpc",
            "XmlRpc",
            "Soap",
            "Wsdl",
            "SoapSecurity",
            "SoapFault",
            "OData",
            "ODataQuery",
            "ODataExpand",
            "odata_field",
            "ODataFilter",
            "ODataEnum",
            "ODataEntity",
            "ODataPage",
            "ODataProblem",
            "OpenApi",
            "read_openapi",
            "SecurityScheme",
            "OperationAttempt",
            "Request",
            "Response",
            "Timeouts",
            "HttpMethod",
            "Headers",
            "BodyStream",
            "FormFile",
            "Result",
            "moorage.hub.streams:StreamedAnswer",
            "moorage.hub.streams:AsyncStreamedAnswer",
        ),
    ),
    Page(
        "connectors",
        "Connectors",
        "The registry of connectors, what they are made of, and pools of their connections."
        " *Write a connector* shows them at work.",
        (
            "Connectors",
            "AsyncConnectors",
            "ConnectorKind",
            "KindSource",
            "SinkKind",
            "SourceKind",
            "PipelineParts",
            "ConnectorDescription",
            "ConnectorHealth",
            "ConnectorVersions",
            "NamedOperation",
            "ReconnectPolicy",
            "GrpcMethod",
            "GrpcAnswer",
            "LinkPool",
            "AsyncLinkPool",
            "PoolConfig",
            "PoolStatistics",
        ),
    ),
    Page(
        "messages",
        "Messages",
        "Publish messages to brokers. *Publish messages* shows them at work.",
        (
            "Message",
            "PublishReceipt",
            "Kafka",
            "Nats",
            "Mqtt",
            "RabbitMq",
            "RedisStreams",
            "MessagePublisher",
            "AsyncMessagePublisher",
        ),
    ),
    Page(
        "steps",
        "Steps",
        "Run commands elsewhere, and know what became of them. *Run steps* shows them at work.",
        (
            "StepManager",
            "AsyncStepManager",
            "StepConnector",
            "AsyncStepConnector",
            "Step",
            "Workspace",
            "Resources",
            "ConnectorType",
            "ExecutionResult",
            "StepOutcome",
            "HookError",
            "LocalPlatform",
            "DockerPlatform",
            "SshPlatform",
            "KubernetesPlatform",
            "KubernetesSettings",
            "FileLog",
            "LogLine",
            "StepLog",
            "Platform",
            "AsyncPlatform",
            "AsyncPlatformInThreads",
            "PlatformKind",
            "RunSpec",
            "RunStatus",
            "RunPhase",
            "EndReason",
            "LogChunk",
        ),
    ),
    Page(
        "pipelines",
        "Pipelines",
        "Carry records from a source to a sink. *Run pipelines* shows them at work.",
        (
            "Pipeline",
            "run_pipelines",
            "PollingSource",
            "StateCheckpoints",
            "CheckpointStore",
            "RecordSink",
            "BatchSink",
            "moorage.adapters.sql.sink:SqlSink",
            "moorage.adapters.sql.checkpoints:SqlCheckpoints",
            "moorage.adapters.sql.outbox_table:OutboxTable",
            "moorage.adapters.files.file_sink:FileSink",
            "moorage.adapters.files.record_files:RecordFile",
            "moorage.pipelines.calls:CallSink",
            "moorage.pipelines.calls:HttpSink",
            "moorage.pipelines.calls:HttpBatchSink",
            "PipelineConfig",
            "PipelineState",
            "PipelineStatistics",
            "PipelineReport",
            "DeadLetter",
            "BatchLimits",
            "SinkRecord",
            "SourceRecord",
            "SourceConnector",
            "SinkConnector",
            "DeadLetters",
            "PollLimits",
            "moorage.adapters.messages.rabbitmq_source:RabbitMqSource",
        ),
    ),
    Page(
        "parts",
        "One protection at a time",
        "The parts wrap any function, without a manager or a service.",
        (
            "RetryHandler",
            "moorage.parts.retry_handler:Attempt",
            "RateLimiter",
            "moorage.parts.rate_limiter:Reservation",
            "CircuitBreaker",
            "Bulkhead",
            "Idempotency",
            "moorage.parts.idempotency:Answered",
            "moorage.parts.guard:Entry",
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
            "moorage.domain.resilience.rate_limit:Calendar",
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
            "moorage.hub.discovery:discover",
            "moorage.hub.discovery:adiscover",
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
            "moorage.parts.webhook_verifier:Receipt",
            "WebhookEvent",
            "WebhookReason",
            "WebhookReply",
            "moorage.domain.webhooks.replies:reply_to",
            "WebhookScheme",
            "WebhookSigner",
            "moorage.adapters.webhook_secrets:generate_webhook_secret",
            "moorage.hub.receiving:from_wsgi",
            "moorage.hub.receiving:from_asgi",
            "moorage.hub.receiving:from_starlette",
            "moorage.hub.receiving:from_django",
            "moorage.hub.receiving:from_flask",
            "moorage.domain.webhooks.algorithms:WebhookAlgorithm",
            "moorage.domain.webhooks.algorithms:WebhookEncoding",
            "moorage.domain.webhooks.algorithms:SecretForm",
            "moorage.domain.webhooks.choices:TimeForm",
            "moorage.domain.webhooks.choices:BodyForm",
            "moorage.domain.webhooks.choices:Handshake",
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
            "moorage.services.entries.processing:Round",
            "moorage.services.entries.processing:Worked",
            "moorage.domain.entries.inbox:InboxEntry",
            "moorage.domain.entries.outbox:OutboxEntry",
            "moorage.domain.entries.queue:EntryState",
            "moorage.domain.entries.queue:EntryQuery",
            "moorage.domain.entries.queue:EntryPage",
            "Subjects",
            "AsyncSubjects",
            "moorage.hub.subjects:Kept",
            "moorage.hub.subjects:Erased",
            "moorage.contracts.packed:pack",
            "moorage.contracts.packed:unpack",
        ),
    ),
    Page(
        "health",
        "Health",
        "The health of services, stores and queues. *Check the health of integrations* shows it at"
        " work.",
        (
            "HealthMonitor",
            "AsyncHealthMonitor",
            "HealthSettings",
            "HealthPolicy",
            "Probe",
            "HealthSignals",
            "HealthState",
            "moorage.domain.monitoring.health:Health",
            "moorage.domain.monitoring.health:ServiceHealth",
            "moorage.domain.monitoring.health:HealthReason",
            "moorage.domain.monitoring.health:Concern",
            "moorage.domain.monitoring.health:Backlog",
            "moorage.domain.monitoring.health:Expiry",
            "moorage.hub.certificates:certificate_expiries",
            "HealthApp",
            "AsyncHealthApp",
        ),
    ),
    Page(
        "alerts",
        "Alerts",
        "Rules, and the runner that evaluates them. *Alert people* shows them at work.",
        (
            "moorage.hub.alerts:AlertRunner",
            "moorage.hub.alerts:AsyncAlertRunner",
            "moorage.hub.alerts:AlertRound",
            "moorage.domain.monitoring.alerts:AlertRule",
            "moorage.domain.monitoring.alerts:Severity",
            "moorage.domain.monitoring.alerts:Silence",
            "moorage.domain.monitoring.alerts:Alert",
            "moorage.domain.monitoring.alerts:Notification",
            "moorage.domain.monitoring.alerts:AlertNotice",
            "moorage.domain.monitoring.alert_book:AlertDelivery",
            "moorage.domain.monitoring.alert_book:AlertBook",
            "moorage.domain.monitoring.alert_settings:AlertSettings",
            "moorage.domain.monitoring.alert_settings:ChannelSettings",
            "moorage.domain.monitoring.alert_figures:FigureQuery",
            "moorage.domain.monitoring.alert_figures:CallFigures",
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
            "moorage.domain.state.sealing:KeyRing",
            "Redaction",
            "LogContent",
            "LoggedCalls",
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
            "HttpPoolStatistics",
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
            "moorage.domain.observation.integration_log:LogQuery",
            "moorage.domain.observation.integration_log:LogPage",
            "moorage.domain.observation.integration_log:LogSummary",
            "moorage.domain.observation.call_events:*",
            "moorage.domain.observation.call_identity:*",
            "moorage.domain.observation.events:*",
        ),
    ),
    Page(
        "contracts",
        "Contracts",
        "Vendors behind words that none of them owns: the hub, its accounts and routes.",
        (
            "open",
            "aopen",
            "Hub",
            "AsyncHub",
            "Account",
            "Route",
            "Offer",
            "Safety",
            "moorage.contracts.offer:Changes",
            "moorage.hub.reloading:Watch",
            "moorage.hub.reloading:AsyncWatch",
            "Ref",
            "moorage.config:read_configuration",
            "moorage.config:Configured",
            "moorage.config:Migrated",
            "ConfigurationWarning",
            "moorage.contracts.routes:Prefer",
        ),
    ),
    Page(
        "vendor-sdk",
        "What vendors are written with",
        "Everything that a vendor imports besides the values of its contract. `moorage.vendor_sdk`"
        " has these names, and those of `moorage` that vendors need, such as `Request`, `Service`"
        " and the errors. *Write a vendor of your own* shows them at work.",
        tuple(
            f"moorage.vendor_sdk:{name}"
            for name in vendor_sdk.__all__
            if name not in moorage.__all__ and callable(getattr(vendor_sdk, name))
        ),
    ),
    Page(
        "email",
        "Mail",
        "What is sent, what became of it, and the vendors. *Send mail* shows them at work.",
        (
            "moorage.operations.email:Email",
            "moorage.operations.email:AsyncEmail",
            "moorage.contracts.email:*",
            "moorage.contracts.email_address:*",
            "moorage.contracts.email_bulk:*",
            "moorage.contracts.email_outcomes:*",
            "moorage.contracts.email_received:*",
            "moorage.contracts.email_mime:read_mime",
            *_vendors("email"),
            "moorage.adapters.mail.smtp:SmtpTransport",
            "moorage.adapters.mail.smtp:AsyncSmtpTransport",
            "moorage.testing.sandboxes.email.mailbox:*",
            "moorage.testing.kits.email_conformance:",
            "moorage.testing.kits.email_conformance:EmailLab",
        ),
    ),
    Page(
        "sms",
        "Text messages",
        "What is sent, what became of it, and who sends. *Send text messages* shows them at work.",
        (
            "moorage.operations.sms:Sms",
            "moorage.operations.sms:AsyncSms",
            "moorage.contracts.sms:*",
            "moorage.contracts.sms:segments",
            "moorage.contracts.calling_codes:country_of",
            "moorage.contracts.sms:is_gsm",
            *_vendors("sms"),
            "moorage.testing.sandboxes.sms.base:SmsSandbox",
            "moorage.testing.kits.sms_conformance:SmsSubject",
        ),
    ),
    Page(
        "chat",
        "Chat messages",
        "What is posted, what became of it, and the vendors. *Post messages into chats* shows them"
        " at work.",
        (
            "moorage.operations.chat:Chat",
            "moorage.operations.chat:AsyncChat",
            "moorage.contracts.chat:*",
            *_vendors("chat"),
            "moorage.testing.sandboxes.chat.base:ChatSandbox",
            "moorage.testing.sandboxes.chat.base:ShownMessage",
            "moorage.testing.kits.chat_conformance:ChatSubject",
        ),
    ),
    Page(
        "shipping",
        "Shipping",
        "What is sent, what it costs, its labels, and where it is. *Ship parcels* shows them at"
        " work.",
        (
            "moorage.operations.shipping:Shipping",
            "moorage.operations.shipping:AsyncShipping",
            "moorage.contracts.address:Address",
            "moorage.contracts.shipping.parcels:*",
            "moorage.contracts.shipping.units:*",
            "moorage.contracts.shipping.units:converted",
            "moorage.contracts.shipping.rates:*",
            "moorage.contracts.shipping.shipments:*",
            "moorage.contracts.shipping.tracking:*",
            "moorage.contracts.shipping.vendor:ShippingVendor",
            *_vendors("shipping"),
            "moorage.testing.kits.shipping_conformance:ShippingSubject",
        ),
    ),
    Page(
        "currencies",
        "Exchange rates",
        "The official rates of a day, conversions by them, and who publishes them. *Convert amounts"
        " by official rates* shows them at work.",
        (
            "moorage.operations.currencies:Currencies",
            "moorage.operations.currencies:AsyncCurrencies",
            "moorage.contracts.currencies:*",
            *_vendors("currencies"),
            "moorage.testing.sandboxes.currencies.base:CurrencySandbox",
            "moorage.testing.kits.currencies_conformance:CurrenciesSubject",
        ),
    ),
    Page(
        "tax",
        "Taxes",
        "VAT numbers, and what the registers say about them. *Check VAT numbers* shows them at"
        " work.",
        (
            "moorage.operations.tax:Tax",
            "moorage.operations.tax:AsyncTax",
            "moorage.contracts.tax:*",
            *_vendors("tax"),
            "moorage.testing.kits.tax_conformance:TaxSubject",
        ),
    ),
    Page(
        "storage",
        "Files",
        "What is kept, what is said of it, and who keeps it. *Keep files* shows them at work.",
        (
            "moorage.operations.storage:Storage",
            "moorage.operations.storage:AsyncStorage",
            "moorage.operations.storage:Download",
            "moorage.operations.storage:AsyncDownload",
            "moorage.contracts.storage:*",
            "moorage.contracts.checksum:Checksum",
            "moorage.contracts.checksum:ChecksumAlgorithm",
            "moorage.contracts.signed:*",
            *_vendors("storage"),
            "moorage.vendors.storage.local_files:Grant",
            "moorage.testing.kits.storage_conformance:Subject",
        ),
    ),
    Page(
        "payments",
        "Payments",
        "What is paid, what became of it, and who takes it. *Take payments* shows them at work.",
        (
            "moorage.operations.payments:Payments",
            "moorage.operations.payments:AsyncPayments",
            "moorage.contracts.payments.requests:*",
            "moorage.contracts.payments.values:*",
            "moorage.contracts.payments.states:*",
            "moorage.contracts.payments.events:PaymentEvent",
            "moorage.contracts.payments.events:advance",
            "moorage.contracts.payments.events:state_of",
            "moorage.contracts.payments.buyers:*",
            "moorage.contracts.payments.buyers:told_buyer",
            "moorage.contracts.payments.minor:MinorUnits",
            "moorage.contracts.payments.vendor:*",
            *_vendors("payments"),
            "moorage.testing.kits.payments_conformance:PaymentsSubject",
        ),
    ),
    Page(
        "invoices",
        "Electronic invoices",
        "The values of an invoice, its business rules, and its syntaxes. *Write and read electronic"
        " invoices* shows them at work.",
        (
            "moorage.invoices.values:*",
            "moorage.invoices.checking:validate",
            "moorage.invoices.checking:check",
            "moorage.invoices.checking:read_invoice",
            "moorage.invoices.checking:write_invoice",
            "moorage.invoices.checking:Syntax",
            "moorage.invoices.ubl:read_ubl",
            "moorage.invoices.ubl:write_ubl",
            "moorage.invoices.cii:read_cii",
            "moorage.invoices.cii:write_cii",
            "moorage.invoices.profiles:Profile",
            "moorage.invoices.rules:Violation",
            "moorage.invoices.rules:Rule",
        ),
    ),
    Page(
        "bank",
        "Bank files",
        "Account numbers, SEPA files, statements, and the matching of payments."
        " *Write SEPA files and read statements* shows them at work.",
        (
            "moorage.contracts.bank.iban:Iban",
            "moorage.contracts.bank.iban:iban_length",
            "moorage.contracts.bank.bic:Bic",
            "moorage.contracts.bank.references:CreditorReference",
            "moorage.contracts.bank.references:CreditorId",
            "moorage.contracts.bank.payment_orders:*",
            "moorage.contracts.bank.pain_writing:write_credit_transfers",
            "moorage.contracts.bank.pain_writing:write_direct_debits",
            "moorage.contracts.bank.pain_writing:CreditTransferVersion",
            "moorage.contracts.bank.pain_writing:DirectDebitVersion",
            "moorage.contracts.bank.pain_reading:read_credit_transfers",
            "moorage.contracts.bank.pain_reading:read_direct_debits",
            "moorage.contracts.bank.sepa_text:Characters",
            "moorage.contracts.bank.sepa_text:is_latin",
            "moorage.contracts.bank.sepa_text:transliterated",
            "moorage.contracts.bank.camt:read_camt",
            "moorage.contracts.bank.mt940:read_mt940",
            "moorage.contracts.bank.sources:ReadableFile",
            "moorage.contracts.bank.statements:*",
            "moorage.contracts.bank.matching:*",
            "moorage.contracts.bank.matching:match",
        ),
    ),
    Page(
        "sandboxes",
        "Sandboxes",
        "What every sandbox of a vendor is made of, and how it is reached. Each vendor's own is on"
        " the page of its contract.",
        (
            "moorage.testing.sandboxes.base:*",
            "moorage.testing.sandboxes.base:reply",
            "moorage.testing.sandboxes.base:existing",
            "moorage.testing.sandboxes.base:first_problem",
            "moorage.testing.sandboxes.base:moment",
            "moorage.testing.sandboxes.webhook_signatures:hex_hmac",
            "moorage.testing.sandboxes.webhook_signatures:base64_hmac",
            "moorage.testing.sandboxes.webhook_signatures:standard_headers",
        ),
    ),
    Page("values", "Values", "What travels through calls.", ("Money",)),
    Page(
        "errors",
        "Errors",
        "Everything that can go wrong. *Troubleshooting* says what to do about each.",
        ("moorage.errors:*",),
    ),
    Page(
        "ports",
        "Ports",
        "What moorage asks of its host. An implementer keeps what the docstring says, and the"
        " conformance kits check it.",
        (
            "moorage.ports.http:*",
            "moorage.ports.state:*",
            "moorage.domain.state.commands:Command",
            "moorage.ports.credentials:*",
            "moorage.ports.cipher:*",
            "moorage.ports.secret_manager:*",
            "moorage.ports.webhook_secrets:*",
            "moorage.ports.cache:*",
            "moorage.domain.cache.rules:Found",
            "moorage.domain.cache.rules:CacheEntry",
            "moorage.ports.integration_log:*",
            "moorage.ports.inbox:*",
            "moorage.ports.outbox:*",
            "moorage.ports.observer:*",
            "moorage.ports.operation:OperationTraits",
            "moorage.ports.operation:StorableResults",
            "moorage.ports.clock:*",
            "moorage.ports.chance:*",
            "moorage.ports.locks:*",
            "moorage.ports.gather:*",
        ),
    ),
    Page(
        "adapters",
        "Adapters",
        "What stands behind the ports where a host gives nothing of its own.",
        (
            "moorage.wiring.store_urls:*",
            "moorage.adapters.http.environment_proxy:environment_proxy",
            "moorage.adapters.state.memory:*",
            "moorage.adapters.state.sqlite:SqliteStorage",
            "moorage.adapters.state.sqlite:AsyncSqliteStorage",
            "moorage.adapters.state.redis:RedisStorage",
            "moorage.adapters.state.redis:AsyncRedisStorage",
            "moorage.adapters.state.sql:SqlStorage",
            "moorage.adapters.state.sql:AsyncSqlStorage",
            "moorage.adapters.state.shards:ShardedStorage",
            "moorage.adapters.state.shards:AsyncShardedStorage",
            "moorage.adapters.cache.memory:MemoryCache",
            "moorage.adapters.cache.memory:AsyncMemoryCache",
            "moorage.adapters.cache.sealed:SealedCache",
            "moorage.adapters.cache.sealed:AsyncSealedCache",
            "moorage.adapters.logs.memory:*",
            "moorage.adapters.entries.memory:MemoryInbox",
            "moorage.adapters.entries.memory:AsyncMemoryInbox",
            "moorage.adapters.entries.memory:MemoryOutbox",
            "moorage.adapters.entries.memory:AsyncMemoryOutbox",
            "moorage.adapters.entries.sqlite:SqliteInbox",
            "moorage.adapters.entries.sqlite:AsyncSqliteInbox",
            "moorage.adapters.entries.sqlite:SqliteOutbox",
            "moorage.adapters.entries.sqlite:AsyncSqliteOutbox",
            "moorage.adapters.entries.sql:SqlInbox",
            "moorage.adapters.entries.sql:AsyncSqlInbox",
            "moorage.adapters.entries.sql:SqlOutbox",
            "moorage.adapters.entries.sql:AsyncSqlOutbox",
            "moorage.adapters.entries.host:HostInbox",
            "moorage.adapters.entries.host:AsyncHostInbox",
            "moorage.adapters.entries.host:HostOutbox",
            "moorage.adapters.entries.host:AsyncHostOutbox",
            "moorage.adapters.logs.host:HostIntegrationLogger",
            "moorage.adapters.credentials.memory:MemoryCredentialProvider",
            "moorage.adapters.credentials.memory:AsyncMemoryCredentialProvider",
            "moorage.adapters.credentials.environment:EnvironmentCredentialProvider",
            "moorage.adapters.credentials.environment:AsyncEnvironmentCredentialProvider",
            "moorage.adapters.credentials.file:FileCredentialProvider",
            "moorage.adapters.credentials.file:AsyncFileCredentialProvider",
            "moorage.adapters.credentials.sqlite:SqliteCredentialProvider",
            "moorage.adapters.credentials.sqlite:AsyncSqliteCredentialProvider",
            "moorage.adapters.credentials.sql:SqlCredentialProvider",
            "moorage.adapters.credentials.sql:AsyncSqlCredentialProvider",
            "moorage.adapters.credentials.managed:ManagedCredentialProvider",
            "moorage.adapters.credentials.managed:AsyncManagedCredentialProvider",
            "moorage.adapters.secret_managers.hashicorp_vault:*",
            "moorage.adapters.secret_managers.aws_secrets_manager:*",
            "moorage.adapters.secret_managers.aws_identity:*",
            "moorage.adapters.secret_managers.gcp_secret_manager:*",
            "moorage.adapters.secret_managers.azure_key_vault:*",
            "moorage.adapters.credentials.keyring:KeyringCredentialProvider",
            "moorage.adapters.credentials.keyring:AsyncKeyringCredentialProvider",
            "moorage.adapters.credentials.audited:AuditedCredentials",
            "moorage.adapters.credentials.audited:AsyncAuditedCredentials",
            "moorage.adapters.credentials.cached:CachedCredentials",
            "moorage.adapters.credentials.cached:AsyncCachedCredentials",
            "moorage.adapters.webhook_secrets:StaticWebhookSecrets",
            "moorage.adapters.webhook_secrets:AsyncStaticWebhookSecrets",
            "moorage.adapters.ciphers.aes_gcm:generate_keys",
            "moorage.adapters.ciphers.aes_gcm:AesGcmCipher",
            "moorage.adapters.http.stdlib.client:StdlibHttpClient",
            "moorage.adapters.http.stdlib.client_async:AsyncStdlibHttpClient",
            "moorage.adapters.http.pyreqwest.client:PyreqwestHttpClient",
            "moorage.adapters.http.pyreqwest.client_async:AsyncPyreqwestHttpClient",
            "moorage.adapters.http.borrowed.httpx2:Httpx2HttpClient",
            "moorage.adapters.http.borrowed.httpx2:AsyncHttpx2HttpClient",
            "moorage.adapters.http.borrowed.requests:RequestsHttpClient",
            "moorage.adapters.http.borrowed.aiohttp:AsyncAiohttpHttpClient",
            "moorage.adapters.clocks.system:*",
            "moorage.adapters.clocks.system_async:*",
            "moorage.adapters.randomness:*",
        ),
    ),
    Page(
        "testing",
        "Testing",
        "Vendors that do what they are told, time that passes when it is told, and kits that check"
        " adapters.",
        (
            *(f"moorage.testing:{name}" for name in testing.__all__),
            "moorage.testing.kits.connector_conformance:ConnectorSubject",
            "moorage.testing.kits.connector_conformance:NetworkFaults",
            "moorage.testing.kits.platform_conformance:PlatformSubject",
            "moorage.testing.kits.source_conformance:SourceSubject",
            "moorage.testing.pytest_plugin:",
        ),
    ),
)


def members_of(name: str) -> list[tuple[str, Any]]:
    """Return the names and objects of a page's entry."""
    module, colon, target = name.partition(":")
    if not colon:
        return [(name, getattr(moorage, name))]
    home = importlib.import_module(module)
    if not target:
        return [(module, home)]
    if target != "*":
        return [(target, getattr(home, target))]
    return list(_public(home))


def _pages_of_contracts() -> Iterator[Page]:
    """Yield a page for each contract that the list above lacks."""
    existing = {page.path for page in _PAGES}
    for kind, title in CONTRACTS.items():
        if kind in existing:
            continue
        name = kind.capitalize()
        yield Page(
            kind,
            title,
            f"The operations on {title.lower()}, their values, and the vendors.",
            (
                f"moorage.operations.{kind}:{name}",
                f"moorage.operations.{kind}:Async{name}",
                *(f"{module.__name__}:*" for module in contract(kind).values),
                *_vendors(kind),
            ),
        )


PAGES: Final = (*_PAGES, *_pages_of_contracts())
