"""A program that kills workers of pipelines at random moments, for several seeds and brokers.

    python -m tests.pipelines.kill_broker_workers [SEEDS] [FIRST] [BROKER ...]

It checks for each run that every message has its effect, and that each death repeats no more
messages than may be in flight. It ends with 1 if one run fails, after printing its seed.
The last lines say for each broker how many runs there were, and how many messages they repeated.
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import redis

from moorage import AsyncConnectorManager, RedisStreams, Secret, Service
from moorage.adapters.messages.kafka import Kafka
from moorage.adapters.messages.nats import Nats
from moorage.adapters.messages.rabbitmq import RabbitMq
from moorage.adapters.mqtt.kind import Mqtt
from moorage.adapters.mqtt.source import MqttSource
from tests.adapters.messages.rabbitmq_harness import Broker
from tests.pipelines.broker_harness import Revocations, check_killed_workers, messages
from tests.support.kafka_cluster import KafkaCluster
from tests.support.mqtt_brokers import PrivateMosquitto
from tests.support.nats_servers import PrivateNats
from tests.support.redis_servers import PrivateRedis
from tests.support.servers import rabbitmq_url
from tests.support.tansu_servers import PrivateTansu

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COUNT: Final = 600
"""The messages of one run."""

DEATHS: Final = 2
"""The workers of one run that are killed."""


def _publish(settings: Any, place: str) -> None:
    async def publish() -> None:
        publisher = settings.async_publisher("events")
        async with AsyncConnectorManager([Service("events")]) as manager, publisher:
            work = publisher.publish_batch(place, messages(COUNT))
            for result in await manager.perform("events", work):
                result.unwrap()

    asyncio.run(publish())


class Servers:
    """The brokers of all runs, each started when the first run needs it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._started: dict[type[Any], Any] = {}

    def of(self, kind: type[Any], *arguments: Any, **options: Any) -> Any:
        """Return the private server for this kind of broker."""
        if kind not in self._started:
            self._started[kind] = self._stack.enter_context(kind(*arguments, **options))
        return self._started[kind]

    def close(self) -> None:
        """Stop all servers."""
        self._stack.close()


def _redis(servers: Servers, place: str, check: Check) -> None:
    server = servers.of(PrivateRedis)
    _publish(RedisStreams(url=Secret(server.url)), place)
    with redis.Redis.from_url(server.url) as client:

        def is_done() -> bool:
            pending: Any = client.xpending(place, "workers")
            return bool(pending["pending"] == 0)

        check(("redis", server.url, place), is_done)


def _rabbitmq(_: Servers, __: str, check: Check) -> None:
    with closing(Broker(rabbitmq_url(), {"x-queue-type": "quorum"})) as broker:
        _publish(RabbitMq(url=Secret(broker.url)), broker.queue)

        def is_done() -> bool:
            declared = broker.channel.queue_declare(broker.queue, passive=True)
            return int(declared.method.message_count) == 0

        check(("rabbitmq", broker.url, broker.queue), is_done)


def _kafka(_: Servers, place: str, check: Check) -> None:
    with KafkaCluster(**{place: 4}) as cluster:
        _publish(Kafka(servers=cluster.servers), place)
        check(("kafka", cluster.servers, place), lambda: True)


def _tansu(servers: Servers, place: str, check: Check) -> None:
    server = servers.of(PrivateTansu)
    server.create(place, 4)
    _publish(Kafka(servers=server.servers), place)
    check(("kafka", server.servers, place), lambda: True)


def _nats(servers: Servers, place: str, check: Check) -> None:
    server = servers.of(PrivateNats)
    server.add_stream(place)
    _publish(Nats(url=Secret(server.url)), place)

    def is_done() -> bool:
        info = server.ask(lambda js: js.consumer_info(place, f"workers-{place}"))
        return (0, 0) == (info.num_ack_pending, info.num_pending)

    check(("nats", server.url, place), is_done)


def _mqtt(servers: Servers, place: str, check: Check) -> None:
    server = servers.of(PrivateMosquitto)
    settings = Mqtt(url=Secret(server.url))

    async def begin_session() -> None:
        source = MqttSource(settings, [place], client_id=f"worker-of-{place}")
        await source.open(Revocations())
        await source.close()

    asyncio.run(begin_session())
    _publish(settings, place)
    check(("mqtt", server.url, place), lambda: True)


if TYPE_CHECKING:
    Check = Callable[[tuple[str, str, str], Callable[[], bool]], None]
BROKERS: Final = {
    "redis": _redis,
    "rabbitmq": _rabbitmq,
    "kafka": _kafka,
    "tansu": _tansu,
    "nats": _nats,
    "mqtt": _mqtt,
}


def run(broker: str, seed: int, servers: Servers) -> int:
    """Kill workers of one broker at the moments that a seed determines, and check their effects.

    Returns:
        The number of messages that were repeated.
    """
    place = f"p{uuid4().hex[:12]}"
    repeated = 0
    with TemporaryDirectory(prefix="moorage-kill-") as folder:
        file = Path(folder, "effects")

        def check(arguments: tuple[str, str, str], is_done: Callable[[], bool]) -> None:
            nonlocal repeated
            generator = random.Random(seed)
            repeated = check_killed_workers(
                arguments, file, COUNT, is_done, chance=generator, deaths=DEATHS
            )

        BROKERS[broker](servers, place, check)
    return repeated


def main(brokers: Sequence[str] = (), seeds: int = 10, first: int = 0) -> int:
    """Run all seeds for all brokers, and return the exit code."""
    failures = 0
    repeats: dict[str, list[int]] = {broker: [] for broker in brokers or BROKERS}
    with closing(Servers()) as servers:
        for seed in range(first, first + seeds):
            for broker, counts in repeats.items():
                begin = monotonic()
                try:
                    counts.append(run(broker, seed, servers))
                except AssertionError as error:
                    failures += 1
                    sys.stdout.write(f"{broker} {seed}: FAILED {error}\n")
                else:
                    duration = monotonic() - begin
                    sys.stdout.write(f"{broker} {seed}: {counts[-1]} repeated, {duration:.1f} s\n")
                sys.stdout.flush()
    for broker, counts in repeats.items():
        highest = max(counts, default=0)
        sys.stdout.write(
            f"{broker}: {len(counts)} runs, {sum(counts)} repeated, {highest} at most in one\n"
        )
    sys.stdout.write(f"{failures} failures\n")
    return 1 if failures else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main(words[2:], *map(int, words[:2])))
