"""An in-memory Kafka broker that supports transactions.

The mock cluster of librdkafka answers the requests of a transaction, but stores none of its
positions, hides nothing from readers of committed messages, and never refuses a producer whose
id another one uses. This
broker does all three. It has one node, and the versions of the protocol that librdkafka needs.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections import defaultdict
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from tests.support.kafka_requests import Reader, Writer, control_batch, rebase_batch, record_count

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCE: Final = 0
OFFSET_FETCH: Final = 9
INIT_PRODUCER_ID: Final = 22
END_TXN: Final = 26
TXN_OFFSET_COMMIT: Final = 28
ADD_OFFSETS_TO_TXN: Final = 25

_VERSIONS: Final = {
    PRODUCE: 3,
    1: 4,
    2: 1,
    3: 2,
    8: 2,
    OFFSET_FETCH: 1,
    10: 1,
    11: 1,
    12: 0,
    13: 0,
    14: 0,
    18: 0,
    INIT_PRODUCER_ID: 3,
    24: 0,
    ADD_OFFSETS_TO_TXN: 0,
    END_TXN: 0,
    TXN_OFFSET_COMMIT: 3,
}
_FLEXIBLE: Final = frozenset({INIT_PRODUCER_ID, TXN_OFFSET_COMMIT})
_UNKNOWN_TOPIC: Final = 3
_ILLEGAL_GENERATION: Final = 22
_UNKNOWN_MEMBER: Final = 25
_REBALANCING: Final = 27
_UNSUPPORTED: Final = 35
_INVALID_EPOCH: Final = 47
_INVALID_STATE: Final = 48
_JOIN_WAIT: Final = 0.1


@attrs.define(eq=False)
class _Batch:
    base: int
    data: bytes
    producer: int
    is_transactional: bool


@attrs.define(eq=False)
class _Partition:
    batches: list[_Batch] = attrs.field(factory=list)
    end: int = 0
    open: dict[int, int] = attrs.field(factory=dict)
    aborted: list[tuple[int, int, int]] = attrs.field(factory=list)

    @property
    def stable(self) -> int:
        """The last stable offset, before which no transaction is open."""
        return min(self.open.values(), default=self.end)

    def append(self, data: bytes, count: int, producer: int, *, is_transactional: bool) -> int:
        base = self.end
        self.batches.append(_Batch(base, rebase_batch(data, base), producer, is_transactional))
        self.end += count
        if is_transactional:
            self.open.setdefault(producer, base)
        return base


@attrs.define(eq=False)
class _Transaction:
    producer: int
    epoch: int
    partitions: set[tuple[str, int]] = attrs.field(factory=set)
    offsets: dict[tuple[str, str, int], int] = attrs.field(factory=dict)
    is_open: bool = False


@attrs.define(eq=False)
class _Member:
    protocols: list[tuple[str, bytes]]
    session: float
    seen: float
    is_joined: bool = False
    assignment: bytes | None = None


@attrs.define(eq=False)
class _Group:
    generation: int = 0
    state: str = "empty"
    members: dict[str, _Member] = attrs.field(factory=dict)
    first_join: float = 0.0
    leader: str = ""
    protocol: str = ""

    def has_silent_member(self) -> bool:
        """Return whether a member's session has ended."""
        return any(monotonic() > member.seen + member.session for member in self.members.values())


class TransactionalKafka:
    """A transactional Kafka broker that runs until it is closed.

    Args:
        topics: the names of topics, with the numbers of their partitions.

    Attributes:
        servers: the address of the broker.
        before: called with the number of each request before it is carried out; whatever it
            returns but None is the error code of the response.
        is_ignoring: called with the number of a request before it is carried out; True closes the
            connection instead.
        is_losing: called with the number of a request that was carried out; True closes the
            connection instead of the response.
    """

    def __init__(self, **topics: int) -> None:
        self.before: Callable[[int], int | None] = lambda _: None
        self.is_losing: Callable[[int], bool] = lambda _: False
        self.is_ignoring: Callable[[int], bool] = lambda _: False
        self._topics = {
            name: [_Partition() for _ in range(count)] for name, count in topics.items()
        }
        self._groups: dict[str, _Group] = defaultdict(_Group)
        self._positions: dict[tuple[str, str, int], int] = {}
        self._transactions: dict[str, _Transaction] = {}
        self._ids = 0
        self._lock = threading.Condition()
        self._is_closed = False
        broker = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                broker._serve(self.rfile, self.wfile)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 50

        self._server = Server(("127.0.0.1", 0), Handler)
        self._port = self._server.server_address[1]
        self.servers = f"127.0.0.1:{self._port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="kafka-broker", daemon=True
        )
        self._thread.start()

    def committed(self, group: str, topic: str) -> list[int]:
        """Return a group's committed positions in a topic, by partition."""
        with self._lock:
            return [
                self._positions.get((group, topic, number), -1)
                for number in range(len(self._topics[topic]))
            ]

    def rebalance(self, group: str) -> None:
        """Make all members of a group join again."""
        with self._lock:
            self._prepare(self._groups[group])

    def expel(self, group: str) -> None:
        """Remove all members of a consumer group, as if their sessions had ended."""
        with self._lock:
            self._groups[group].members.clear()
            self._prepare(self._groups[group])

    def messages(self, topic: str, isolation: str = "read_committed") -> list[Any]:
        """Return a topic's messages that a consumer with the given isolation level sees."""
        from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415 - where installed

        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "test",
                "isolation.level": isolation,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )
        messages: list[Any] = []
        ended_items: set[int] = set()
        count = len(self._topics[topic])
        try:
            consumer.assign([TopicPartition(topic, number, 0) for number in range(count)])
            while len(ended_items) < count:
                message = consumer.poll(30.0)
                assert message is not None, "the broker does not answer"
                error = message.error()
                if error is None:
                    messages.append(message)
                else:
                    assert "_PARTITION_EOF" == error.name()
                    ended_items.add(int(message.partition() or 0))
        finally:
            consumer.close()
        return messages

    def close(self) -> None:
        """Stop the broker."""
        with self._lock:
            self._is_closed = True
            self._lock.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self, reading: Any, writing: Any) -> None:
        try:
            while not self._is_closed:
                head = reading.read(4)
                if len(head) < 4:
                    return
                (size,) = struct.unpack(">i", head)
                request = Reader(reading.read(size))
                api, version, correlation = request.i16(), request.i16(), request.i32()
                request.text()
                answer = Writer().i32(correlation)
                if api == 18:
                    self._api_versions(answer, is_known=version == 0)
                else:
                    request.is_flexible = answer.is_flexible = api in _FLEXIBLE
                    request.tags()
                    answer.tags()
                    if self.is_ignoring(api):
                        return
                    code = self.before(api)
                    getattr(self, f"_request_{api}")(request, answer, code or 0)
                    if self.is_losing(api):
                        return
                writing.write(struct.pack(">i", len(answer.data)) + bytes(answer.data))
        except (ConnectionError, ValueError):
            return

    @staticmethod
    def _api_versions(answer: Writer, *, is_known: bool) -> None:
        answer.i16(0 if is_known else _UNSUPPORTED).i32(len(_VERSIONS))
        for api, version in _VERSIONS.items():
            answer.i16(api).i16(0).i16(version)

    def _partition(self, topic: str | None, number: int) -> _Partition | None:
        partitions = self._topics.get(topic or "", [])
        return partitions[number] if 0 <= number < len(partitions) else None

    def _request_0(self, request: Reader, answer: Writer, code: int) -> None:
        """Handle Produce: store messages."""
        transactional_id = request.text()
        request.i16()
        request.i32()
        with self._lock:
            answer.i32(topics := request.i32())
            for _ in range(topics):
                answer.text(topic := request.text()).i32(partitions := request.i32())
                for _ in range(partitions):
                    number = request.i32()
                    data = request.bytes()
                    base, error = -1, code
                    if not error:
                        base, error = self._store(topic, number, data, transactional_id)
                    answer.i32(number).i16(error).i64(base).i64(-1)
            answer.i32(0)
            self._lock.notify_all()

    def _store(
        self, topic: str | None, number: int, data: bytes, transactional_id: str | None
    ) -> tuple[int, int]:
        partition = self._partition(topic, number)
        if partition is None:
            return -1, _UNKNOWN_TOPIC
        producer, epoch = struct.unpack_from(">qh", data, 43)
        if transactional_id is not None:
            transaction = self._transactions[transactional_id]
            if (producer, epoch) != (transaction.producer, transaction.epoch):
                return -1, _INVALID_EPOCH
            if not transaction.is_open or (topic, number) not in transaction.partitions:
                return -1, _INVALID_STATE
        base = partition.append(
            data, record_count(data), producer, is_transactional=transactional_id is not None
        )
        return base, 0

    def _request_1(self, request: Reader, answer: Writer, _: int) -> None:
        """Handle Fetch: return messages."""
        request.i32()
        deadline = monotonic() + request.i32() / 1000
        request.i32()
        request.i32()
        is_committed = bool(request.i8())
        fetches = [
            (topic, [(request.i32(), request.i64(), request.i32()) for _ in range(request.i32())])
            for topic in (request.text() for _ in range(request.i32()))
        ]
        with self._lock:
            while not self._is_closed and not any(
                self._has_new(topic, number, offset, is_committed=is_committed)
                for topic, rows in fetches
                for number, offset, _ in rows
            ):
                time_left = deadline - monotonic()
                if time_left <= 0 or not self._lock.wait(time_left):
                    break
            answer.i32(0).i32(len(fetches))
            for topic, rows in fetches:
                answer.text(topic).i32(len(rows))
                for number, offset, size in rows:
                    self._fetch(answer, topic, number, offset, size, is_committed=is_committed)

    def _has_new(self, topic: str | None, number: int, offset: int, *, is_committed: bool) -> bool:
        partition = self._partition(topic, number)
        if partition is None:
            return True
        return offset < (partition.stable if is_committed else partition.end)

    def _fetch(
        self,
        answer: Writer,
        topic: str | None,
        number: int,
        offset: int,
        size: int,
        *,
        is_committed: bool,
    ) -> None:
        partition = self._partition(topic, number)
        if partition is None:
            answer.i32(number).i16(_UNKNOWN_TOPIC).i64(-1).i64(-1).i32(0).bytes(b"")
            return
        end = partition.stable if is_committed else partition.end
        data = b""
        for batch in partition.batches:
            if batch.base >= end or (data and len(data) + len(batch.data) > size):
                break
            if batch.base + record_count(batch.data) > offset:
                data += batch.data
        aborted = [
            (producer, first) for producer, first, last in partition.aborted if last >= offset
        ]
        answer.i32(number).i16(0).i64(partition.end).i64(partition.stable)
        answer.i32(len(aborted) if is_committed else 0)
        for producer, first in aborted if is_committed else ():
            answer.i64(producer).i64(first)
        answer.bytes(data)

    def _request_2(self, request: Reader, answer: Writer, _: int) -> None:
        """Handle ListOffsets: return offsets."""
        request.i32()
        answer.i32(topics := request.i32())
        for _ in range(topics):
            answer.text(topic := request.text()).i32(partitions := request.i32())
            for _ in range(partitions):
                number, time = request.i32(), request.i64()
                with self._lock:
                    partition = self._partition(topic, number)
                    end = 0 if partition is None else partition.end
                answer.i32(number).i16(0 if partition else _UNKNOWN_TOPIC).i64(-1)
                answer.i64(0 if time == -2 else end)

    def _request_3(self, request: Reader, answer: Writer, _: int) -> None:
        """Handle Metadata: describe the cluster."""
        count = request.i32()
        names = [*self._topics] if count < 0 else [str(request.text()) for _ in range(count)]
        answer.i32(1).i32(1).text("127.0.0.1").i32(self._port).text(None)
        answer.text("transactional").i32(1).i32(len(names))
        for name in names:
            partitions = self._topics.get(name)
            answer.i16(_UNKNOWN_TOPIC if partitions is None else 0).text(name).i8(0)
            answer.i32(len(partitions or ()))
            for number in range(len(partitions or ())):
                answer.i16(0).i32(number).i32(1).i32(1).i32(1).i32(1).i32(1)

    def _request_8(self, request: Reader, answer: Writer, code: int) -> None:
        """Handle OffsetCommit: store the offsets of a group."""
        group, generation, member = str(request.text()), request.i32(), str(request.text())
        request.i64()
        with self._lock:
            error = code or self._membership(group, generation, member)
            answer.i32(topics := request.i32())
            for _ in range(topics):
                answer.text(topic := request.text()).i32(partitions := request.i32())
                for _ in range(partitions):
                    number, offset = request.i32(), request.i64()
                    request.text()
                    if not error:
                        self._positions[group, str(topic), number] = offset
                    answer.i32(number).i16(error)

    def _membership(self, name: str, generation: int, member: str) -> int:
        group = self._groups[name]
        if member not in group.members:
            return _UNKNOWN_MEMBER
        if generation != group.generation:
            return _ILLEGAL_GENERATION
        return _REBALANCING if group.state == "completing" else 0

    def _request_9(self, request: Reader, answer: Writer, _: int) -> None:
        """Handle OffsetFetch: return the offsets that a group has committed."""
        group = str(request.text())
        answer.i32(topics := request.i32())
        for _ in range(topics):
            answer.text(topic := request.text()).i32(partitions := request.i32())
            for _ in range(partitions):
                number = request.i32()
                place = group, str(topic), number
                with self._lock:
                    # Newer versions reply that the position is not stable, and readers ask again.
                    while not self._is_closed and any(
                        place in transaction.offsets for transaction in self._transactions.values()
                    ):
                        self._lock.wait(0.1)
                    position = self._positions.get(place, -1)
                answer.i32(number).i64(position).text("").i16(0)

    def _request_10(self, _: Reader, answer: Writer, __: int) -> None:
        """Handle FindCoordinator: name the coordinator."""
        answer.i32(0).i16(0).text(None).i32(1).text("127.0.0.1").i32(self._port)

    def _prepare(self, group: _Group) -> None:
        if group.state == "preparing":
            return  # a member that has joined already waits for the others
        group.state = "preparing"
        group.first_join = monotonic()
        for member in group.members.values():
            member.is_joined, member.assignment = False, None
        self._lock.notify_all()

    def _request_11(self, request: Reader, answer: Writer, _: int) -> None:
        """Handle JoinGroup: add a member to a group."""
        name, session = str(request.text()), request.i32() / 1000
        request.i32()
        id_ = str(request.text())
        request.text()
        protocols = [(str(request.text()), request.bytes()) for _ in range(request.i32())]
        with self._lock:
            group = self._groups[name]
            if id_ and id_ not in group.members:
                answer.i16(_UNKNOWN_MEMBER).i32(-1).text("").text("").text("").i32(0)
                return
            if not id_:
                self._ids += 1
                id_ = f"member-{self._ids}"
            if group.state != "preparing":
                self._prepare(group)
            member = group.members[id_] = _Member(protocols, session, monotonic(), is_joined=True)
            last_generation = group.generation
            while not self._is_closed and group.generation == last_generation:
                member.seen = monotonic()
                self._try_to_complete(group)
                self._lock.wait(0.02)
            members = group.members.items() if id_ == group.leader else ()
            answer.i16(0).i32(group.generation).text(group.protocol).text(group.leader).text(id_)
            answer.i32(len(members))
            for other, other_member in members:
                answer.text(other).bytes(dict(other_member.protocols)[group.protocol])

    def _try_to_complete(self, group: _Group) -> None:
        now = monotonic()
        for id_, member in list(group.members.items()):
            if not member.is_joined and now > member.seen + member.session:
                del group.members[id_]
        is_complete = all(member.is_joined for member in group.members.values())
        if (
            group.state == "preparing"
            and group.members
            and is_complete
            and now > group.first_join + _JOIN_WAIT
        ):
            group.generation += 1
            group.state = "completing"
            group.leader = next(iter(group.members))
            group.protocol = group.members[group.leader].protocols[0][0]
            self._lock.notify_all()

    def _request_12(self, request: Reader, answer: Writer, _: int) -> None:
        """Handle Heartbeat: report whether a group rebalances."""
        name, generation, id_ = str(request.text()), request.i32(), str(request.text())
        with self._lock:
            group = self._groups[name]
            if id_ not in group.members:
                answer.i16(_UNKNOWN_MEMBER)
                return
            group.members[id_].seen = monotonic()
            if group.state == "stable" and group.has_silent_member():
                self._prepare(group)
            if group.state == "preparing":
                answer.i16(_REBALANCING)
            else:
                answer.i16(0 if generation == group.generation else _ILLEGAL_GENERATION)

    def _request_13(self, request: Reader, answer: Writer, _: int) -> None:
        """Handle LeaveGroup: remove a member from a group."""
        with self._lock:
            group = self._groups[str(request.text())]
            group.members.pop(str(request.text()), None)
            self._prepare(group)
        answer.i16(0)

    def _request_14(self, request: Reader, answer: Writer, _: int) -> None:
        """Handle SyncGroup: store or return a group's assignment."""
        name, generation, id_ = str(request.text()), request.i32(), str(request.text())
        assignments = {str(request.text()): request.bytes() for _ in range(request.i32())}
        with self._lock:
            group = self._groups[name]
            if assignments and generation == group.generation:
                for other, member in group.members.items():
                    member.assignment = assignments.get(other, b"")
                group.state = "stable"
                self._lock.notify_all()
            while (
                not self._is_closed
                and generation == group.generation
                and group.state == "completing"
            ):
                if id_ in group.members:
                    group.members[id_].seen = monotonic()
                # The leader may have left before it gave the assignment.
                if group.has_silent_member():
                    self._prepare(group)
                self._lock.wait(0.02)
            asking = group.members.get(id_)
            if asking is None or asking.assignment is None or generation != group.generation:
                answer.i16(_REBALANCING).bytes(b"")
            else:
                answer.i16(0).bytes(asking.assignment)

    def _request_22(self, request: Reader, answer: Writer, code: int) -> None:
        """Handle InitProducerId: lock out earlier producers, and abort their transaction."""
        transactional_id = request.text()
        request.i32()
        claimed = request.i64(), request.i16()
        error, producer, epoch = code, -1, -1
        with self._lock:
            transaction = self._transactions.get(transactional_id or "")
            if not error and transaction is None:
                self._ids += 1
                producer, epoch = 1_000 + self._ids, 0
                if transactional_id is not None:
                    self._transactions[transactional_id] = _Transaction(producer, epoch)
            elif not error and transaction is not None:
                current = transaction.producer, transaction.epoch
                if claimed not in ((-1, -1), current):
                    error = _INVALID_EPOCH
                else:
                    self._end(transaction, is_committed=False)
                    transaction.epoch += 1
                    producer, epoch = transaction.producer, transaction.epoch
        answer.i32(0).i16(error).i64(producer).i16(epoch).tags()

    def _transaction(self, request: Reader) -> tuple[_Transaction, int]:
        transaction = self._transactions[str(request.text())]
        is_current = (request.i64(), request.i16()) == (transaction.producer, transaction.epoch)
        return transaction, 0 if is_current else _INVALID_EPOCH

    def _request_24(self, request: Reader, answer: Writer, code: int) -> None:
        """Handle AddPartitionsToTxn: add partitions to a transaction."""
        with self._lock:
            transaction, error = self._transaction(request)
            error = code or error
            answer.i32(0).i32(topics := request.i32())
            for _ in range(topics):
                answer.text(topic := request.text()).i32(partitions := request.i32())
                for _ in range(partitions):
                    number = request.i32()
                    if not error:
                        transaction.is_open = True
                        transaction.partitions.add((str(topic), number))
                    answer.i32(number).i16(error)

    def _request_25(self, request: Reader, answer: Writer, code: int) -> None:
        """Handle AddOffsetsToTxn: add a group's offsets to a transaction."""
        with self._lock:
            transaction, error = self._transaction(request)
            error = code or error
            if not error:
                transaction.is_open = True
        answer.i32(0).i16(error)

    def _request_26(self, request: Reader, answer: Writer, code: int) -> None:
        """Handle EndTxn: commit or abort a transaction."""
        with self._lock:
            transaction, error = self._transaction(request)
            error = code or error
            if not error:
                self._end(transaction, is_committed=bool(request.i8()))
        answer.i32(0).i16(error)

    def _end(self, transaction: _Transaction, *, is_committed: bool) -> None:
        for topic, number in transaction.partitions:
            partition = self._topics[topic][number]
            first = partition.open.pop(transaction.producer, None)
            if first is None:
                continue
            if not is_committed:
                partition.aborted.append((transaction.producer, first, partition.end))
            mark = control_batch(transaction.producer, transaction.epoch, is_commit=is_committed)
            partition.append(mark, 1, transaction.producer, is_transactional=False)
        if is_committed:
            self._positions.update(transaction.offsets)
        transaction.partitions.clear()
        transaction.offsets.clear()
        transaction.is_open = False
        self._lock.notify_all()

    def _request_28(self, request: Reader, answer: Writer, code: int) -> None:
        """Handle TxnOffsetCommit: hold a group's offsets back until their transaction commits."""
        transactional_id, group = str(request.text()), str(request.text())
        producer, epoch = request.i64(), request.i16()
        generation, member = request.i32(), str(request.text())
        request.text()
        with self._lock:
            transaction = self._transactions[transactional_id]
            error = code
            if not error and (producer, epoch) != (transaction.producer, transaction.epoch):
                error = _INVALID_EPOCH
            if not error:
                error = self._membership(group, generation, member)
            answer.i32(0).count(topics := request.count())
            for _ in range(topics):
                answer.text(topic := request.text()).count(partitions := request.count())
                for _ in range(partitions):
                    number, offset = request.i32(), request.i64()
                    request.i32()
                    request.text()
                    request.tags()
                    if not error:
                        transaction.offsets[group, str(topic), number] = offset
                    answer.i32(number).i16(error).tags()
                request.tags()
                answer.tags()
            answer.tags()
