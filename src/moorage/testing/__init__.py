"""Fakes, virtual time and conformance kits, for tests of programs that use moorage.

A test sets the time, the random numbers, the responses of a vendor and the faults of the network.
It patches nothing, because each fake implements a port. The author of an adapter tests it with the
conformance kit of its port. Pytest finds the fixtures of `moorage.testing.pytest_plugin` by itself.

What is exported here is loaded when it is first used. This layer may import everything except the
configuration and the command line; only tests import it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moorage.testing.cassettes.cassette import Cassette as Cassette
    from moorage.testing.cassettes.cassette import NotRecorded as NotRecorded
    from moorage.testing.fakes.clock import AsyncVirtualSleeper as AsyncVirtualSleeper
    from moorage.testing.fakes.clock import VirtualClock as VirtualClock
    from moorage.testing.fakes.clock import VirtualSleeper as VirtualSleeper
    from moorage.testing.fakes.faults import AsyncFaultNetwork as AsyncFaultNetwork
    from moorage.testing.fakes.faults import CutMidBody as CutMidBody
    from moorage.testing.fakes.faults import Delay as Delay
    from moorage.testing.fakes.faults import Fault as Fault
    from moorage.testing.fakes.faults import FaultNetwork as FaultNetwork
    from moorage.testing.fakes.faults import FaultSchedule as FaultSchedule
    from moorage.testing.fakes.faults import Garbage as Garbage
    from moorage.testing.fakes.faults import LostAnswer as LostAnswer
    from moorage.testing.fakes.faults import LostRequest as LostRequest
    from moorage.testing.fakes.faults import RateLimited as RateLimited
    from moorage.testing.fakes.faults import Refused as Refused
    from moorage.testing.fakes.faults import ServerError as ServerError
    from moorage.testing.fakes.grpc_server import GrpcRequest as GrpcRequest
    from moorage.testing.fakes.grpc_server import GrpcServer as GrpcServer
    from moorage.testing.fakes.grpc_server import GrpcStatus as GrpcStatus
    from moorage.testing.fakes.grpc_server import HeldCalls as HeldCalls
    from moorage.testing.fakes.http import AsyncScriptedHttpClient as AsyncScriptedHttpClient
    from moorage.testing.fakes.http import FakeVendor as FakeVendor
    from moorage.testing.fakes.http import FakeVendorRequest as FakeVendorRequest
    from moorage.testing.fakes.http import ScriptedHttpClient as ScriptedHttpClient
    from moorage.testing.fakes.http import UnexpectedRequest as UnexpectedRequest
    from moorage.testing.fakes.http_proxy import ProxyServer as ProxyServer
    from moorage.testing.fakes.http_server import Behaviour as Behaviour
    from moorage.testing.fakes.http_server import ReceivedRequest as ReceivedRequest
    from moorage.testing.fakes.http_server import VendorServer as VendorServer
    from moorage.testing.fakes.http_tls import tls_pair as tls_pair
    from moorage.testing.fakes.imap_server import ImapServer as ImapServer
    from moorage.testing.fakes.ldap_server import LdapServer as LdapServer
    from moorage.testing.fakes.message_broker import MemoryBroker as MemoryBroker
    from moorage.testing.fakes.message_broker import StoredMessage as StoredMessage
    from moorage.testing.fakes.observer import FailingObserver as FailingObserver
    from moorage.testing.fakes.observer import RecordingObserver as RecordingObserver
    from moorage.testing.fakes.pipelines import MemoryDeadLetters as MemoryDeadLetters
    from moorage.testing.fakes.pipelines import MemorySink as MemorySink
    from moorage.testing.fakes.pipelines import MemorySource as MemorySource
    from moorage.testing.fakes.pipelines import make_records as make_records
    from moorage.testing.fakes.platform import MockPlatform as MockPlatform
    from moorage.testing.fakes.randomness import ScriptedRandomness as ScriptedRandomness
    from moorage.testing.fakes.randomness import SequentialIds as SequentialIds
    from moorage.testing.fakes.schema_registry import SchemaRegistryServer as SchemaRegistryServer
    from moorage.testing.fakes.soap_server import SoapServer as SoapServer
    from moorage.testing.fakes.soap_server import SoapServerFault as SoapServerFault
    from moorage.testing.fakes.tcp_proxy import TcpProxy as TcpProxy
    from moorage.testing.fakes.websocket_server import WebSocketServer as WebSocketServer
    from moorage.testing.kits import accounting_conformance as accounting_conformance
    from moorage.testing.kits import bank_conformance as bank_conformance
    from moorage.testing.kits import cache_conformance as cache_conformance
    from moorage.testing.kits import calendars_conformance as calendars_conformance
    from moorage.testing.kits import chat_conformance as chat_conformance
    from moorage.testing.kits import clock_conformance as clock_conformance
    from moorage.testing.kits import connector_conformance as connector_conformance
    from moorage.testing.kits import contract_conformance as contract_conformance
    from moorage.testing.kits import credentials_conformance as credentials_conformance
    from moorage.testing.kits import crm_conformance as crm_conformance
    from moorage.testing.kits import currencies_conformance as currencies_conformance
    from moorage.testing.kits import einvoices_conformance as einvoices_conformance
    from moorage.testing.kits import email_conformance as email_conformance
    from moorage.testing.kits import gather_conformance as gather_conformance
    from moorage.testing.kits import http_conformance as http_conformance
    from moorage.testing.kits import inbox_conformance as inbox_conformance
    from moorage.testing.kits import inference_conformance as inference_conformance
    from moorage.testing.kits import integration_log_conformance as integration_log_conformance
    from moorage.testing.kits import locks_conformance as locks_conformance
    from moorage.testing.kits import outbox_conformance as outbox_conformance
    from moorage.testing.kits import payments_conformance as payments_conformance
    from moorage.testing.kits import people_conformance as people_conformance
    from moorage.testing.kits import platform_conformance as platform_conformance
    from moorage.testing.kits import push_conformance as push_conformance
    from moorage.testing.kits import scim_conformance as scim_conformance
    from moorage.testing.kits import shipping_conformance as shipping_conformance
    from moorage.testing.kits import shops_conformance as shops_conformance
    from moorage.testing.kits import signatures_conformance as signatures_conformance
    from moorage.testing.kits import sink_conformance as sink_conformance
    from moorage.testing.kits import sms_conformance as sms_conformance
    from moorage.testing.kits import source_conformance as source_conformance
    from moorage.testing.kits import state_conformance as state_conformance
    from moorage.testing.kits import storage_conformance as storage_conformance
    from moorage.testing.kits import tax_calculation_conformance as tax_calculation_conformance
    from moorage.testing.kits import tax_conformance as tax_conformance
    from moorage.testing.kits import tenants_conformance as tenants_conformance
    from moorage.testing.kits import webhook_secrets_conformance as webhook_secrets_conformance
    from moorage.testing.kits.checks import name_of as name_of
    from moorage.testing.kits.checks import waiting_at_most as waiting_at_most

_MODULES: Final = {
    # virtual time and random numbers
    "VirtualClock": "fakes.clock",
    "VirtualSleeper": "fakes.clock",
    "AsyncVirtualSleeper": "fakes.clock",
    "ScriptedRandomness": "fakes.randomness",
    "SequentialIds": "fakes.randomness",
    # a vendor in memory
    "FakeVendor": "fakes.http",
    "FakeVendorRequest": "fakes.http",
    "ScriptedHttpClient": "fakes.http",
    "AsyncScriptedHttpClient": "fakes.http",
    "UnexpectedRequest": "fakes.http",
    # a network with faults
    "FaultNetwork": "fakes.faults",
    "AsyncFaultNetwork": "fakes.faults",
    "FaultSchedule": "fakes.faults",
    "Fault": "fakes.faults",
    "Refused": "fakes.faults",
    "LostRequest": "fakes.faults",
    "LostAnswer": "fakes.faults",
    "Delay": "fakes.faults",
    "CutMidBody": "fakes.faults",
    "RateLimited": "fakes.faults",
    "ServerError": "fakes.faults",
    "Garbage": "fakes.faults",
    # a vendor on a real port
    "VendorServer": "fakes.http_server",
    "WebSocketServer": "fakes.websocket_server",
    "GrpcServer": "fakes.grpc_server",
    "GrpcRequest": "fakes.grpc_server",
    "GrpcStatus": "fakes.grpc_server",
    "HeldCalls": "fakes.grpc_server",
    "ImapServer": "fakes.imap_server",
    "LdapServer": "fakes.ldap_server",
    "Behaviour": "fakes.http_server",
    "ReceivedRequest": "fakes.http_server",
    "ProxyServer": "fakes.http_proxy",
    "tls_pair": "fakes.http_tls",
    # a network between a program and a real server
    "SchemaRegistryServer": "fakes.schema_registry",
    "SoapServer": "fakes.soap_server",
    "SoapServerFault": "fakes.soap_server",
    "TcpProxy": "fakes.tcp_proxy",
    # exchanges that were recorded
    "Cassette": "cassettes.cassette",
    "NotRecorded": "cassettes.cassette",
    # recorded events
    "RecordingObserver": "fakes.observer",
    "MemoryBroker": "fakes.message_broker",
    "StoredMessage": "fakes.message_broker",
    "MemorySource": "fakes.pipelines",
    "MemorySink": "fakes.pipelines",
    "MemoryDeadLetters": "fakes.pipelines",
    "make_records": "fakes.pipelines",
    "FailingObserver": "fakes.observer",
    "MockPlatform": "fakes.platform",
    # running a conformance kit
    "name_of": "kits.checks",
    "waiting_at_most": "kits.checks",
    # the conformance kits of the ports, as modules
    "contract_conformance": "kits",
    "accounting_conformance": "kits",
    "bank_conformance": "kits",
    "cache_conformance": "kits",
    "chat_conformance": "kits",
    "push_conformance": "kits",
    "clock_conformance": "kits",
    "connector_conformance": "kits",
    "credentials_conformance": "kits",
    "crm_conformance": "kits",
    "currencies_conformance": "kits",
    "einvoices_conformance": "kits",
    "email_conformance": "kits",
    "gather_conformance": "kits",
    "http_conformance": "kits",
    "inbox_conformance": "kits",
    "inference_conformance": "kits",
    "integration_log_conformance": "kits",
    "locks_conformance": "kits",
    "outbox_conformance": "kits",
    "payments_conformance": "kits",
    "people_conformance": "kits",
    "calendars_conformance": "kits",
    "platform_conformance": "kits",
    "shipping_conformance": "kits",
    "sink_conformance": "kits",
    "sms_conformance": "kits",
    "signatures_conformance": "kits",
    "source_conformance": "kits",
    "state_conformance": "kits",
    "storage_conformance": "kits",
    "shops_conformance": "kits",
    "tax_calculation_conformance": "kits",
    "tax_conformance": "kits",
    "webhook_secrets_conformance": "kits",
    "tenants_conformance": "kits",
    "scim_conformance": "kits",
}
__all__ = tuple(_MODULES)  # pyright: ignore[reportUnsupportedDunderAll]  # as imported above


if not TYPE_CHECKING:  # pragma: no branch - a type checker would take every name for exported

    def __getattr__(name: str) -> object:
        home = _MODULES.get(name)
        if home is None:
            raise AttributeError(f"module 'moorage.testing' has no attribute {name!r}")
        if home == "kits":
            return import_module(f"moorage.testing.kits.{name}")
        value = getattr(import_module(f"moorage.testing.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
