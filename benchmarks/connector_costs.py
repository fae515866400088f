"""The cost of a call through a connector, compared with the bare library.

All figures are processor time of the calling process. A call that waits leaves the processor to
others, and the code that runs after it finds the processor's caches cold: a few microseconds of any
Python code then take several times as long. The row "beside other Python code" shows how much. It
makes the bare call and runs functions of the standard library, which take about as long as the
manager when nothing is waited for.

The service has the protections that it has by default: time limits, retries and a circuit. In the
row "moorage", the manager has no observer and keeps no log. In the row "as production runs it", it
has the observers of standard logging, OpenTelemetry and Prometheus and a log in memory, and each
call has a timeout of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import posixpath
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import confluent_kafka
import grpc
import grpc.aio
import pika
import sqlalchemy
import websockets.asyncio.client
import websockets.sync.client
from measure import Comparison, Contender, Target, async_block, compare, sync_block
from production import usual_observers
from sql_costs import POSTGRES, is_reachable

from moorage import AsyncConnectorManager, ConnectorManager, Message, Service
from moorage.adapters.grpc.connector_async import AsyncGrpcConnector
from moorage.adapters.grpc.connector_sync import GrpcConnector
from moorage.adapters.grpc.methods import GrpcMethod
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.adapters.messages.kafka import Kafka
from moorage.adapters.messages.rabbitmq import RabbitMq
from moorage.adapters.sql.connector import SqlConnector
from moorage.adapters.sql.statements import Query
from moorage.adapters.websocket.connector import AsyncWebSocketConnector, WebSocketConnector

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping
    from typing import TypeAlias

    Perform: TypeAlias = Callable[..., Any]
    """The `perform` of a manager, which gets the service's name already."""

RABBITMQ = os.environ.get("MOORAGE_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
TARGET: Final = Target(100.0, 10.0, more=True)
PRODUCTION: Final = "moorage, as production runs it"
_TIMEOUT: Final = 20.0
_ROUNDS: Final = 40
_QUEUE: Final = "moorage_bench"
_UNCOMPRESSED: Final[dict[str, Any]] = {"compression": None}

_GRPC_SERVER: Final = """
import grpc
from concurrent.futures import ThreadPoolExecutor
server = grpc.server(ThreadPoolExecutor(2))
echo = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", {"C": echo}),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""
_WEBSOCKET_SERVER: Final = """
import json
from websockets.sync.server import serve
def handler(connection):
    for message in connection:
        request = json.loads(message)
        connection.send(json.dumps({"id": request["id"], "result": 1}))
with serve(handler, "127.0.0.1", 0) as server:
    print(server.socket.getsockname()[1], flush=True)
    server.serve_forever()
"""


def other_python() -> None:
    """Call standard library functions that need about as much time as the manager."""
    urlencode({"a": "b"})
    json.dumps({"a": [1]}, sort_keys=True)
    posixpath.normpath("/a/b")


@contextmanager
def server(script: str) -> Generator[int]:
    """Run a server in its own process, and yield its port."""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def sync_rows(
    library: str,
    bare: Callable[[], object],
    service: Service,
    run_with_moorage: Callable[[Perform], object],
    rounds: int,
    *,
    peers: Mapping[str, Callable[[], object]] | None = None,
) -> Any:
    """Return the table rows of a synchronous library, used alone and through two managers.

    Args:
        library: the name of the library.
        bare: makes a call with the library alone.
        service: the service of both managers.
        run_with_moorage: makes the same call with the manager's `perform`, which gets the service.
        rounds: the number of rounds.
        peers: other ways to make the same call, by their names.
    """

    def call_through_moorage() -> None:
        bare()
        other_python()

    with (
        ConnectorManager([service]) as manager,
        ConnectorManager(
            [service], observers=usual_observers(), log=MemoryIntegrationLogger()
        ) as production,
    ):
        perform = partial(manager.perform, service.name)
        perform_observed = partial(production.perform, service.name, timeout=_TIMEOUT)
        return compare(
            None,
            [
                Contender(library, sync_block(bare)),
                Contender(f"{library}, beside other Python code", sync_block(call_through_moorage)),
                Contender("moorage", sync_block(lambda: run_with_moorage(perform))),
                Contender(PRODUCTION, sync_block(lambda: run_with_moorage(perform_observed))),
                *(Contender(name, sync_block(call)) for name, call in (peers or {}).items()),
            ],
            rounds=min(rounds, _ROUNDS),
            block_seconds=0.05,
            mirrored=True,
        )


def async_rows(
    library: str,
    bare: Callable[[], Any],
    service: Service,
    run_with_moorage: Callable[[Perform], Any],
    rounds: int,
    *,
    loop: asyncio.AbstractEventLoop,
) -> Any:
    """Return the table rows of an asynchronous library, used alone and through two managers."""
    manager = AsyncConnectorManager([service])
    log = AsyncMemoryIntegrationLogger(MemoryIntegrationLogger())
    production = AsyncConnectorManager([service], observers=usual_observers(), log=log)
    perform = partial(manager.perform, service.name)
    perform_observed = partial(production.perform, service.name, timeout=_TIMEOUT)

    async def call_through_moorage() -> None:
        await bare()
        other_python()

    return compare(
        None,
        [
            Contender(library, async_block(bare, loop)),
            Contender(
                f"{library}, beside other Python code", async_block(call_through_moorage, loop)
            ),
            Contender("moorage", async_block(lambda: run_with_moorage(perform), loop)),
            Contender(PRODUCTION, async_block(lambda: run_with_moorage(perform_observed), loop)),
        ],
        rounds=min(rounds, _ROUNDS),
        block_seconds=0.05,
        mirrored=True,
    )


_ECHO: Final[GrpcMethod[bytes, bytes]] = GrpcMethod(
    path="/a.B/C", serialize=bytes, deserialize=bytes, safe=True
)


def grpc_connector(rounds: int) -> Comparison:
    """Measure one gRPC call."""
    with server(_GRPC_SERVER) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        untyped: Any = channel
        send = untyped.unary_unary(_ECHO.path)
        with GrpcConnector(f"127.0.0.1:{port}", plaintext=True) as connector:
            rows = sync_rows(
                "grpcio",
                lambda: send(b"x", timeout=5.0),
                Service("grpc"),
                lambda perform: perform(connector.call(_ECHO, b"x")),
                rounds,
            )
    return Comparison("a call of a gRPC method, sync", rows, TARGET)


def grpc_connector_async(rounds: int) -> Comparison:
    """Measure one gRPC call of an asynchronous program."""
    with server(_GRPC_SERVER) as port, asyncio.Runner() as runner:

        async def open_connection() -> tuple[Any, Any]:
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
            return channel, AsyncGrpcConnector(f"127.0.0.1:{port}", plaintext=True)

        channel, connector = runner.run(open_connection())
        send = channel.unary_unary("/a.B/C")
        rows = async_rows(
            "grpc.aio",
            lambda: send(b"x", timeout=5.0),
            Service("grpc"),
            lambda perform: perform(connector.call(_ECHO, b"x")),
            rounds,
            loop=runner.get_loop(),
        )
        runner.run(connector.close())
        runner.run(channel.close())
    return Comparison("a call of a gRPC method, async", rows, TARGET)


def sqlite_connector(rounds: int) -> Comparison:
    """Measure one SQLite query."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'a.db'}"
        rows = _query_rows(url, url, rounds)
    return Comparison("a query of SQLite through the SQL connector", rows, TARGET)


def postgresql_connector(rounds: int) -> Comparison:
    """Measure one PostgreSQL query."""
    url = sqlalchemy.make_url(POSTGRES).set(drivername="postgresql+psycopg")
    rows = _query_rows(url, POSTGRES, rounds)
    return Comparison("a query of PostgreSQL through the SQL connector", rows, TARGET)


def _query_rows(peers_url: str | sqlalchemy.URL, url: str, rounds: int) -> Any:
    """Return the table rows of a query; SQLAlchemy's pool lends a connection for each query."""
    engine = sqlalchemy.create_engine(peers_url, isolation_level="AUTOCOMMIT")
    text = sqlalchemy.text("SELECT 1 AS one, :word AS word")
    query = Query("SELECT 1 AS one, :word AS word", name="one")

    def call_library_alone() -> object:
        with engine.connect() as connection:
            return connection.execute(text, {"word": "a"}).all()

    with SqlConnector(url) as connector:
        rows = sync_rows(
            "SQLAlchemy",
            call_library_alone,
            Service("sql"),
            lambda perform: perform(connector.query(query, word="a")),
            rounds,
        )
    engine.dispose()
    return rows


def sql_rows(rounds: int) -> Comparison:
    """Measure reading rows while the server sends them, per statement of 2,000 rows."""
    url = sqlalchemy.make_url(POSTGRES).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url)
    statement = "SELECT n, n * 2 AS m FROM generate_series(1, 2000) AS n"
    text, query = sqlalchemy.text(statement), Query(statement, name="rows")

    def call_library_alone() -> int:
        with engine.connect() as connection:
            return sum(1 for _ in connection.execution_options(yield_per=1000).execute(text))

    with SqlConnector(POSTGRES) as connector:

        def run_with_moorage(perform: Perform) -> int:
            with perform(connector.stream(query, batch=1000)) as stream:
                return sum(1 for _ in stream)

        rows = sync_rows("SQLAlchemy", call_library_alone, Service("sql"), run_with_moorage, rounds)
    engine.dispose()
    return Comparison("2000 streamed rows of PostgreSQL", rows)


def websocket_connector(rounds: int) -> Comparison:
    """Measure a request and its reply over a WebSocket connection.

    The asynchronous client of the library, which a connector needs for messages that the server
    sends unasked, is measured beside it as a thread uses it that has no event loop of its own.
    """
    with server(_WEBSOCKET_SERVER) as port, _background_loop() as run:
        url = f"ws://127.0.0.1:{port}"
        library: Any = websockets.sync.client

        async def connect() -> Any:
            return await websockets.asyncio.client.connect(url, **_UNCOMPRESSED)

        shared_socket = run(connect())

        async def request() -> object:
            await shared_socket.send(json.dumps({"id": 1, "method": "a"}))
            return json.loads(await shared_socket.recv())

        with (
            library.connect(url, **_UNCOMPRESSED) as socket,
            WebSocketConnector(url, name="socket", options=_UNCOMPRESSED) as connector,
        ):

            def call_library_alone() -> object:
                socket.send(json.dumps({"id": 1, "method": "a"}))
                return json.loads(socket.recv())

            rows = sync_rows(
                "websockets",
                call_library_alone,
                Service("socket"),
                lambda perform: perform(connector.request({"method": "a"}, name="a", safe=True)),
                rounds,
                peers={"websockets.asyncio, from another thread": lambda: run(request())},
            )
        run(shared_socket.close())
    return Comparison("a request over a WebSocket, sync", rows, TARGET)


@contextmanager
def _background_loop() -> Generator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Yield a function that runs a coroutine in another thread's event loop."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def websocket_connector_async(rounds: int) -> Comparison:
    """Measure a request and its reply over a WebSocket connection, in an asynchronous program."""
    with server(_WEBSOCKET_SERVER) as port, asyncio.Runner() as runner:
        url = f"ws://127.0.0.1:{port}"

        async def open_connection() -> tuple[Any, Any]:
            socket = await websockets.asyncio.client.connect(url, **_UNCOMPRESSED)
            return socket, AsyncWebSocketConnector(url, name="socket", options=_UNCOMPRESSED)

        socket, connector = runner.run(open_connection())

        async def call_library_alone() -> object:
            await socket.send(json.dumps({"id": 1, "method": "a"}))
            return json.loads(await socket.recv())

        rows = async_rows(
            "websockets",
            call_library_alone,
            Service("socket"),
            lambda perform: perform(connector.request({"method": "a"}, name="a", safe=True)),
            rounds,
            loop=runner.get_loop(),
        )
        runner.run(connector.close())
        runner.run(socket.close())
    return Comparison("a request over a WebSocket, async", rows, TARGET)


def rabbitmq_connector(rounds: int) -> Comparison:
    """Measure publishing one message to RabbitMQ until its confirmation."""
    connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ))
    channel = connection.channel()
    # A short queue: the messages that it has no room for are dropped, and confirmed.
    channel.queue_declare(_QUEUE, arguments={"x-max-length": 10})
    channel.confirm_delivery()
    properties = pika.BasicProperties(delivery_mode=2)
    publisher = RabbitMq(url=RABBITMQ).publisher("events")
    message = Message("a")
    rows = sync_rows(
        "pika",
        lambda: channel.basic_publish("", _QUEUE, b"a", properties, mandatory=True),
        Service("events"),
        lambda perform: perform(publisher.publish(_QUEUE, message)),
        rounds,
    )
    publisher.close()
    channel.queue_delete(_QUEUE)
    connection.close()
    return Comparison("a confirmed message of RabbitMQ, sync", rows, TARGET)


def kafka_connector(rounds: int) -> Comparison:
    """Measure publishing one message until librdkafka's mock cluster has stored it."""
    cluster = confluent_kafka.Producer({"bootstrap.servers": "-", "test.mock.num.brokers": 1})
    metadata = cluster.list_topics(timeout=10.0)
    servers = ",".join(f"{item.host}:{item.port}" for item in metadata.brokers.values())
    confluent_kafka.Producer({"bootstrap.servers": servers}).list_topics(_QUEUE, timeout=10.0)
    # Without `linger.ms`, the bare producer waits for more messages for five milliseconds.
    options = {"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 0}
    producer = confluent_kafka.Producer(options)

    def call_library_alone() -> None:
        receipts: list[object] = []

        def record_receipt(_: object, message: object) -> None:
            receipts.append(message)

        producer.produce(_QUEUE, b"a", on_delivery=record_receipt)
        while not receipts:
            producer.poll(1.0)

    publisher = Kafka(servers=servers).publisher("events")
    message = Message("a")
    rows = sync_rows(
        "confluent-kafka",
        call_library_alone,
        Service("events"),
        lambda perform: perform(publisher.publish(_QUEUE, message)),
        rounds,
    )
    publisher.close()
    return Comparison("an acknowledged message of Kafka, sync", rows, TARGET)


ALL = (
    grpc_connector,
    grpc_connector_async,
    sqlite_connector,
    *((postgresql_connector, sql_rows) if is_reachable(POSTGRES) else ()),
    websocket_connector,
    websocket_connector_async,
    *((rabbitmq_connector,) if is_reachable(RABBITMQ) else ()),
    kafka_connector,
)
"""What there is a server for."""
