"""Every call of a business system to the outside world, made safe, observable and replaceable.

What is exported here is the public API; it is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.config import ConfigurationWarning as ConfigurationWarning
    from moorage.config import aopen as aopen
    from moorage.config import open as open  # noqa: A004 - read as moorage.open
    from moorage.contracts.offer import Offer as Offer
    from moorage.contracts.ref import Ref as Ref
    from moorage.contracts.routes import Account as Account
    from moorage.contracts.routes import Route as Route
    from moorage.domain.auth import AuthMethod as AuthMethod
    from moorage.domain.auth import Credentials as Credentials
    from moorage.domain.auth import OAuthCredentials as OAuthCredentials
    from moorage.domain.budget import RetryBudget as RetryBudget
    from moorage.domain.cache_policy import CachePolicy as CachePolicy
    from moorage.domain.circuit import CircuitBreakerConfig as CircuitBreakerConfig
    from moorage.domain.circuit import CircuitBreakerState as CircuitBreakerState
    from moorage.domain.circuit import CircuitState as CircuitState
    from moorage.domain.events import AnswerNotStored as AnswerNotStored
    from moorage.domain.events import AttemptFinished as AttemptFinished
    from moorage.domain.events import CacheHit as CacheHit
    from moorage.domain.events import CacheMissed as CacheMissed
    from moorage.domain.events import CacheRevalidated as CacheRevalidated
    from moorage.domain.events import CacheSkipped as CacheSkipped
    from moorage.domain.events import CallFinished as CallFinished
    from moorage.domain.events import CallRefused as CallRefused
    from moorage.domain.events import CallStarted as CallStarted
    from moorage.domain.events import CircuitChanged as CircuitChanged
    from moorage.domain.events import ConsentNeeded as ConsentNeeded
    from moorage.domain.events import CredentialRefreshed as CredentialRefreshed
    from moorage.domain.events import Event as Event
    from moorage.domain.events import FailedOver as FailedOver
    from moorage.domain.events import IdempotencyReplayed as IdempotencyReplayed
    from moorage.domain.events import ObserverFailed as ObserverFailed
    from moorage.domain.events import PauseEnded as PauseEnded
    from moorage.domain.events import RateLimitWaited as RateLimitWaited
    from moorage.domain.events import Rehearsed as Rehearsed
    from moorage.domain.events import Reloaded as Reloaded
    from moorage.domain.events import ReloadFailed as ReloadFailed
    from moorage.domain.events import RetryScheduled as RetryScheduled
    from moorage.domain.events import StateSubstituted as StateSubstituted
    from moorage.domain.events import StorageLost as StorageLost
    from moorage.domain.events import StorageRecovered as StorageRecovered
    from moorage.domain.events import TlsUnverified as TlsUnverified
    from moorage.domain.events import TokenNotRenewed as TokenNotRenewed
    from moorage.domain.events import TokenRenewed as TokenRenewed
    from moorage.domain.events import VendorPaused as VendorPaused
    from moorage.domain.events import WebhookReceived as WebhookReceived
    from moorage.domain.events import WebhookRefused as WebhookRefused
    from moorage.domain.http import BodyStream as BodyStream
    from moorage.domain.http import Headers as Headers
    from moorage.domain.http import HttpMethod as HttpMethod
    from moorage.domain.http import Request as Request
    from moorage.domain.http import Response as Response
    from moorage.domain.http import Timeouts as Timeouts
    from moorage.domain.integration_log import IntegrationLog as IntegrationLog
    from moorage.domain.integration_log import IntegrationStatus as IntegrationStatus
    from moorage.domain.integration_log import LogPage as LogPage
    from moorage.domain.integration_log import LogQuery as LogQuery
    from moorage.domain.integration_log import LogSummary as LogSummary
    from moorage.domain.money import Money as Money
    from moorage.domain.multipart import FormFile as FormFile
    from moorage.domain.oauth.client import ClientAuthentication as ClientAuthentication
    from moorage.domain.oauth.client import OAuthClient as OAuthClient
    from moorage.domain.oauth.device import DeviceConsent as DeviceConsent
    from moorage.domain.oauth.grants import ClientCredentials as ClientCredentials
    from moorage.domain.oauth.grants import Consent as Consent
    from moorage.domain.oauth.grants import JwtBearer as JwtBearer
    from moorage.domain.oauth.grants import TokenExchange as TokenExchange
    from moorage.domain.oauth.pending import PendingConsent as PendingConsent
    from moorage.domain.oauth.server import AuthorizationServer as AuthorizationServer
    from moorage.domain.oauth.token_answer import Granted as Granted
    from moorage.domain.outgoing import OutgoingGuard as OutgoingGuard
    from moorage.domain.personal import Personal as Personal
    from moorage.domain.rate_limit import RateLimitConfig as RateLimitConfig
    from moorage.domain.redaction import Redaction as Redaction
    from moorage.domain.region import Region as Region
    from moorage.domain.result import Result as Result
    from moorage.domain.retry import Backoff as Backoff
    from moorage.domain.retry import Jitter as Jitter
    from moorage.domain.retry import RetryPolicy as RetryPolicy
    from moorage.domain.safety import Safety as Safety
    from moorage.domain.secret import Secret as Secret
    from moorage.domain.service import BulkheadConfig as BulkheadConfig
    from moorage.domain.service import Endpoint as Endpoint
    from moorage.domain.service import HedgeConfig as HedgeConfig
    from moorage.domain.service import Service as Service
    from moorage.domain.signing.azure import AzureSharedKey as AzureSharedKey
    from moorage.domain.signing.hmac_signing import HmacSigning as HmacSigning
    from moorage.domain.signing.jwt import JwtSigning as JwtSigning
    from moorage.domain.signing.message import MessageSignature as MessageSignature
    from moorage.domain.signing.sigv4 import AwsSigV4 as AwsSigV4
    from moorage.domain.transport import DangerouslyUnverified as DangerouslyUnverified
    from moorage.domain.transport import PoolStatistics as PoolStatistics
    from moorage.domain.transport import Proxy as Proxy
    from moorage.domain.transport import Tls as Tls
    from moorage.domain.transport import TlsVersion as TlsVersion
    from moorage.domain.webhooks.events import WebhookEvent as WebhookEvent
    from moorage.domain.webhooks.rejection import WebhookReason as WebhookReason
    from moorage.domain.webhooks.replies import WebhookReply as WebhookReply
    from moorage.domain.webhooks.scheme import WebhookScheme as WebhookScheme
    from moorage.domain.webhooks.sending import WebhookSigner as WebhookSigner
    from moorage.errors import AttemptTimeout as AttemptTimeout
    from moorage.errors import AuthenticationFailed as AuthenticationFailed
    from moorage.errors import AuthorizationRequired as AuthorizationRequired
    from moorage.errors import BulkheadFull as BulkheadFull
    from moorage.errors import CircuitBreakerOpen as CircuitBreakerOpen
    from moorage.errors import ConfigurationError as ConfigurationError
    from moorage.errors import ConnectionFailed as ConnectionFailed
    from moorage.errors import ConnectorError as ConnectorError
    from moorage.errors import CopiedStore as CopiedStore
    from moorage.errors import CredentialNotFound as CredentialNotFound
    from moorage.errors import CredentialRefreshFailed as CredentialRefreshFailed
    from moorage.errors import DeadlineExceeded as DeadlineExceeded
    from moorage.errors import DestinationRefused as DestinationRefused
    from moorage.errors import DryRun as DryRun
    from moorage.errors import FileNotFound as FileNotFound
    from moorage.errors import HeldBack as HeldBack
    from moorage.errors import IdempotencyConflict as IdempotencyConflict
    from moorage.errors import IdempotencyInProgress as IdempotencyInProgress
    from moorage.errors import InvalidData as InvalidData
    from moorage.errors import InvalidRequest as InvalidRequest
    from moorage.errors import LocalFailure as LocalFailure
    from moorage.errors import NotCached as NotCached
    from moorage.errors import OutcomeUnknown as OutcomeUnknown
    from moorage.errors import PaymentDeclined as PaymentDeclined
    from moorage.errors import RateLimitExceeded as RateLimitExceeded
    from moorage.errors import RecipientRefused as RecipientRefused
    from moorage.errors import RetryBudgetExhausted as RetryBudgetExhausted
    from moorage.errors import StateUnavailable as StateUnavailable
    from moorage.errors import StorageUnavailable as StorageUnavailable
    from moorage.errors import UnsupportedByVendor as UnsupportedByVendor
    from moorage.errors import VendorFailed as VendorFailed
    from moorage.errors import VendorRejected as VendorRejected
    from moorage.errors import WebhookRejected as WebhookRejected
    from moorage.hub import AsyncHub as AsyncHub
    from moorage.hub import Hub as Hub
    from moorage.inbox import AsyncWebhookInbox as AsyncWebhookInbox
    from moorage.inbox import WebhookInbox as WebhookInbox
    from moorage.manager import AsyncConnectorManager as AsyncConnectorManager
    from moorage.manager import ConnectorManager as ConnectorManager
    from moorage.outbox import AsyncOutbox as AsyncOutbox
    from moorage.outbox import Outbox as Outbox
    from moorage.parts.bulkhead import Bulkhead as Bulkhead
    from moorage.parts.circuit_breaker import CircuitBreaker as CircuitBreaker
    from moorage.parts.idempotency import Idempotency as Idempotency
    from moorage.parts.oauth_consent import OAuthConsent as OAuthConsent
    from moorage.parts.oauth_token_refresher import (
        AsyncOAuthTokenRefresher as AsyncOAuthTokenRefresher,
    )
    from moorage.parts.oauth_token_refresher import OAuthTokenRefresher as OAuthTokenRefresher
    from moorage.parts.rate_limiter import RateLimiter as RateLimiter
    from moorage.parts.retry_handler import RetryHandler as RetryHandler
    from moorage.parts.webhook_verifier import WebhookVerifier as WebhookVerifier
    from moorage.subjects import AsyncSubjects as AsyncSubjects
    from moorage.subjects import Subjects as Subjects

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
    "PauseEnded": "domain.events",
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
    "StateSubstituted": "domain.events",
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
            "LocalFailure",
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
            "StateUnavailable",
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
            raise AttributeError(f"module 'moorage' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"moorage.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
