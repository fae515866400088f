"""Calls from a business system to vendors: safe, observable and replaceable.

The names exported here are the public API; each of them is imported on its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.adapters.concurrency.operation_in_thread import (
        OperationInThread as OperationInThread,
    )
    from moorage.adapters.git.mirror import GitMirror as GitMirror
    from moorage.adapters.git.mirror import MirrorReport as MirrorReport
    from moorage.adapters.git.remote import GitRemote as GitRemote
    from moorage.adapters.graphql.schema import GraphQLSchema as GraphQLSchema
    from moorage.adapters.grpc.methods import GrpcAnswer as GrpcAnswer
    from moorage.adapters.grpc.methods import GrpcMethod as GrpcMethod
    from moorage.adapters.http_operations.soap.client import Soap as Soap
    from moorage.adapters.http_operations.soap.wsdl import Wsdl as Wsdl
    from moorage.adapters.links.pool_async import AsyncLinkPool as AsyncLinkPool
    from moorage.adapters.links.pool_sync import LinkPool as LinkPool
    from moorage.adapters.messages.kafka import Kafka as Kafka
    from moorage.adapters.messages.nats import Nats as Nats
    from moorage.adapters.messages.publisher_async import (
        AsyncMessagePublisher as AsyncMessagePublisher,
    )
    from moorage.adapters.messages.publisher_sync import MessagePublisher as MessagePublisher
    from moorage.adapters.messages.rabbitmq import RabbitMq as RabbitMq
    from moorage.adapters.mqtt.kind import Mqtt as Mqtt
    from moorage.adapters.observers.health_signals import HealthSignals as HealthSignals
    from moorage.adapters.redis_streams.kind import RedisStreams as RedisStreams
    from moorage.adapters.steps.aws_lambda import LambdaFunction as LambdaFunction
    from moorage.adapters.steps.aws_lambda import LambdaInvocation as LambdaInvocation
    from moorage.adapters.steps.aws_lambda import LambdaSettings as LambdaSettings
    from moorage.adapters.steps.azure_containers import (
        AzureContainersPlatform as AzureContainersPlatform,
    )
    from moorage.adapters.steps.azure_containers import (
        AzureContainersSettings as AzureContainersSettings,
    )
    from moorage.adapters.steps.cloud_run import CloudRunPlatform as CloudRunPlatform
    from moorage.adapters.steps.cloud_run import CloudRunSettings as CloudRunSettings
    from moorage.adapters.steps.docker import DockerPlatform as DockerPlatform
    from moorage.adapters.steps.docker_images import DockerImages as DockerImages
    from moorage.adapters.steps.ecs import EcsPlatform as EcsPlatform
    from moorage.adapters.steps.ecs import EcsSettings as EcsSettings
    from moorage.adapters.steps.ecs_service import EcsService as EcsService
    from moorage.adapters.steps.file_log import FileLog as FileLog
    from moorage.adapters.steps.github import GitHubPlatform as GitHubPlatform
    from moorage.adapters.steps.github_repository import GitHubRepository as GitHubRepository
    from moorage.adapters.steps.github_settings import GitHubSettings as GitHubSettings
    from moorage.adapters.steps.gitlab import GitLabPlatform as GitLabPlatform
    from moorage.adapters.steps.gitlab import GitLabSettings as GitLabSettings
    from moorage.adapters.steps.gitlab_project import GitLabProject as GitLabProject
    from moorage.adapters.steps.in_threads import AsyncPlatformInThreads as AsyncPlatformInThreads
    from moorage.adapters.steps.kubernetes import KubernetesPlatform as KubernetesPlatform
    from moorage.adapters.steps.kubernetes import KubernetesSettings as KubernetesSettings
    from moorage.adapters.steps.local import LocalPlatform as LocalPlatform
    from moorage.adapters.steps.platform_operation import PlatformOperation as PlatformOperation
    from moorage.adapters.steps.ssh import SshPlatform as SshPlatform
    from moorage.config import ConfigurationWarning as ConfigurationWarning
    from moorage.config import aopen as aopen
    from moorage.config import open as open  # noqa: A004 - users write `moorage.open`
    from moorage.config.openapi_files import read_openapi as read_openapi
    from moorage.contracts.hub_configuration import HubConfiguration as HubConfiguration
    from moorage.contracts.ref import Ref as Ref
    from moorage.contracts.routes import Account as Account
    from moorage.contracts.routes import Route as Route
    from moorage.contracts.undo import FromAnswer as FromAnswer
    from moorage.contracts.undo import Undo as Undo
    from moorage.domain.auth.methods import AuthMethod as AuthMethod
    from moorage.domain.auth.methods import Credentials as Credentials
    from moorage.domain.auth.methods import OAuthCredentials as OAuthCredentials
    from moorage.domain.connectors.description import ConnectorDescription as ConnectorDescription
    from moorage.domain.connectors.health import ConnectorHealth as ConnectorHealth
    from moorage.domain.connectors.health import ConnectorVersions as ConnectorVersions
    from moorage.domain.connectors.link_pool import PoolConfig as PoolConfig
    from moorage.domain.connectors.named_operation import NamedOperation as NamedOperation
    from moorage.domain.connectors.pool_statistics import PoolStatistics as PoolStatistics
    from moorage.domain.connectors.reconnecting import ReconnectPolicy as ReconnectPolicy
    from moorage.domain.graphql.answers import GraphQLAnswer as GraphQLAnswer
    from moorage.domain.graphql.answers import GraphQLPage as GraphQLPage
    from moorage.domain.graphql.answers import GraphQLProblem as GraphQLProblem
    from moorage.domain.graphql.persisted import PersistedDocuments as PersistedDocuments
    from moorage.domain.graphql.service import GraphQL as GraphQL
    from moorage.domain.http.log_content import LogContent as LogContent
    from moorage.domain.http.log_content import LoggedCalls as LoggedCalls
    from moorage.domain.http.multipart import FormFile as FormFile
    from moorage.domain.http.outgoing import OutgoingGuard as OutgoingGuard
    from moorage.domain.http.redaction import Redaction as Redaction
    from moorage.domain.http.requests import BodyStream as BodyStream
    from moorage.domain.http.requests import Headers as Headers
    from moorage.domain.http.requests import HttpMethod as HttpMethod
    from moorage.domain.http.requests import Request as Request
    from moorage.domain.http.requests import Response as Response
    from moorage.domain.http.requests import Timeouts as Timeouts
    from moorage.domain.http.transport import DangerouslyUnverified as DangerouslyUnverified
    from moorage.domain.http.transport import HttpPoolStatistics as HttpPoolStatistics
    from moorage.domain.http.transport import Proxy as Proxy
    from moorage.domain.http.transport import Tls as Tls
    from moorage.domain.http.transport import TlsVersion as TlsVersion
    from moorage.domain.messages.message import Message as Message
    from moorage.domain.messages.message import PublishReceipt as PublishReceipt
    from moorage.domain.monitoring.health import HealthPolicy as HealthPolicy
    from moorage.domain.monitoring.health import HealthState as HealthState
    from moorage.domain.monitoring.probes import Probe as Probe
    from moorage.domain.monitoring.settings import HealthSettings as HealthSettings
    from moorage.domain.oauth.client import ClientAuthentication as ClientAuthentication
    from moorage.domain.oauth.client import OAuthClient as OAuthClient
    from moorage.domain.oauth.device import DeviceConsent as DeviceConsent
    from moorage.domain.oauth.grants import ClientCredentials as ClientCredentials
    from moorage.domain.oauth.grants import Consent as Consent
    from moorage.domain.oauth.grants import JwtBearer as JwtBearer
    from moorage.domain.oauth.grants import RefreshToken as RefreshToken
    from moorage.domain.oauth.grants import TokenExchange as TokenExchange
    from moorage.domain.oauth.pending import PendingConsent as PendingConsent
    from moorage.domain.oauth.server import AuthorizationServer as AuthorizationServer
    from moorage.domain.oauth.token_answer import Granted as Granted
    from moorage.domain.observation.call_events import AttemptFinished as AttemptFinished
    from moorage.domain.observation.call_events import AttemptStarted as AttemptStarted
    from moorage.domain.observation.call_events import CallFinished as CallFinished
    from moorage.domain.observation.call_events import CallStarted as CallStarted
    from moorage.domain.observation.call_identity import CallOutcome as CallOutcome
    from moorage.domain.observation.events import AnswerNotStored as AnswerNotStored
    from moorage.domain.observation.events import BulkheadShrank as BulkheadShrank
    from moorage.domain.observation.events import BulkheadWaited as BulkheadWaited
    from moorage.domain.observation.events import CacheHit as CacheHit
    from moorage.domain.observation.events import CacheMissed as CacheMissed
    from moorage.domain.observation.events import CacheRevalidated as CacheRevalidated
    from moorage.domain.observation.events import CacheSkipped as CacheSkipped
    from moorage.domain.observation.events import CallRefused as CallRefused
    from moorage.domain.observation.events import CircuitChanged as CircuitChanged
    from moorage.domain.observation.events import ConnectorChecked as ConnectorChecked
    from moorage.domain.observation.events import ConsentNeeded as ConsentNeeded
    from moorage.domain.observation.events import CredentialRefreshed as CredentialRefreshed
    from moorage.domain.observation.events import Event as Event
    from moorage.domain.observation.events import FailedOver as FailedOver
    from moorage.domain.observation.events import IdempotencyReplayed as IdempotencyReplayed
    from moorage.domain.observation.events import LogEntriesLost as LogEntriesLost
    from moorage.domain.observation.events import ObserverFailed as ObserverFailed
    from moorage.domain.observation.events import PauseEnded as PauseEnded
    from moorage.domain.observation.events import RateLimitWaited as RateLimitWaited
    from moorage.domain.observation.events import Rehearsed as Rehearsed
    from moorage.domain.observation.events import Reloaded as Reloaded
    from moorage.domain.observation.events import ReloadFailed as ReloadFailed
    from moorage.domain.observation.events import RetryScheduled as RetryScheduled
    from moorage.domain.observation.events import StateSubstituted as StateSubstituted
    from moorage.domain.observation.events import StorageLost as StorageLost
    from moorage.domain.observation.events import StorageRecovered as StorageRecovered
    from moorage.domain.observation.events import TenantRecordsNearBound as TenantRecordsNearBound
    from moorage.domain.observation.events import TlsUnverified as TlsUnverified
    from moorage.domain.observation.events import TokenNotRenewed as TokenNotRenewed
    from moorage.domain.observation.events import TokenRenewed as TokenRenewed
    from moorage.domain.observation.events import VendorPaused as VendorPaused
    from moorage.domain.observation.events import WebhookReceived as WebhookReceived
    from moorage.domain.observation.events import WebhookRefused as WebhookRefused
    from moorage.domain.observation.integration_log import IntegrationLog as IntegrationLog
    from moorage.domain.observation.integration_log import IntegrationStatus as IntegrationStatus
    from moorage.domain.observation.integration_log import LogPage as LogPage
    from moorage.domain.observation.integration_log import LogQuery as LogQuery
    from moorage.domain.observation.integration_log import LogSummary as LogSummary
    from moorage.domain.odata.answers import ODataEntity as ODataEntity
    from moorage.domain.odata.answers import ODataPage as ODataPage
    from moorage.domain.odata.answers import ODataProblem as ODataProblem
    from moorage.domain.odata.filters import ODataFilter as ODataFilter
    from moorage.domain.odata.filters import odata_field as odata_field
    from moorage.domain.odata.literals import ODataEnum as ODataEnum
    from moorage.domain.odata.service import OData as OData
    from moorage.domain.odata.service import ODataExpand as ODataExpand
    from moorage.domain.odata.service import ODataQuery as ODataQuery
    from moorage.domain.openapi.description import OpenApi as OpenApi
    from moorage.domain.openapi.security import SecurityScheme as SecurityScheme
    from moorage.domain.pipelines.batches import BatchLimits as BatchLimits
    from moorage.domain.pipelines.records import SinkRecord as SinkRecord
    from moorage.domain.pipelines.records import SourceRecord as SourceRecord
    from moorage.domain.pipelines.settings import DeadLetter as DeadLetter
    from moorage.domain.pipelines.settings import PipelineConfig as PipelineConfig
    from moorage.domain.pipelines.settings import PipelineReport as PipelineReport
    from moorage.domain.pipelines.settings import PipelineState as PipelineState
    from moorage.domain.pipelines.settings import PipelineStatistics as PipelineStatistics
    from moorage.domain.resilience.adaptive_limit import AdaptiveLimit as AdaptiveLimit
    from moorage.domain.resilience.budget import RetryBudget as RetryBudget
    from moorage.domain.resilience.circuit import CircuitBreakerConfig as CircuitBreakerConfig
    from moorage.domain.resilience.circuit import CircuitBreakerState as CircuitBreakerState
    from moorage.domain.resilience.circuit import CircuitState as CircuitState
    from moorage.domain.resilience.rate_limit import RateLimitConfig as RateLimitConfig
    from moorage.domain.resilience.retry import Backoff as Backoff
    from moorage.domain.resilience.retry import Jitter as Jitter
    from moorage.domain.resilience.retry import RetryPolicy as RetryPolicy
    from moorage.domain.secrets.personal import Personal as Personal
    from moorage.domain.secrets.secret import Secret as Secret
    from moorage.domain.service.cache_policy import CachePolicy as CachePolicy
    from moorage.domain.service.json_rpc import JsonRpc as JsonRpc
    from moorage.domain.service.operation import HttpOperation as HttpOperation
    from moorage.domain.service.operation import OperationAttempt as OperationAttempt
    from moorage.domain.service.region import Region as Region
    from moorage.domain.service.safety import Safety as Safety
    from moorage.domain.service.settings import BulkheadConfig as BulkheadConfig
    from moorage.domain.service.settings import Endpoint as Endpoint
    from moorage.domain.service.settings import HedgeConfig as HedgeConfig
    from moorage.domain.service.settings import Service as Service
    from moorage.domain.service.xml_rpc import XmlRpc as XmlRpc
    from moorage.domain.signing.azure import AzureSharedKey as AzureSharedKey
    from moorage.domain.signing.hmac_signing import HmacSigning as HmacSigning
    from moorage.domain.signing.jwt import JwtSigning as JwtSigning
    from moorage.domain.signing.message import MessageSignature as MessageSignature
    from moorage.domain.signing.sigv4 import AwsSigV4 as AwsSigV4
    from moorage.domain.soap.faults import SoapFault as SoapFault
    from moorage.domain.soap.security import SoapSecurity as SoapSecurity
    from moorage.domain.steps.images import RegistryLogin as RegistryLogin
    from moorage.domain.steps.lambda_results import LambdaResult as LambdaResult
    from moorage.domain.steps.log_lines import LogLine as LogLine
    from moorage.domain.steps.log_parts import StorageLog as StorageLog
    from moorage.domain.steps.result import ExecutionResult as ExecutionResult
    from moorage.domain.steps.result import HookError as HookError
    from moorage.domain.steps.result import StepOutcome as StepOutcome
    from moorage.domain.steps.runs import EndReason as EndReason
    from moorage.domain.steps.runs import LogChunk as LogChunk
    from moorage.domain.steps.runs import RunPhase as RunPhase
    from moorage.domain.steps.runs import RunSpec as RunSpec
    from moorage.domain.steps.runs import RunStatus as RunStatus
    from moorage.domain.steps.step import ConnectorType as ConnectorType
    from moorage.domain.steps.step import Resources as Resources
    from moorage.domain.steps.step import Step as Step
    from moorage.domain.steps.step import Workspace as Workspace
    from moorage.domain.values.money import Money as Money
    from moorage.domain.values.result import Result as Result
    from moorage.domain.values.result import Results as Results
    from moorage.domain.webhooks.events import WebhookEvent as WebhookEvent
    from moorage.domain.webhooks.rejection import WebhookReason as WebhookReason
    from moorage.domain.webhooks.replies import WebhookReply as WebhookReply
    from moorage.domain.webhooks.scheme import WebhookScheme as WebhookScheme
    from moorage.domain.webhooks.sending import WebhookSigner as WebhookSigner
    from moorage.errors import AlreadyExists as AlreadyExists
    from moorage.errors import AttemptTimeout as AttemptTimeout
    from moorage.errors import AuthenticationFailed as AuthenticationFailed
    from moorage.errors import AuthorizationRequired as AuthorizationRequired
    from moorage.errors import BulkheadFull as BulkheadFull
    from moorage.errors import ChangedMeanwhile as ChangedMeanwhile
    from moorage.errors import ChangesExpired as ChangesExpired
    from moorage.errors import CircuitBreakerOpen as CircuitBreakerOpen
    from moorage.errors import ConfigurationError as ConfigurationError
    from moorage.errors import ConnectionFailed as ConnectionFailed
    from moorage.errors import ConnectorError as ConnectorError
    from moorage.errors import ConsentRequired as ConsentRequired
    from moorage.errors import CopiedStore as CopiedStore
    from moorage.errors import CredentialNotFound as CredentialNotFound
    from moorage.errors import CredentialRefreshFailed as CredentialRefreshFailed
    from moorage.errors import DeadlineExceeded as DeadlineExceeded
    from moorage.errors import DescriptionRefused as DescriptionRefused
    from moorage.errors import DestinationRefused as DestinationRefused
    from moorage.errors import DeviceGone as DeviceGone
    from moorage.errors import DryRun as DryRun
    from moorage.errors import FileNotFound as FileNotFound
    from moorage.errors import HeldBack as HeldBack
    from moorage.errors import HostKeyRefused as HostKeyRefused
    from moorage.errors import IdempotencyConflict as IdempotencyConflict
    from moorage.errors import IdempotencyInProgress as IdempotencyInProgress
    from moorage.errors import InvalidData as InvalidData
    from moorage.errors import InvalidRequest as InvalidRequest
    from moorage.errors import LocalFailure as LocalFailure
    from moorage.errors import MessageUnroutable as MessageUnroutable
    from moorage.errors import NotCached as NotCached
    from moorage.errors import OutcomeUnknown as OutcomeUnknown
    from moorage.errors import PaymentDeclined as PaymentDeclined
    from moorage.errors import PoolExhausted as PoolExhausted
    from moorage.errors import RateLimitExceeded as RateLimitExceeded
    from moorage.errors import RecipientRefused as RecipientRefused
    from moorage.errors import RetryBudgetExhausted as RetryBudgetExhausted
    from moorage.errors import SchemaIncompatible as SchemaIncompatible
    from moorage.errors import SchemaNotFound as SchemaNotFound
    from moorage.errors import StateUnavailable as StateUnavailable
    from moorage.errors import StepRunning as StepRunning
    from moorage.errors import StorageUnavailable as StorageUnavailable
    from moorage.errors import TenantRecordsExhausted as TenantRecordsExhausted
    from moorage.errors import TopicNotFound as TopicNotFound
    from moorage.errors import TransactionConflict as TransactionConflict
    from moorage.errors import UnsupportedByVendor as UnsupportedByVendor
    from moorage.errors import VendorFailed as VendorFailed
    from moorage.errors import VendorRejected as VendorRejected
    from moorage.errors import WebhookRejected as WebhookRejected
    from moorage.hub.connectors_async import AsyncConnectors as AsyncConnectors
    from moorage.hub.connectors_sync import Connectors as Connectors
    from moorage.hub.health import AsyncHealthMonitor as AsyncHealthMonitor
    from moorage.hub.health import HealthMonitor as HealthMonitor
    from moorage.hub.health_apps import AsyncHealthApp as AsyncHealthApp
    from moorage.hub.health_apps import HealthApp as HealthApp
    from moorage.hub.hub import AsyncHub as AsyncHub
    from moorage.hub.hub import Hub as Hub
    from moorage.hub.inbox import AsyncWebhookInbox as AsyncWebhookInbox
    from moorage.hub.inbox import WebhookInbox as WebhookInbox
    from moorage.hub.manager import AsyncConnectorManager as AsyncConnectorManager
    from moorage.hub.manager import ConnectorManager as ConnectorManager
    from moorage.hub.outbox import AsyncOutbox as AsyncOutbox
    from moorage.hub.outbox import Outbox as Outbox
    from moorage.hub.step_connector_async import AsyncStepConnector as AsyncStepConnector
    from moorage.hub.step_connector_sync import StepConnector as StepConnector
    from moorage.hub.step_files_async import AsyncStorageFiles as AsyncStorageFiles
    from moorage.hub.step_files_sync import StorageFiles as StorageFiles
    from moorage.hub.step_manager_async import AsyncStepManager as AsyncStepManager
    from moorage.hub.step_manager_sync import StepManager as StepManager
    from moorage.hub.subjects import AsyncSubjects as AsyncSubjects
    from moorage.hub.subjects import Subjects as Subjects
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
    from moorage.pipelines.checkpoints import PollingSource as PollingSource
    from moorage.pipelines.checkpoints import StateCheckpoints as StateCheckpoints
    from moorage.pipelines.functions import BatchSink as BatchSink
    from moorage.pipelines.functions import RecordSink as RecordSink
    from moorage.pipelines.pipeline import Pipeline as Pipeline
    from moorage.pipelines.running import run_pipelines as run_pipelines
    from moorage.ports.connector import ConnectorKind as ConnectorKind
    from moorage.ports.connector import KindSource as KindSource
    from moorage.ports.pipeline_kinds import PipelineParts as PipelineParts
    from moorage.ports.pipeline_kinds import SinkKind as SinkKind
    from moorage.ports.pipeline_kinds import SourceKind as SourceKind
    from moorage.ports.pipelines import CheckpointStore as CheckpointStore
    from moorage.ports.pipelines import DeadLetters as DeadLetters
    from moorage.ports.pipelines import PollLimits as PollLimits
    from moorage.ports.pipelines import SinkConnector as SinkConnector
    from moorage.ports.pipelines import SourceConnector as SourceConnector
    from moorage.ports.platform import AsyncEndWaiter as AsyncEndWaiter
    from moorage.ports.platform import AsyncPlatform as AsyncPlatform
    from moorage.ports.platform import EndWaiter as EndWaiter
    from moorage.ports.platform import Platform as Platform
    from moorage.ports.platform import PlatformKind as PlatformKind
    from moorage.ports.step_files import AsyncStepFiles as AsyncStepFiles
    from moorage.ports.step_files import StepFiles as StepFiles
    from moorage.ports.step_log import StepLog as StepLog

_HOME = {
    # calling services
    "ConnectorManager": "hub.manager",
    "AsyncConnectorManager": "hub.manager",
    "open": "config",
    "aopen": "config",
    "ConfigurationWarning": "config",
    "Hub": "hub.hub",
    "AsyncHub": "hub.hub",
    "Account": "contracts.routes",
    "Route": "contracts.routes",
    "HubConfiguration": "contracts.hub_configuration",
    "Safety": "domain.service.safety",
    "Ref": "contracts.ref",
    "Service": "domain.service.settings",
    "Endpoint": "domain.service.settings",
    "Region": "domain.service.region",
    "HttpOperation": "domain.service.operation",
    "GraphQL": "domain.graphql.service",
    "JsonRpc": "domain.service.json_rpc",
    "XmlRpc": "domain.service.xml_rpc",
    "Soap": "adapters.http_operations.soap.client",
    "Wsdl": "adapters.http_operations.soap.wsdl",
    "SoapSecurity": "domain.soap.security",
    "SoapFault": "domain.soap.faults",
    "OData": "domain.odata.service",
    "ODataQuery": "domain.odata.service",
    "ODataExpand": "domain.odata.service",
    "ODataFilter": "domain.odata.filters",
    "odata_field": "domain.odata.filters",
    "ODataEnum": "domain.odata.literals",
    "ODataEntity": "domain.odata.answers",
    "ODataPage": "domain.odata.answers",
    "ODataProblem": "domain.odata.answers",
    "OpenApi": "domain.openapi.description",
    "SecurityScheme": "domain.openapi.security",
    "read_openapi": "config.openapi_files",
    "GraphQLAnswer": "domain.graphql.answers",
    "GraphQLPage": "domain.graphql.answers",
    "GraphQLProblem": "domain.graphql.answers",
    "GraphQLSchema": "adapters.graphql.schema",
    "PersistedDocuments": "domain.graphql.persisted",
    "OperationAttempt": "domain.service.operation",
    "Request": "domain.http.requests",
    "Response": "domain.http.requests",
    "Timeouts": "domain.http.requests",
    "HttpMethod": "domain.http.requests",
    "Headers": "domain.http.requests",
    "BodyStream": "domain.http.requests",
    "FormFile": "domain.http.multipart",
    "Result": "domain.values.result",
    "Results": "domain.values.result",
    # connections that are not HTTP
    "LinkPool": "adapters.links.pool_sync",
    "AsyncLinkPool": "adapters.links.pool_async",
    "PoolConfig": "domain.connectors.link_pool",
    "PoolStatistics": "domain.connectors.pool_statistics",
    "Connectors": "hub.connectors_sync",
    "AsyncConnectors": "hub.connectors_async",
    "ConnectorKind": "ports.connector",
    "KindSource": "ports.connector",
    "PipelineParts": "ports.pipeline_kinds",
    "SinkKind": "ports.pipeline_kinds",
    "SourceKind": "ports.pipeline_kinds",
    "ConnectorDescription": "domain.connectors.description",
    "ConnectorHealth": "domain.connectors.health",
    "ConnectorVersions": "domain.connectors.health",
    "NamedOperation": "domain.connectors.named_operation",
    "ReconnectPolicy": "domain.connectors.reconnecting",
    "GrpcAnswer": "adapters.grpc.methods",
    "GrpcMethod": "adapters.grpc.methods",
    "Message": "domain.messages.message",
    "PublishReceipt": "domain.messages.message",
    "Kafka": "adapters.messages.kafka",
    "Nats": "adapters.messages.nats",
    "Mqtt": "adapters.mqtt.kind",
    "RabbitMq": "adapters.messages.rabbitmq",
    "RedisStreams": "adapters.redis_streams.kind",
    "MessagePublisher": "adapters.messages.publisher_sync",
    "AsyncMessagePublisher": "adapters.messages.publisher_async",
    # steps that run elsewhere
    "StepManager": "hub.step_manager_sync",
    "AsyncStepManager": "hub.step_manager_async",
    "StepConnector": "hub.step_connector_sync",
    "AsyncStepConnector": "hub.step_connector_async",
    "Step": "domain.steps.step",
    "Workspace": "domain.steps.step",
    "Resources": "domain.steps.step",
    "ConnectorType": "domain.steps.step",
    "ExecutionResult": "domain.steps.result",
    "StepOutcome": "domain.steps.result",
    "HookError": "domain.steps.result",
    "LocalPlatform": "adapters.steps.local",
    "DockerPlatform": "adapters.steps.docker",
    "DockerImages": "adapters.steps.docker_images",
    "RegistryLogin": "domain.steps.images",
    "SshPlatform": "adapters.steps.ssh",
    "GitHubPlatform": "adapters.steps.github",
    "GitHubSettings": "adapters.steps.github_settings",
    "GitLabPlatform": "adapters.steps.gitlab",
    "GitLabSettings": "adapters.steps.gitlab",
    "KubernetesPlatform": "adapters.steps.kubernetes",
    "KubernetesSettings": "adapters.steps.kubernetes",
    "EcsPlatform": "adapters.steps.ecs",
    "EcsSettings": "adapters.steps.ecs",
    "CloudRunPlatform": "adapters.steps.cloud_run",
    "CloudRunSettings": "adapters.steps.cloud_run",
    "AzureContainersPlatform": "adapters.steps.azure_containers",
    "AzureContainersSettings": "adapters.steps.azure_containers",
    "OperationInThread": "adapters.concurrency.operation_in_thread",
    "PlatformOperation": "adapters.steps.platform_operation",
    "GitHubRepository": "adapters.steps.github_repository",
    "GitLabProject": "adapters.steps.gitlab_project",
    "EcsService": "adapters.steps.ecs_service",
    "LambdaFunction": "adapters.steps.aws_lambda",
    "LambdaSettings": "adapters.steps.aws_lambda",
    "LambdaInvocation": "adapters.steps.aws_lambda",
    "LambdaResult": "domain.steps.lambda_results",
    "GitMirror": "adapters.git.mirror",
    "GitRemote": "adapters.git.remote",
    "MirrorReport": "adapters.git.mirror",
    "FileLog": "adapters.steps.file_log",
    "StorageLog": "domain.steps.log_parts",
    "LogLine": "domain.steps.log_lines",
    "StorageFiles": "hub.step_files_sync",
    "AsyncStorageFiles": "hub.step_files_async",
    "StepFiles": "ports.step_files",
    "AsyncStepFiles": "ports.step_files",
    "StepLog": "ports.step_log",
    "Platform": "ports.platform",
    "AsyncPlatform": "ports.platform",
    "EndWaiter": "ports.platform",
    "AsyncEndWaiter": "ports.platform",
    "AsyncPlatformInThreads": "adapters.steps.in_threads",
    "PlatformKind": "ports.platform",
    "RunSpec": "domain.steps.runs",
    "RunStatus": "domain.steps.runs",
    "RunPhase": "domain.steps.runs",
    "EndReason": "domain.steps.runs",
    "LogChunk": "domain.steps.runs",
    # pipelines of records
    "Pipeline": "pipelines.pipeline",
    "run_pipelines": "pipelines.running",
    "PollingSource": "pipelines.checkpoints",
    "StateCheckpoints": "pipelines.checkpoints",
    "CheckpointStore": "ports.pipelines",
    "RecordSink": "pipelines.functions",
    "BatchSink": "pipelines.functions",
    "PipelineConfig": "domain.pipelines.settings",
    "PipelineState": "domain.pipelines.settings",
    "PipelineStatistics": "domain.pipelines.settings",
    "PipelineReport": "domain.pipelines.settings",
    "DeadLetter": "domain.pipelines.settings",
    "BatchLimits": "domain.pipelines.batches",
    "SinkRecord": "domain.pipelines.records",
    "SourceRecord": "domain.pipelines.records",
    "SourceConnector": "ports.pipelines",
    "SinkConnector": "ports.pipelines",
    "DeadLetters": "ports.pipelines",
    "PollLimits": "ports.pipelines",
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
    "RefreshToken": "domain.oauth.grants",
    "TokenExchange": "domain.oauth.grants",
    # webhooks
    "WebhookVerifier": "parts.webhook_verifier",
    "WebhookEvent": "domain.webhooks.events",
    "WebhookReply": "domain.webhooks.replies",
    "WebhookReason": "domain.webhooks.rejection",
    "WebhookScheme": "domain.webhooks.scheme",
    "WebhookSigner": "domain.webhooks.sending",
    # health
    "AsyncHealthApp": "hub.health_apps",
    "AsyncHealthMonitor": "hub.health",
    "HealthApp": "hub.health_apps",
    "HealthMonitor": "hub.health",
    "HealthPolicy": "domain.monitoring.health",
    "HealthSettings": "domain.monitoring.settings",
    "HealthSignals": "adapters.observers.health_signals",
    "HealthState": "domain.monitoring.health",
    "Probe": "domain.monitoring.probes",
    # work that is stored before it is done
    "WebhookInbox": "hub.inbox",
    "AsyncWebhookInbox": "hub.inbox",
    "Outbox": "hub.outbox",
    "AsyncOutbox": "hub.outbox",
    "Undo": "contracts.undo",
    "FromAnswer": "contracts.undo",
    "Subjects": "hub.subjects",
    "AsyncSubjects": "hub.subjects",
    # how calls are protected
    "RetryPolicy": "domain.resilience.retry",
    "Backoff": "domain.resilience.retry",
    "Jitter": "domain.resilience.retry",
    "RetryBudget": "domain.resilience.budget",
    "RateLimitConfig": "domain.resilience.rate_limit",
    "CircuitBreakerConfig": "domain.resilience.circuit",
    "CircuitBreakerState": "domain.resilience.circuit",
    "CircuitState": "domain.resilience.circuit",
    "BulkheadConfig": "domain.service.settings",
    "AdaptiveLimit": "domain.resilience.adaptive_limit",
    "HedgeConfig": "domain.service.settings",
    "CachePolicy": "domain.service.cache_policy",
    # the product and its version
    "AuthMethod": "domain.auth.methods",
    "Credentials": "domain.auth.methods",
    "OAuthCredentials": "domain.auth.methods",
    "AwsSigV4": "domain.signing.sigv4",
    "AzureSharedKey": "domain.signing.azure",
    "HmacSigning": "domain.signing.hmac_signing",
    "JwtSigning": "domain.signing.jwt",
    "MessageSignature": "domain.signing.message",
    "Secret": "domain.secrets.secret",
    # how connections are made
    "Tls": "domain.http.transport",
    "TlsVersion": "domain.http.transport",
    "DangerouslyUnverified": "domain.http.transport",
    "Proxy": "domain.http.transport",
    "HttpPoolStatistics": "domain.http.transport",
    "OutgoingGuard": "domain.http.outgoing",
    # masking of secrets
    "Redaction": "domain.http.redaction",
    "LogContent": "domain.http.log_content",
    "LoggedCalls": "domain.http.log_content",
    "Personal": "domain.secrets.personal",
    # events, logs and figures
    "Event": "domain.observation.events",
    "CallStarted": "domain.observation.call_events",
    "CallFinished": "domain.observation.call_events",
    "CallOutcome": "domain.observation.call_identity",
    "AttemptStarted": "domain.observation.call_events",
    "AttemptFinished": "domain.observation.call_events",
    "RetryScheduled": "domain.observation.events",
    "RateLimitWaited": "domain.observation.events",
    "BulkheadShrank": "domain.observation.events",
    "BulkheadWaited": "domain.observation.events",
    "CallRefused": "domain.observation.events",
    "VendorPaused": "domain.observation.events",
    "PauseEnded": "domain.observation.events",
    "CircuitChanged": "domain.observation.events",
    "ConnectorChecked": "domain.observation.events",
    "CredentialRefreshed": "domain.observation.events",
    "TokenRenewed": "domain.observation.events",
    "TokenNotRenewed": "domain.observation.events",
    "ConsentNeeded": "domain.observation.events",
    "FailedOver": "domain.observation.events",
    "Rehearsed": "domain.observation.events",
    "Reloaded": "domain.observation.events",
    "ReloadFailed": "domain.observation.events",
    "IdempotencyReplayed": "domain.observation.events",
    "AnswerNotStored": "domain.observation.events",
    "TenantRecordsNearBound": "domain.observation.events",
    "CacheHit": "domain.observation.events",
    "CacheMissed": "domain.observation.events",
    "CacheRevalidated": "domain.observation.events",
    "CacheSkipped": "domain.observation.events",
    "StorageLost": "domain.observation.events",
    "StorageRecovered": "domain.observation.events",
    "StateSubstituted": "domain.observation.events",
    "TlsUnverified": "domain.observation.events",
    "WebhookReceived": "domain.observation.events",
    "WebhookRefused": "domain.observation.events",
    "LogEntriesLost": "domain.observation.events",
    "ObserverFailed": "domain.observation.events",
    "IntegrationLog": "domain.observation.integration_log",
    "IntegrationStatus": "domain.observation.integration_log",
    "LogQuery": "domain.observation.integration_log",
    "LogPage": "domain.observation.integration_log",
    "LogSummary": "domain.observation.integration_log",
    # values
    "Money": "domain.values.money",
    # everything that can go wrong
    **dict.fromkeys(
        (
            "ConnectorError",
            "ConfigurationError",
            "ConnectionFailed",
            "AttemptTimeout",
            "LocalFailure",
            "DescriptionRefused",
            "DestinationRefused",
            "HostKeyRefused",
            "TransactionConflict",
            "DeadlineExceeded",
            "AuthenticationFailed",
            "CredentialNotFound",
            "CredentialRefreshFailed",
            "AuthorizationRequired",
            "RateLimitExceeded",
            "BulkheadFull",
            "PoolExhausted",
            "CircuitBreakerOpen",
            "RetryBudgetExhausted",
            "NotCached",
            "IdempotencyConflict",
            "IdempotencyInProgress",
            "StepRunning",
            "TenantRecordsExhausted",
            "OutcomeUnknown",
            "VendorRejected",
            "InvalidRequest",
            "PaymentDeclined",
            "DeviceGone",
            "FileNotFound",
            "AlreadyExists",
            "ChangedMeanwhile",
            "ChangesExpired",
            "ConsentRequired",
            "MessageUnroutable",
            "SchemaIncompatible",
            "SchemaNotFound",
            "TopicNotFound",
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
# `from moorage import *` must not replace Python's own `open`.
__all__ = tuple(name for name in _HOME if name != "open")  # pyright: ignore[reportUnsupportedDunderAll]  # the names imported above


if not TYPE_CHECKING:  # a type checker would take every name for exported

    def __getattr__(name: str) -> object:
        module_name = _HOME.get(name)
        if module_name is None:
            raise AttributeError(f"module 'moorage' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"moorage.{module_name}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
