"""Fakes, virtual time and conformance kits: for tests of whatever uses moorage.

A test decides what time it is, what chance draws, what a vendor answers and what the network
loses; nothing is patched, because everything here fits a port. Whoever writes an adapter proves it
with the kit of its port. Pytest finds the fixtures of `moorage.testing.pytest_plugin` by itself.

What is exported here is loaded when it is first used. The layer sees everything but configuration
and the command line, and nothing but tests sees it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moorage.testing import cache_conformance as cache_conformance
    from moorage.testing import clock_conformance as clock_conformance
    from moorage.testing import credentials_conformance as credentials_conformance
    from moorage.testing import email_conformance as email_conformance
    from moorage.testing import gather_conformance as gather_conformance
    from moorage.testing import http_conformance as http_conformance
    from moorage.testing import inbox_conformance as inbox_conformance
    from moorage.testing import integration_log_conformance as integration_log_conformance
    from moorage.testing import locks_conformance as locks_conformance
    from moorage.testing import outbox_conformance as outbox_conformance
    from moorage.testing import payments_conformance as payments_conformance
    from moorage.testing import shipping_conformance as shipping_conformance
    from moorage.testing import sms_conformance as sms_conformance
    from moorage.testing import state_conformance as state_conformance
    from moorage.testing import storage_conformance as storage_conformance
    from moorage.testing import tenants_conformance as tenants_conformance
    from moorage.testing import webhook_secrets_conformance as webhook_secrets_conformance
    from moorage.testing.cassette import Cassette as Cassette
    from moorage.testing.cassette import NotOnTape as NotOnTape
    from moorage.testing.chance import ScriptedRandomness as ScriptedRandomness
    from moorage.testing.chance import SequentialIds as SequentialIds
    from moorage.testing.checks import name_of as name_of
    from moorage.testing.checks import waiting_at_most as waiting_at_most
    from moorage.testing.clock import AsyncVirtualSleeper as AsyncVirtualSleeper
    from moorage.testing.clock import VirtualClock as VirtualClock
    from moorage.testing.clock import VirtualSleeper as VirtualSleeper
    from moorage.testing.faults import AsyncFaultNetwork as AsyncFaultNetwork
    from moorage.testing.faults import CutMidBody as CutMidBody
    from moorage.testing.faults import Delay as Delay
    from moorage.testing.faults import Fault as Fault
    from moorage.testing.faults import FaultNetwork as FaultNetwork
    from moorage.testing.faults import FaultSchedule as FaultSchedule
    from moorage.testing.faults import Garbage as Garbage
    from moorage.testing.faults import LostAnswer as LostAnswer
    from moorage.testing.faults import LostRequest as LostRequest
    from moorage.testing.faults import RateLimited as RateLimited
    from moorage.testing.faults import Refused as Refused
    from moorage.testing.faults import ServerError as ServerError
    from moorage.testing.http import AsyncScriptedHttpClient as AsyncScriptedHttpClient
    from moorage.testing.http import Delivery as Delivery
    from moorage.testing.http import FakeVendor as FakeVendor
    from moorage.testing.http import ScriptedHttpClient as ScriptedHttpClient
    from moorage.testing.http import UnexpectedRequest as UnexpectedRequest
    from moorage.testing.http_proxy import ProxyServer as ProxyServer
    from moorage.testing.http_server import Behaviour as Behaviour
    from moorage.testing.http_server import Received as Received
    from moorage.testing.http_server import VendorServer as VendorServer
    from moorage.testing.http_tls import tls_pair as tls_pair
    from moorage.testing.observer import FailingObserver as FailingObserver
    from moorage.testing.observer import RecordingObserver as RecordingObserver

_HOME: Final = {
    # time and chance that a test decides about
    "VirtualClock": "clock",
    "VirtualSleeper": "clock",
    "AsyncVirtualSleeper": "clock",
    "ScriptedRandomness": "chance",
    "SequentialIds": "chance",
    # a vendor in memory
    "FakeVendor": "http",
    "Delivery": "http",
    "ScriptedHttpClient": "http",
    "AsyncScriptedHttpClient": "http",
    "UnexpectedRequest": "http",
    # a network that fails
    "FaultNetwork": "faults",
    "AsyncFaultNetwork": "faults",
    "FaultSchedule": "faults",
    "Fault": "faults",
    "Refused": "faults",
    "LostRequest": "faults",
    "LostAnswer": "faults",
    "Delay": "faults",
    "CutMidBody": "faults",
    "RateLimited": "faults",
    "ServerError": "faults",
    "Garbage": "faults",
    # a vendor on a real port
    "VendorServer": "http_server",
    "Behaviour": "http_server",
    "Received": "http_server",
    "ProxyServer": "http_proxy",
    "tls_pair": "http_tls",
    # exchanges that were recorded
    "Cassette": "cassette",
    "NotOnTape": "cassette",
    # what happened
    "RecordingObserver": "observer",
    "FailingObserver": "observer",
    # running a conformance kit
    "name_of": "checks",
    "waiting_at_most": "checks",
    # what every adapter of a port must do: modules
    "cache_conformance": "",
    "clock_conformance": "",
    "credentials_conformance": "",
    "email_conformance": "",
    "gather_conformance": "",
    "http_conformance": "",
    "inbox_conformance": "",
    "integration_log_conformance": "",
    "locks_conformance": "",
    "outbox_conformance": "",
    "payments_conformance": "",
    "shipping_conformance": "",
    "sms_conformance": "",
    "state_conformance": "",
    "storage_conformance": "",
    "webhook_secrets_conformance": "",
    "tenants_conformance": "",
}
__all__ = tuple(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]  # as imported above


if not TYPE_CHECKING:  # pragma: no branch - a type checker would take every name for exported

    def __getattr__(name: str) -> object:
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module 'moorage.testing' has no attribute {name!r}")
        if not home:
            return import_module(f"moorage.testing.{name}")
        value = getattr(import_module(f"moorage.testing.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
