"""Checks that the MQTT connector passes the connector conformance kit, in both modes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AuthenticationFailed, ConnectionFailed, Message, Mqtt
from moorage.adapters.http.connections._loops import watch_in
from moorage.testing import TcpProxy, name_of
from moorage.testing import connector_conformance as kit
from tests.support.mqtt_brokers import PrivateMosquitto, Subscriber, write_password
from tests.support.untrusted_server import UntrustedServer
from tests.support.volumes import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

PASSWORD = "correct-horse"
IN_BOTH_VERSIONS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


class BrokerSetup:
    """A broker with the user "shop", a proxy in front of it, and a subscriber."""

    def __init__(
        self,
        broker: PrivateMosquitto,
        proxy: TcpProxy,
        subscriber: Subscriber,
        untrusted: UntrustedServer,
    ) -> None:
        self._broker, self._proxy, self._subscriber = broker, proxy, subscriber
        self._untrusted = untrusted

    def subject(self, protocol: str, *, is_async: bool) -> kit.ConnectorSubject:
        """Return the connector under test; instead of a read, it publishes to a second topic."""

        def make_subject_of(url: str, password: str = PASSWORD) -> Callable[[Any], Any]:
            settings: Any = Mqtt
            mqtt = settings(url=url, password=password, protocol=protocol)
            make_harness: Any = mqtt.async_publisher if is_async else mqtt.publisher
            return lambda _: make_harness("connector")

        def count(text: str) -> int:
            return self._subscriber.payloads().count(text.encode())

        url = f"mqtt://shop@127.0.0.1:{self._proxy.address[1]}"
        direct = f"mqtt://shop@127.0.0.1:{self._broker.port}"
        return kit.ConnectorSubject(
            make=make_subject_of(url),
            read=lambda connector, text: connector.publish("noise", Message(text)),
            write=lambda connector, text: connector.publish("orders", Message(text)),
            count=count,
            network=self._proxy,
            refusals={
                "unknown host": kit.Refusal(
                    make=make_subject_of("mqtt://shop@broker.invalid"),
                    error=ConnectionFailed,
                    because="host",
                ),
                "no server": kit.Refusal(
                    make=make_subject_of("mqtt://shop@127.0.0.1:9"),
                    error=ConnectionFailed,
                    because="accepts",
                ),
                "untrusted certificate": kit.Refusal(
                    make=make_subject_of(f"mqtts://shop@127.0.0.1:{self._untrusted.port}"),
                    error=ConnectionFailed,
                    because="TLS",
                ),
                "wrong password": kit.Refusal(
                    make=make_subject_of(direct, "wrong-horse"),
                    error=AuthenticationFailed,
                    because="password",
                ),
            },
            secret=PASSWORD,
            operations=operations(1000),
        )


@pytest.fixture(scope="module", name="setting")
def _setting(tmp_path_factory: pytest.TempPathFactory) -> Generator[BrokerSetup]:
    folder = tmp_path_factory.mktemp("mosquitto")
    users = folder / "users"
    write_password(users, "shop", PASSWORD)
    with (
        PrivateMosquitto(f"password_file {users}", anonymous=False) as broker,
        TcpProxy("127.0.0.1", broker.port) as proxy,
        Subscriber(broker.port, "shop", PASSWORD, topic="orders") as subscriber,
        UntrustedServer(folder) as untrusted,
    ):
        yield BrokerSetup(broker, proxy, subscriber, untrusted)


@pytest.mark.untraced
@IN_BOTH_VERSIONS
@pytest.mark.parametrize("check", [*kit.CHECKS, *kit.NETWORK_CHECKS, *kit.FORK_CHECKS], ids=name_of)
def test_synchronous_mqtt_connector_passes_each_check_of_conformance_kit(
    check: kit.Check, protocol: str, setting: BrokerSetup
) -> None:
    """The synchronous MQTT connector passes each check of the conformance kit."""
    check(setting.subject(protocol, is_async=False))


@pytest.mark.untraced
@IN_BOTH_VERSIONS
@pytest.mark.parametrize("check", [*kit.ASYNC_CHECKS, *kit.ASYNC_NETWORK_CHECKS], ids=name_of)
def test_asynchronous_mqtt_connector_passes_each_check_of_conformance_kit(
    check: kit.AsyncCheck, protocol: str, setting: BrokerSetup
) -> None:
    """The asynchronous MQTT connector passes each check of the conformance kit."""

    async def run() -> None:
        # The selector of an event loop has a file descriptor that does not belong to the connector.
        watch_in(asyncio.get_running_loop())
        await check(setting.subject(protocol, is_async=True))

    asyncio.run(run())
