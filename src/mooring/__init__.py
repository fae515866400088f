"""Every call of a business system to the outside world, made safe, observable and replaceable.

What is exported here is the public API; it is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mooring.config import ConfigurationWarning as ConfigurationWarning
    from mooring.config import aopen as aopen
    from mooring.config import open as open  # noqa: A004 - read as mooring.open
    from mooring.contracts.offer import Offer as Offer
    from mooring.contracts.ref import Ref as Ref
    from mooring.contracts.routes import Account as Account
    from mooring.contracts.routes import Route as Route
    from mooring.domain.auth import AuthMethod as AuthMethod
    from mooring.domain.auth import Credentials as Credentials
    from mooring.domain.auth import OAuthCredentials as OAuthCredentials
    from mooring.domain.budget import RetryBudget as RetryBudget
    from mooring.domain.cache_policy import CachePolicy as CachePolicy
    from mooring.domain.circuit import CircuitBreakerConfig as CircuitBreakerConfig
    from mooring.domain.circuit import CircuitBreakerState as CircuitBreakerState
    from mooring.domain.circuit import CircuitState as CircuitState
    from mooring.domain.events import AnswerNotStored as AnswerNotStored
    from mooring.domain.events import AttemptFinished as AttemptFinished
    from mooring.domain.events import CacheHit as CacheHit
    from mooring.domain.events import CacheMissed as CacheMissed
    from mooring.domain.events import CacheRevalidated as CacheRevalidated
    from mooring.domain.events import CacheSkipped as CacheSkipped
    from mooring.domain.events import CallFinished as CallFinished
    from mooring.domain.events import CallRefused as CallRefused
    from mooring.domain.events import CallStarted as CallStarted
    from mooring.domain.events import CircuitChanged as CircuitChanged
    from mooring.domain.events import ConsentNeeded as ConsentNeeded
    from mooring.domain.events import CredentialRefreshed as CredentialRefreshed
    from mooring.domain.events import Event as Event
    from mooring.domain.events import FailedOver as FailedOver
    from mooring.domain.events import IdempotencyReplayed as IdempotencyReplayed
    from mooring.domain.events import ObserverFailed as ObserverFailed
    from mooring.domain.events import RateLimitWaited as RateLimitWaited
    from mooring.domain.events import Rehearsed as Rehearsed
    from mooring.domain.events import Reloaded as Reloaded
    from mooring.domain.events import ReloadFailed as ReloadFailed
    from mooring.domain.events import RetryScheduled as RetryScheduled
    from mooring.domain.events import StorageLost as StorageLost
    from mooring.domain.events import StorageRecovered as StorageRecovered
    from mooring.domain.events import TlsUnverified as TlsUnverified
    from mooring.domain.events import TokenNotRenewed as TokenNotRenewed
    from mooring.domain.events import TokenRenewed as TokenRenewed
    from mooring.domain.events import VendorPaused as VendorPaused
    from mooring.domain.events import WebhookReceived as WebhookReceived
    from mooring.domain.events import WebhookRefused as WebhookRefused
    from mooring.domain.http import BodyStream as BodyStream
    from mooring.domain.http import Headers as Headers
    from mooring.domain.http import HttpMethod as HttpMethod
    from mooring.domain.http import Request as Request
    from mooring.domain.http import Response as Response
    from mooring.domain.http import Timeouts as Timeouts
    from mooring.domain.integration_log import IntegrationLog as IntegrationLog
    from mooring.domain.integration_log import IntegrationStatus as IntegrationStatus
    from mooring.domain.integration_log import LogPage as LogPage
    from mooring.domain.integration_log import LogQuery as LogQuery
    from mooring.domain.integration_log import LogSummary as LogSummary
    from mooring.domain.money import Money as Money
    from mooring.domain.multipart import FormFile as FormFile
    from mooring.domain.oauth.client import ClientAuthentication as ClientAuthentication
    from mooring.domain.oauth.client import OAuthClient as OAuthClient
    from mooring.domain.oauth.device import DeviceConsent as DeviceConsent
    from mooring.domain.oauth.grants import ClientCredentials as ClientCredentials
    from mooring.domain.oauth.grants import Consent as Consent
    from mooring.domain.oauth.grants import JwtBearer as JwtBearer
    from mooring.domain.oauth.grants import TokenExchange as TokenExchange
    from mooring.domain.oauth.pending import PendingConsent as PendingConsent
    from mooring.domain.oauth.server import AuthorizationServer as AuthorizationServer
    from mooring.domain.oauth.token_answer import Granted as Granted
    from mooring.domain.outgoing import OutgoingGuard as OutgoingGuard
    from mooring.domain.personal import Personal as Personal
    from mooring.domain.rate_limit import RateLimitConfig as RateLimitConfig
    from mooring.domain.redaction import Redaction as Redaction
    from mooring.domain.region import Region as Region
    from mooring.domain.result import Result as Result
    from mooring.domain.retry import Backoff as Backoff
    from mooring.domain.retry import Jitter as Jitter
    from mooring.domain.retry import RetryPolicy as RetryPolicy
    from mooring.domain.safety import Safety as Safety
    from mooring.domain.secret import Secret as Secret
    from mooring.domain.service import BulkheadConfig as BulkheadConfig
    from mooring.domain.service import Endpoint as Endpoint
    from mooring.domain.service import HedgeConfig as HedgeConfig
    from mooring.domain.service import Service as Service
    from mooring.domain.signing.azure import AzureSharedKey as AzureSharedKey
    from mooring.domain.signing.hmac_signing import HmacSigning as HmacSigning
    from mooring.domain.signing.jwt import JwtSigning as JwtSigning
    from mooring.domain.signing.message import MessageSignature as MessageSignature
    from mooring.domain.signing.sigv4 import AwsSigV4 as AwsSigV4
    from mooring.domain.transport import DangerouslyUnverified as DangerouslyUnverified
    from mooring.domain.transport import PoolStatistics as PoolStatistics
    from mooring.domain.transport import Proxy as Proxy
    from mooring.domain.transport import Tls as Tls
    from mooring.domain.transport import TlsVersion as TlsVersion
    from mooring.domain.webhooks.events import WebhookEvent as WebhookEvent
    from mooring.domain.webhooks.rejection import WebhookReason as WebhookReason
    from mooring.domain.webhooks.replies import WebhookReply as WebhookReply
    from mooring.domain.webhooks.scheme import WebhookScheme as WebhookScheme
    from mooring.domain.webhooks.sending import WebhookSigner as WebhookSigner
    from mooring.errors import AttemptTimeout as AttemptTimeout
    from mooring.errors import AuthenticationFailed as AuthenticationFailed
    from mooring.errors import AuthorizationRequired as AuthorizationRequired
    from mooring.errors import BulkheadFull as BulkheadFull
    from mooring.errors import CircuitBreakerOpen as CircuitBreakerOpen
    from mooring.errors import ConfigurationError as ConfigurationError
    from mooring.errors import ConnectionFailed as ConnectionFailed
    from mooring.errors import ConnectorError as ConnectorError
    from mooring.errors import CopiedStore as CopiedStore
    from mooring.errors import CredentialNotFound as CredentialNotFound
    from mooring.errors import CredentialRefreshFailed as CredentialRefreshFailed
    from mooring.errors import DeadlineExceeded as DeadlineExceeded
    from mooring.errors import DestinationRefused as DestinationRefused
    from mooring.errors import DryRun as DryRun
    from mooring.errors import FileNotFound as FileNotFound
    from mooring.errors import HeldBack as HeldBack
    from mooring.errors import IdempotencyConflict as IdempotencyConflict
    from mooring.errors import IdempotencyInProgress as IdempotencyInProgress
    from mooring.errors import InvalidData as InvalidData
    from mooring.errors import InvalidRequest as InvalidRequest
    from mooring.errors import NotCached as NotCached
    from mooring.errors import OutcomeUnknown as OutcomeUnknown
    from mooring.errors import PaymentDeclined as PaymentDeclined
    from mooring.errors import RateLimitExceeded as RateLimitExceeded
    from mooring.errors import RecipientRefused as RecipientRefused
    from mooring.errors import RetryBudgetExhausted as RetryBudgetExhausted
    from mooring.errors import StorageUnavailable as StorageUnavailable
    from mooring.errors import UnsupportedByVendor as UnsupportedByVendor
    from mooring.errors import VendorFailed as VendorFailed
    from mooring.errors import VendorRejected as VendorRejected
    from mooring.errors import WebhookRejected as WebhookRejected
    from mooring.hub import AsyncHub as AsyncHub
    from mooring.hub import Hub as Hub
    from mooring.inbox import AsyncWebhookInbox as AsyncWebhookInbox
    from mooring.inbox import WebhookInbox as WebhookInbox
    from mooring.manager import AsyncConnectorManager as AsyncConnectorManager
    from mooring.manager import ConnectorManager as ConnectorManager
    from mooring.outbox import AsyncOutbox as AsyncOutbox
    from mooring.outbox import Outbox as Outbox
    from mooring.parts.bulkhead import Bulkhead as Bulkhead
    from mooring.parts.circuit_breaker import CircuitBreaker as CircuitBreaker
    from mooring.parts.idempotency import Idempotency as Idempotency
    from mooring.parts.oauth_consent import OAuthConsent as OAuthConsent
    from mooring.parts.oauth_token_refresher import (
        AsyncOAuthTokenRefresher as AsyncOAuthTokenRefresher,
    )
    from mooring.parts.oauth_token_refresher import OAuthTokenRefresher as OAuthTokenRefresher
    from mooring.parts.rate_limiter import RateLimiter as RateLimiter
    from mooring.parts.retry_handler import RetryHandler as RetryHandler
    from mooring.parts.webhook_verifier import WebhookVerifier as WebhookVerifier
    from mooring.subjects import AsyncSubjects as AsyncSubjects
    from mooring.subjects import Subjects as Subjects

_HOME = {
    # calling services
    "ConnectorManager": "manager",
    "AsyncConnectorManager": "manager",
    "open": "config",
    "aopen": "config",
    "ConfigurationWarning": "config",
    "Hub": "hub",
    "AsyncHub": "hub",
    "Account": "contracts.routes",
    "Route": "contracts.routes",
    "Offer": "contracts.offer",
    "Safety": "domain.safety",
    "Ref": "contracts.ref",
    "Service": "domain.service",
    "Endpoint": "domain.service",
    "Region": "domain.region",
    "Request": "domain.http",
    "Response": "domain.http",
    "Timeouts": "domain.http",
    "HttpMethod": "domain.http",
    "Headers": "domain.http",
    "BodyStream": "domain.http",
    "FormFile": "domain.multipart",
    "Result": "domain.result",
    # one protection at a time
    "RetryHandler": "parts.retry_handler",
    "RateLimiter": "parts.rate_limiter",
    "CircuitBreaker": "parts.circuit_breaker",
    "Bulkhead": "parts.bulkhead",
    "Idempotency": "parts.idempotency",
    # OAuth
    "OAuthTokenRefresher": "parts.oauth_token_refresher",
    "AsyncOAuthTokenRefresher": "parts.oauth_token_refresher",
    "OAuthConsent": "parts.oauth_consent",
    "PendingConsent": "domain.oauth.pending",
    "DeviceConsent": "domain.oauth.device",
    "Granted": "domain.oauth.token_answer",
    "OAuthClient": "domain.oauth.client",
    "ClientAuthentication": "domain.oauth.client",
    "AuthorizationServer": "domain.oauth.server",
    "ClientCredentials": "domain.oauth.grants",
    "Consent": "domain.oauth.grants",
    "JwtBearer": "domain.oauth.grants",
    "TokenExchange": "domain.oauth.grants",
    # webhooks
    "WebhookVerifier": "parts.webhook_verifier",
    "WebhookEvent": "domain.webhooks.events",
    "WebhookReply": "domain.webhooks.replies",
    "WebhookReason": "domain.webhooks.rejection",
    "WebhookScheme": "domain.webhooks.scheme",
    "WebhookSigner": "domain.webhooks.sending",
    # work that is written down first
    "WebhookInbox": "inbox",
    "AsyncWebhookInbox": "inbox",
    "Outbox": "outbox",
    "AsyncOutbox": "outbox",
    "Subjects": "subjects",
    "AsyncSubjects": "subjects",
    # how calls are protected
    "RetryPolicy": "domain.retry",
    "Backoff": "domain.retry",
    "Jitter": "domain.retry",
    "RetryBudget": "domain.budget",
    "RateLimitConfig": "domain.rate_limit",
    "CircuitBreakerConfig": "domain.circuit",
    "CircuitBreakerState": "domain.circuit",
    "CircuitState": "domain.circuit",
    "BulkheadConfig": "domain.service",
    "HedgeConfig": "domain.service",
    "CachePolicy": "domain.cache_policy",
    # who we are
    "AuthMethod": "domain.auth",
    "Credentials": "domain.auth",
    "OAuthCredentials": "domain.auth",
    "AwsSigV4": "domain.signing.sigv4",
    "AzureSharedKey": "domain.signing.azure",
    "HmacSigning": "domain.signing.hmac_signing",
    "JwtSigning": "domain.signing.jwt",
    "MessageSignature": "domain.signing.message",
    "Secret": "domain.secret",
    # how connections are made
    "Tls": "domain.transport",
    "TlsVersion": "domain.transport",
    "DangerouslyUnverified": "domain.transport",
    "Proxy": "domain.transport",
    "PoolStatistics": "domain.transport",
    "OutgoingGuard": "domain.outgoing",
    # what is shown
    "Redaction": "domain.redaction",
    "Personal": "domain.personal",
    # what is told and recorded
    "Event": "domain.events",
    "CallStarted": "domain.events",
    "CallFinished": "domain.events",
    "AttemptFinished": "domain.events",
    "RetryScheduled": "domain.events",
    "RateLimitWaited": "domain.events",
    "CallRefused": "domain.events",
    "VendorPaused": "domain.events",
    "CircuitChanged": "domain.events",
    "CredentialRefreshed": "domain.events",
    "TokenRenewed": "domain.events",
    "TokenNotRenewed": "domain.events",
    "ConsentNeeded": "domain.events",
    "FailedOver": "domain.events",
    "Rehearsed": "domain.events",
    "Reloaded": "domain.events",
    "ReloadFailed": "domain.events",
    "IdempotencyReplayed": "domain.events",
    "AnswerNotStored": "domain.events",
    "CacheHit": "domain.events",
    "CacheMissed": "domain.events",
    "CacheRevalidated": "domain.events",
    "CacheSkipped": "domain.events",
    "StorageLost": "domain.events",
    "StorageRecovered": "domain.events",
    "TlsUnverified": "domain.events",
    "WebhookReceived": "domain.events",
    "WebhookRefused": "domain.events",
    "ObserverFailed": "domain.events",
    "IntegrationLog": "domain.integration_log",
    "IntegrationStatus": "domain.integration_log",
    "LogQuery": "domain.integration_log",
    "LogPage": "domain.integration_log",
    "LogSummary": "domain.integration_log",
    # values
    "Money": "domain.money",
    # everything that can go wrong
    **dict.fromkeys(
        (
            "ConnectorError",
            "ConfigurationError",
            "ConnectionFailed",
            "AttemptTimeout",
            "DestinationRefused",
            "DeadlineExceeded",
            "AuthenticationFailed",
            "CredentialNotFound",
            "CredentialRefreshFailed",
            "AuthorizationRequired",
            "RateLimitExceeded",
            "BulkheadFull",
            "CircuitBreakerOpen",
            "RetryBudgetExhausted",
            "NotCached",
            "IdempotencyConflict",
            "IdempotencyInProgress",
            "OutcomeUnknown",
            "VendorRejected",
            "InvalidRequest",
            "PaymentDeclined",
            "FileNotFound",
            "VendorFailed",
            "WebhookRejected",
            "StorageUnavailable",
            "UnsupportedByVendor",
            "HeldBack",
            "DryRun",
            "RecipientRefused",
            "CopiedStore",
            "InvalidData",
        ),
        "errors",
    ),
}
__all__ = tuple(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]  # as imported above


if not TYPE_CHECKING:  # pragma: no branch - a type checker would take every name for exported

    def __getattr__(name: str) -> object:
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module 'mooring' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"mooring.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
