"""Publishing to NATS JetStream in both modes, with private servers and a proxy that loses data."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    HealthState,
    InvalidData,
    InvalidRequest,
    Message,
    Nats,
    OutcomeUnknown,
    Secret,
    TopicNotFound,
    VendorRejected,
)
from moorage.adapters.messages._nats_links import connect_nats_async
from moorage.domain.messages.broker_rules import outgoing_messages
from moorage.domain.messages.nats import RULES
from moorage.domain.messages.publish_failures import Publication, publication_of
from moorage.domain.values.result import Result
from moorage.testing.fakes.http_tls import certificate_files
from tests.support.nats_servers import PrivateNats
from tests.support.rabbitmq_servers import LossyProxy
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.adapters.messages.publisher_harness import Harness

WRONG = "hunter2-of-nobody"
LOST = b"the message whose reply is lost"


@pytest.fixture(scope="module")
def private_server() -> Generator[PrivateNats]:
    """Yield a NATS server that all tests share; each test uses its own stream."""
    with PrivateNats() as server:
        yield server


@pytest.fixture
def stream(private_server: PrivateNats) -> Generator[str]:
    """Yield the name of a stream; the fixture deletes the stream after the test."""
    private_server.add_stream("orders")
    yield "orders"
    private_server.ask(lambda js: js.delete_stream("orders"))


@pytest.fixture
def harnesses_of_nats(harnesses: Callable[..., Harness]) -> Callable[..., Harness]:
    """Return a function that makes publishers to NATS."""

    def make_harness(
        url: str, *, service: dict[str, Any] | None = None, **settings: Any
    ) -> Harness:
        values = Nats(url=Secret(url), **settings)
        return harnesses(
            lambda is_async: values.async_publisher() if is_async else values.publisher(),
            **(service or {}),
        )

    return make_harness


def test_all_fields_of_a_message_are_stored_in_the_stream(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, stream: str
) -> None:
    """A message's payload, headers, key, id and content type are stored in the stream."""
    harness = harnesses_of_nats(private_server.url, stream="orders")
    headers = {"trace-id": "7"}
    message = Message.of_json([1], key="k", headers=headers, id="id-1")
    receipt = harness.publish("orders.new", message)
    assert ("nats", "orders.new", "id-1") == (receipt.broker, receipt.topic, receipt.id)
    assert ("orders", 1, False) == (receipt.stream, receipt.offset, receipt.is_duplicate)
    [stored] = private_server.messages("orders")
    assert b"[1]" == stored.data
    assert {
        "trace-id": "7",
        "moorage-key": "k",
        "Content-Type": "application/json",
        "Nats-Msg-Id": "id-1",
        "Nats-Expected-Stream": "orders",
    } == stored.headers
    assert harness.publish("orders.new", message).is_duplicate
    assert 2 == harness.publish("orders", Message(b"")).offset
    assert str(harness.publisher.versions.server).startswith("NATS ")
    assert 1 == harness.publisher.statistics().created
    assert harness.finish(harness.publisher.health(5.0)).is_healthy


def test_batch_of_many_messages_arrives_in_order(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, stream: str
) -> None:
    """A batch of many messages arrives in order, with a receipt for each."""
    harness = harnesses_of_nats(private_server.url)
    messages = [Message(str(number), id=f"id-{number}") for number in range(1500)]
    results = harness.publish_batch("orders", messages)
    assert list(range(1, 1501)) == [result.unwrap().offset for result in results]
    info = private_server.ask(lambda js: js.stream_info("orders"))
    assert 1500 == info.state.messages


def test_message_above_nats_size_limit_is_refused_unsent_in_batch(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, stream: str
) -> None:
    """A message of a batch above NATS's size limit is refused and not sent.

    All other messages arrive.
    """
    harness = harnesses_of_nats(private_server.url)
    large = Message(b"x" * (1024 * 1024 - 20), headers={"trace-id": "7"})
    results = harness.publish_batch("orders", [Message(b"1"), large, Message(b"2")])
    assert [True, False, True] == [result.ok for result in results]
    assert isinstance(results[1].error, InvalidRequest)
    assert [b"1", b"2"] == private_server.payloads("orders")
    assert 1 == harness.publisher.statistics().created


def test_publishing_to_a_subject_without_a_stream_fails_at_once(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats
) -> None:
    """Publishing to a subject that no stream covers fails at once, and nothing is stored."""
    harness = harnesses_of_nats(private_server.url)
    with pytest.raises(TopicNotFound, match="no stream for the subject 'nobody'"):
        harness.publish("nobody", Message(b"1"))


@pytest.mark.parametrize("subject", ["invoices", "shop.invoices.new"])
def test_missing_stream_is_created_if_that_is_wanted(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, subject: str
) -> None:
    """With `creates_streams`, the first message to a subject creates its stream."""
    harness = harnesses_of_nats(private_server.url, creates_streams=True, duplicate_window=60.0)
    receipt = harness.publish(subject, Message(b"1", id="1"))
    info = private_server.ask(lambda js: js.stream_info(receipt.stream))
    private_server.ask(lambda js: js.delete_stream(receipt.stream))
    assert ([subject], 60.0, 1) == (
        info.config.subjects,
        info.config.duplicate_window,
        info.state.messages,
    )


def test_stream_that_cannot_be_created(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats
) -> None:
    """If JetStream refuses a new stream or is unavailable, the error says nothing was stored."""
    with pytest.raises(ConnectionFailed, match="no leader for the stream") as excinfo:
        harnesses_of_nats(private_server.url, creates_streams=True, replicas=3).publish(
            "x", Message(b"1")
        )
    assert not excinfo.value.may_have_been_processed
    harness = harnesses_of_nats(private_server.url, creates_streams=True, domain="hub")
    with pytest.raises(TopicNotFound):
        harness.publish("x", Message(b"1"))


def test_message_with_unmet_expected_header_is_refused(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, stream: str
) -> None:
    """A message with an unmet Nats-Expected header is refused."""
    harness = harnesses_of_nats(private_server.url)
    expecting = Message(b"2", headers={"Nats-Expected-Last-Sequence": "7"})
    with pytest.raises(VendorRejected, match="does not have the state that the message expects"):
        harness.publish("orders", expecting)
    harness = harnesses_of_nats(private_server.url, stream="invoices")
    with pytest.raises(VendorRejected, match="does not have the state that the message expects"):
        harness.publish("orders", Message(b"1"))


def test_full_stream_refuses_messages(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats
) -> None:
    """If a stream is full, a message is retried; its error states that it is not stored."""
    private_server.add_stream("full", max_msgs=1, discard="new")
    harness = harnesses_of_nats(private_server.url)
    harness.publish("full", Message(b"1"))
    with pytest.raises(ConnectionFailed, match="because a limit is reached") as excinfo:
        harness.publish("full", Message(b"2"))
    assert (3, False) == (excinfo.value.attempts, excinfo.value.may_have_been_processed)
    private_server.ask(lambda js: js.delete_stream("full"))


USERS = f"""
max_payload: 1000
authorization {{ users: [
  {{user: shop, password: pw, permissions: {{publish: ["orders", "$JS.>"], subscribe: "_INBOX.>"}}}}
  {{user: mute, password: pw, permissions: {{publish: "orders", subscribe: "none"}}}}
  {{user: boss, password: "{WRONG}-boss"}}
] }}
"""


@pytest.fixture(scope="module")
def server_with_users() -> Generator[PrivateNats]:
    """Yield a NATS server with users and a small message size limit."""
    with PrivateNats(USERS, user="boss", password=f"{WRONG}-boss") as server:
        server.add_stream("orders")
        yield server


def user_url(server: PrivateNats, user: str) -> str:
    """Return the server's URL with the given user."""
    return server.url.replace("://", f"://{user}@")


def test_permissions_are_reported(
    harnesses_of_nats: Callable[..., Harness], server_with_users: PrivateNats
) -> None:
    """A forbidden subject raises AuthenticationFailed at once, and the connection stays usable."""
    harness = harnesses_of_nats(user_url(server_with_users, "shop:pw"))
    for _ in range(2):
        with pytest.raises(AuthenticationFailed, match="may not publish to the subject"):
            harness.publish("Invoices", Message(b"1"))
    with pytest.raises(AuthenticationFailed, match="may not publish"):
        harness.publish_batch("Invoices", [Message(b"1"), Message(b"2")])
    assert harness.publish("orders", Message(b"1"))
    with pytest.raises(InvalidRequest, match="too large"):
        harness.publish("orders", Message(b"x" * 1001))
    assert 1 == harness.publisher.statistics().created
    harness = harnesses_of_nats(user_url(server_with_users, "mute"), password=Secret("pw"))
    with pytest.raises(AuthenticationFailed, match="may not receive the acknowledgements"):
        harness.publish("orders", Message(b"1"))


@pytest.mark.parametrize(
    "url, kind, words",
    [
        (f"nats://nobody:{WRONG}@{{place}}", AuthenticationFailed, "rejected the user"),
        (f"nats://{WRONG}@{{place}}", AuthenticationFailed, "rejected the user"),
        ("nats://{place}", AuthenticationFailed, "rejected the user"),
        ("tls://shop:pw@{place}", ConnectionFailed, "TLS failed"),
        (
            "nats://no-such-host.invalid",
            ConnectionFailed,
            "host name of NATS could not be resolved",
        ),
        ("nats://127.0.0.1:1", ConnectionFailed, "Nothing accepts connections"),
    ],
)
def test_connection_that_cannot_be_opened(
    harnesses_of_nats: Callable[..., Harness],
    server_with_users: PrivateNats,
    url: str,
    kind: type[ConnectorError],
    words: str,
) -> None:
    """Each reason for a failed NATS connection raises its own error without the password."""
    harness = harnesses_of_nats(url.format(place=server_with_users.url.removeprefix("nats://")))
    with pytest.raises(kind, match=words) as excinfo:
        harness.finish(harness.publisher.open(5.0))
    assert getattr(excinfo.value, "may_have_been_processed", False) is False
    assert WRONG not in repr(excinfo.value) + str(excinfo.value.__cause__) + repr(harness.publisher)
    health = harness.finish(harness.publisher.health(5.0))
    assert health.state is HealthState.UNAVAILABLE
    assert words in str(health.text)


def test_first_nats_server_that_accepts_a_connection_is_used(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, stream: str
) -> None:
    """Of several NATS server URLs, the publisher uses the first that accepts a connection."""
    harness = harnesses_of_nats(f"nats://127.0.0.1:1,{private_server.url}")
    assert harness.publish("orders", Message(b"1"))


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0\r\n", b"INFO {\r\n", b"INFO {}\r\n+OK\r\n"])
def test_server_that_does_not_speak_nats_is_reported(
    harnesses_of_nats: Callable[..., Harness], greeting: bytes
) -> None:
    """If a server hangs up or does not speak NATS, the error states that nothing was stored."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        harness = harnesses_of_nats(f"nats://127.0.0.1:{listener.getsockname()[1]}")
        pool.submit(_greet, listener, greeting)
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.finish(harness.publisher.open(5.0))
    assert not excinfo.value.may_have_been_processed


def _greet(listener: socket.socket, greeting: bytes) -> None:
    with listener.accept()[0] as accepted:
        accepted.sendall(greeting)


def test_silent_server_is_given_up_in_time(harnesses_of_nats: Callable[..., Harness]) -> None:
    """If a NATS server never responds, the publisher stops waiting after the connect timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        harness = harnesses_of_nats(f"nats://127.0.0.1:{port}", connect_timeout=0.1)
        with pytest.raises(ConnectionFailed, match="did not accept a connection in time"):
            harness.finish(harness.publisher.open(5.0))


def test_lost_acknowledgement_leaves_the_outcome_open(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, stream: str
) -> None:
    """If the connection is lost before the reply, only a message with an id is sent again."""
    with LossyProxy("127.0.0.1", private_server.port) as proxy:
        harness = harnesses_of_nats(f"nats://127.0.0.1:{proxy.port}")
        for options, kind in (({}, ConnectionFailed), ({"idempotency_key": "k"}, OutcomeUnknown)):
            harness.publish("orders", Message(b"1"))
            with _hanging_up(proxy), pytest.raises(kind) as excinfo:
                harness.publish("orders", Message(LOST), **options)
            assert Publication.POSSIBLE is publication_of(Result(error=excinfo.value))
    assert [b"1", LOST, b"1", LOST] == private_server.payloads("orders")


class _hanging_up:  # noqa: N801 - a context manager
    """A context in which the proxy drops the replies and hangs up after the next request."""

    def __init__(self, proxy: LossyProxy) -> None:
        self._proxy = proxy
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> None:
        self._proxy.received, self._proxy.mute_at = 0, LOST
        self._ended = self._proxy.ended
        self._pool.submit(self._hang_up)

    def _hang_up(self) -> None:
        wait_until(lambda: self._proxy.received > 0, "sending the message")
        self._proxy.mute_at = None
        self._proxy.hang_up()
        # A reply that is already being delivered is lost too.
        wait_until(lambda: self._proxy.ended > self._ended, "the end of the connection")
        self._proxy.is_mute = False

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


def test_repeat_within_the_window_is_a_duplicate(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, stream: str
) -> None:
    """A message with an id is sent again if the reply is lost; the stream still stores it once."""
    with LossyProxy("127.0.0.1", private_server.port) as proxy:
        harness = harnesses_of_nats(f"nats://127.0.0.1:{proxy.port}", duplicate_window=120.0)
        harness.publish("orders", Message(b"1"))
        with _hanging_up(proxy):
            receipt = harness.publish("orders", Message(LOST, id="id-2"))
    assert (2, True) == (receipt.offset, receipt.is_duplicate)
    assert [b"1", LOST] == private_server.payloads("orders")


def test_late_repeat_is_not_sent(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, stream: str
) -> None:
    """After the stream's duplicate window, a message that may be stored is not sent again."""
    with LossyProxy("127.0.0.1", private_server.port) as proxy:
        harness = harnesses_of_nats(f"nats://127.0.0.1:{proxy.port}", duplicate_window=1e-6)
        harness.publish("orders", Message(b"1"))
        with _hanging_up(proxy), pytest.raises(ConnectionFailed, match="recognises a repeat"):
            harness.publish("orders", Message(LOST, id="id-2"))
        assert harness.publish("orders", Message(b"3", id="id-3"))
    assert [b"1", LOST, b"3"] == private_server.payloads("orders")


def test_message_id_is_a_digest_of_the_idempotency_key(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, stream: str
) -> None:
    """If the service honours idempotency keys, the message id is a digest of the key."""
    service = {"honours_keys": True, "idempotency_memory": 120.0}
    harness = harnesses_of_nats(private_server.url, duplicate_window=120.0, service=service)
    receipt = harness.publish("orders", Message(b"1"), idempotency_key=WRONG)
    [stored] = private_server.messages("orders")
    assert receipt.id == stored.headers["Nats-Msg-Id"]
    assert WRONG not in receipt.id


def test_shorter_duplicate_window_of_a_stream_is_reported(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats
) -> None:
    """Health is degraded if a stream's duplicate window is shorter than the setting."""
    private_server.add_stream("short", duplicate_window=1.0)
    harness = harnesses_of_nats(private_server.url, duplicate_window=60.0)
    harness.publish("short", Message(b"1", id="1"))
    health = harness.finish(harness.publisher.health(5.0))
    private_server.ask(lambda js: js.delete_stream("short"))
    assert HealthState.DEGRADED is health.state
    assert "'short' remembers message ids for only 1 seconds" in str(health.text)


def test_silence_after_the_message_ends_with_the_attempt(
    harnesses_of_nats: Callable[..., Harness], private_server: PrivateNats, stream: str
) -> None:
    """If no reply to a message comes before the timeout, the error says it may be stored."""
    with LossyProxy("127.0.0.1", private_server.port) as proxy:
        harness = harnesses_of_nats(f"nats://127.0.0.1:{proxy.port}")
        harness.publish("orders", Message(b"1"))
        proxy.is_mute = True
        with pytest.raises((AttemptTimeout, DeadlineExceeded)) as excinfo:
            harness.publish("orders", Message(b"2"), timeout=0.2)
        assert Publication.POSSIBLE is publication_of(Result(error=excinfo.value))
        proxy.is_mute = False
        assert harness.publish("orders", Message(b"3"))
    assert [b"1", b"2", b"3"] == private_server.payloads("orders")


def test_stuck_connection_is_replaced(harnesses_of_nats: Callable[..., Harness]) -> None:
    """If the server is suspended, the connection is dropped together with its unsent bytes."""
    with PrivateNats() as server:
        server.add_stream("orders", max_bytes=1 << 30)
        harness = harnesses_of_nats(server.url)
        harness.publish("orders", Message(b"1"))
        server.suspend()
        batch = [Message(b"x" * 1_000_000) for _ in range(12)]
        with pytest.raises((AttemptTimeout, DeadlineExceeded)):
            harness.publish_batch("orders", batch, timeout=1.0)
        server.resume()
        assert harness.publish("orders", Message(b"2"))
        assert 2 == harness.publisher.statistics().created


def test_restarted_server_is_used_again(harnesses_of_nats: Callable[..., Harness]) -> None:
    """While a NATS server is down, no message is buffered; after its restart publishing works."""
    with PrivateNats() as server:
        server.add_stream("orders")
        harness = harnesses_of_nats(server.url)
        harness.publish("orders", Message(b"1"))
        server.kill()
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.publish("orders", Message(b"2"))
        server.start()
        assert 2 == harness.publish("orders", Message(b"3")).offset
        assert not excinfo.value.may_have_been_processed
        assert [b"1", b"3"] == server.payloads("orders")


def test_server_killed_before_its_reply(harnesses_of_nats: Callable[..., Harness]) -> None:
    """If a server is killed after it received a message, the caller fails at once."""
    with PrivateNats() as server, LossyProxy("127.0.0.1", server.port) as proxy:
        server.add_stream("orders")
        harness = harnesses_of_nats(f"nats://127.0.0.1:{proxy.port}")
        harness.publish("orders", Message(b"1"))
        proxy.received, proxy.mute_at = 0, LOST
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_kill_later, server, proxy)
            with pytest.raises(ConnectionFailed) as excinfo:
                harness.publish("orders", Message(LOST), timeout=600.0)
        assert excinfo.value.may_have_been_processed


def _kill_later(server: PrivateNats, proxy: LossyProxy) -> None:
    wait_until(lambda: proxy.received > 0, "sending the message")
    server.kill()


def test_cancelled_message_leaves_the_connection_to_others(
    private_server: PrivateNats, stream: str
) -> None:
    """If a task that waits for a reply is cancelled, other tasks can still use the connection."""

    async def run() -> None:
        with LossyProxy("127.0.0.1", private_server.port) as proxy:
            url = Secret(f"nats://127.0.0.1:{proxy.port}")
            link = await connect_nats_async(Nats(url=url), 5.0)
            proxy.received, proxy.mute_at = 0, LOST
            first, second = outgoing_messages("orders", [Message(LOST), Message(b"2")], RULES, None)
            task = asyncio.create_task(link.publish(first, 5.0))
            await asyncio.to_thread(wait_until, lambda: proxy.received > 0, "sending")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            proxy.is_mute = False
            assert 2 == (await link.publish(second, 5.0)).offset
            await link.leave(5.0)
            assert not link.is_connected()
        link.close()

    asyncio.run(run())


def test_lost_connection_cannot_listen(private_server: PrivateNats) -> None:
    """Listening over a NATS connection that has ended raises the error of a lost connection."""

    async def run() -> None:
        link = await connect_nats_async(Nats(url=Secret(private_server.url)), 5.0)
        await link.leave(5.0)
        with pytest.raises(ConnectionFailed, match="was lost"):
            await link.listen(lambda _: None, lambda: None)
        link.close()

    asyncio.run(run())


def test_cancelled_opening_raises_the_cancellation() -> None:
    """Cancelling a task that is connecting to NATS raises only CancelledError."""

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = Secret(f"nats://127.0.0.1:{listener.getsockname()[1]}")
            task = asyncio.create_task(connect_nats_async(Nats(url=url), 5.0))
            accepted = await asyncio.to_thread(listener.accept)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            accepted[0].close()

    asyncio.run(run())


def test_cancelled_opening_does_not_wait_for_a_silent_server() -> None:
    """If connecting to NATS is cancelled at any moment, the call ends long before its timeout."""

    async def run(iterations: int, url: Secret) -> None:
        settings = Nats(url=url, connect_timeout=3_600.0)
        task = asyncio.create_task(connect_nats_async(settings, 3_600.0))
        for _ in range(iterations):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=20.0)
        assert task.cancelled()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = Secret(f"nats://127.0.0.1:{listener.getsockname()[1]}")
        for iterations in range(20):
            asyncio.run(run(iterations, url))


def test_nats_over_tls_trusts_only_the_given_authority(
    harnesses_of_nats: Callable[..., Harness], tmp_path: Path
) -> None:
    """NATS over TLS trusts only the given authority, and presents the client's certificate."""
    certificate, key = (str(file) for file in certificate_files(tmp_path))
    tls = f'cert_file: "{certificate}", key_file: "{key}", ca_file: "{certificate}"'
    with PrivateNats(f"tls {{ {tls}, verify: true }}") as server:
        url = server.url.replace("nats:", "tls:")
        files = {"authorities": certificate, "certificate": certificate, "key": key}
        harness = harnesses_of_nats(url, creates_streams=True, **files)
        assert harness.publish("orders", Message(b"1"))
        harness = harnesses_of_nats(url, certificate=certificate, key=key)
        with pytest.raises(ConnectionFailed, match="TLS failed") as excinfo:
            harness.finish(harness.publisher.open(5.0))
        assert not excinfo.value.retryable
        harness = harnesses_of_nats(url, authorities=certificate)
        with pytest.raises(ConnectionFailed):
            harness.finish(harness.publisher.open(5.0))


SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"


def test_user_logs_in_with_a_key(harnesses_of_nats: Callable[..., Harness]) -> None:
    """A publisher logs in to NATS with the seed of an NKey or with a token."""
    with PrivateNats(f"authorization {{ users: [{{ nkey: {PUBLIC} }}] }}") as server:
        harness = harnesses_of_nats(server.url, nkey=Secret(SEED), creates_streams=True)
        assert harness.publish("orders", Message(b"1"))
    with PrivateNats(f"authorization {{ token: {WRONG} }}") as server:
        harness = harnesses_of_nats(server.url, token=Secret(WRONG), creates_streams=True)
        assert harness.publish("orders", Message(b"1"))
        harness = harnesses_of_nats(server.url.replace("://", f"://{WRONG}@"))
        assert harness.finish(harness.publisher.health(5.0)).is_healthy


def test_configured_nats_connector_publishes_messages(
    private_server: PrivateNats, stream: str
) -> None:
    """A NATS connector opened from a configuration publishes messages, in sync and async mode."""
    settings = {"connectors": {"events": {"kind": "nats", "url": private_server.url}}}
    arguments = {"topic": "orders", "payload": "1"}
    with moorage.open(settings) as hub:
        receipt = hub.connectors.run("events", "publish", arguments)
        assert ("nats", "orders", 1) == (receipt["broker"], receipt["stream"], receipt["offset"])

    async def run() -> None:
        async with moorage.aopen(settings) as hub:
            await hub.connectors.run("events", "publish", arguments)

    asyncio.run(run())
    assert [b"1", b"1"] == private_server.payloads("orders")


def test_telemetry_names_a_single_server() -> None:
    """Telemetry contains the NATS server's name only if the settings have exactly one server."""
    assert ("::1", 4222) == Nats(url=Secret("nats://[::1]")).server
    assert Nats(url=Secret("nats://one.example,nats://two.example")).server is None


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"url": "http://nats.example"}, "url"),
        ({"url": "nats://one.example,"}, "url"),
        ({"url": "nats://one.example/orders"}, "url"),
        ({"url": "nats://one.example", "authorities": "ca.pem"}, "url"),
        ({"url": "nats://one.example", "password": "pw"}, "url"),
        ({"url": "nats://one.example", "token": "t", "nkey": "n"}, "nkey"),
        ({"url": "nats://one.example", "nkey": WRONG}, "nkey"),
        ({"url": "nats://one.example", "nkey": PUBLIC}, "nkey"),
        ({"url": "nats://one.example", "credentials": WRONG}, "credentials"),
        ({"url": "nats://one.example", "domain": "a b"}, "domain"),
        ({"url": "nats://one.example", "stream": "a.*"}, "stream"),
    ],
)
def test_invalid_nats_settings_are_refused(settings: dict[str, Any], path: str) -> None:
    """Invalid NATS settings are refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        Nats(**settings)
    assert path == excinfo.value.path
    assert WRONG not in str(excinfo.value)


@pytest.mark.parametrize(
    "subject, message, field",
    [
        ("orders.*", Message(b""), "topic"),
        ("orders.>", Message(b""), "topic"),
        ("orders new", Message(b""), "topic"),
        ("orders..new", Message(b""), "topic"),
        ("$JS.API.STREAM.DELETE.orders", Message(b""), "topic"),
        ("orders", Message(b"", headers={"a": "1\r\nX: 2"}), "headers"),
        ("orders", Message(b"", headers={"a b": "1"}), "headers"),
        ("orders", Message(b"", headers={"a": " 1"}), "headers"),
        ("orders", Message(b"", headers={"nats-msg-id": "1"}), "headers"),
        ("orders", Message(b"", headers={"a": b"1"}), "headers"),
        ("orders", Message(b"", key=b"\xff"), "key"),
        ("orders", Message(b"", delay=1.0), "delay"),
    ],
)
def test_messages_that_nats_cannot_take(subject: str, message: Message, field: str) -> None:
    """A message that NATS would refuse or alter is refused before anything is sent."""
    publisher = Nats(url=Secret("nats://one.example")).publisher()
    with pytest.raises(InvalidData) as excinfo:
        publisher.publish(subject, message)
    assert field == excinfo.value.field
