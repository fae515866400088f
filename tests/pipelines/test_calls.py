"""Pipeline sinks that call services and vendors."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

import moorage
from moorage import (
    AsyncConnectorManager,
    ConnectorManager,
    Pipeline,
    PipelineConfig,
    Request,
    RetryPolicy,
    Service,
    SinkRecord,
)
from moorage.contracts.sms import SmsMessage
from moorage.pipelines.calls import CallSink, HttpBatchSink, HttpSink, batch_key, idempotency_key
from moorage.testing import (
    Behaviour,
    MemoryDeadLetters,
    MemorySource,
    ReceivedRequest,
    VendorServer,
    name_of,
    sink_conformance,
)
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from moorage.testing.sandboxes.sms.vonage import VonageSandbox
from tests.pipelines.pipeline_databases import finish

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from moorage import SinkConnector

QUICK_RETRIES: Final = RetryPolicy(base_delay=0.0001, max_delay=0.0001)


def _record(number: int) -> SinkRecord:
    return SinkRecord.of_json(number, topic="numbers", offset=number)


def _request(record: SinkRecord) -> Request:
    return Request.post("/numbers", json=[record.json()])


def _batch_request(records: list[SinkRecord]) -> Request:
    return Request.post("/numbers", json=[record.json() for record in records])


class Numbers:
    """A fake service that stores all numbers of a request or none, and rejects negative numbers."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.keys: list[str] = []

    def __call__(self, request: ReceivedRequest) -> Behaviour:
        """Respond to a request; a repeated idempotency key has no second effect."""
        numbers = request.json()
        if min(numbers) < 0:
            return Behaviour.of_json({"error": "negative"}, status=422)
        key = request.headers["idempotency-key"]
        if key not in self.keys:
            self.keys.append(key)
            self.stored += numbers
        return Behaviour.of_json({})


@attrs.define
class Subject:
    """A sink that calls the fake service."""

    sink: SinkConnector
    numbers: Numbers
    has_effect_once: bool

    def record(self, number: int, /) -> SinkRecord:
        """Return a record that contains this number."""
        return _record(number)

    def bad_record(self, number: int, /) -> SinkRecord | None:
        """Return a record that contains a negative number, which the service refuses."""
        return _record(-number)

    async def stored(self) -> list[int]:
        """Return the numbers that the service stored."""
        return self.numbers.stored


@asynccontextmanager
async def subject(manager_class: Any, sink_class: Any) -> AsyncGenerator[Subject]:
    """Create a fake service, and a sink that calls it."""
    numbers = Numbers()
    with VendorServer() as server:
        server.always(numbers)
        service = Service(
            "numbers",
            base_url=server.url,
            idempotency_header="Idempotency-Key",
            idempotency_memory=86_400,
            retry=QUICK_RETRIES,
        )
        manager = manager_class([service])
        request: Any = _request if sink_class is HttpSink else _batch_request
        yield Subject(sink_class(manager, "numbers", request), numbers, sink_class is HttpSink)
        await finish(manager.close())


each_manager = pytest.mark.parametrize("manager_class", [AsyncConnectorManager, ConnectorManager])


@each_manager
@pytest.mark.parametrize("sink_class", [HttpSink, HttpBatchSink])
@pytest.mark.parametrize("check", sink_conformance.CHECKS, ids=name_of)
async def test_sinks_that_send_http_requests_pass_sink_conformance_kit(
    check: sink_conformance.Check, sink_class: Any, manager_class: Any
) -> None:
    """Sinks that send HTTP requests pass the sink conformance kit."""
    await check(partial(subject, manager_class, sink_class))


@each_manager
async def test_identity_is_the_idempotency_key(manager_class: Any) -> None:
    """The sink sends each record's identity as the request's idempotency key."""
    async with subject(manager_class, HttpSink) as service:
        await service.sink.process_batch([_record(1), _record(2)])

        assert ["numbers/1", "numbers/2"] == service.numbers.keys


@pytest.mark.parametrize("open_hub", [moorage.aopen, moorage.open])
async def test_operation_of_a_contract_is_a_sink(open_hub: Any) -> None:
    """A contract's operation can be a sink, called per record; rejections are dead letters."""
    vonage = VonageSandbox()
    is_async = open_hub is moorage.aopen
    http: Any = AsyncSandboxHttpClient(vonage) if is_async else SandboxHttpClient(vonage)
    account = {"api_key": vonage.api_key, "credentials": vonage.api_secret, "sender": "ACME"}
    hub = open_hub({"sms": {"vendor": "vonage"}, "vendors": {"vonage": account}}, http=http)

    def message(record: SinkRecord) -> SmsMessage:
        return SmsMessage(to=record.json(), text="Your parcel is on its way.")

    records = [
        SinkRecord.of_json(number, topic="parcels", offset=place)
        for place, number in enumerate(["+447700900000", "nobody", "+447700900200"])
    ]
    dead_letters = MemoryDeadLetters()
    for _ in range(2):
        sink = CallSink(hub.sms().send, message)
        await Pipeline(
            "parcels",
            MemorySource(records),
            sink,
            dead_letters=dead_letters,
            config=PipelineConfig(retry=QUICK_RETRIES),
        ).run()
    await asyncio.sleep(0)
    await finish(hub.close())

    assert 2 == len(vonage.messages)
    assert [records[1]] * 2 == [letter.record for letter in dead_letters.letters]


def test_key_of_a_record_is_its_identity_where_possible() -> None:
    """A record identity that cannot be an idempotency key is replaced by its digest."""
    assert "numbers/1" == idempotency_key(_record(1))
    odd_record = SinkRecord(b"", topic="zahlen", id="ü" * 300)
    assert 64 == len(idempotency_key(odd_record))
    assert idempotency_key(odd_record) == idempotency_key(odd_record)


def test_key_of_a_batch_depends_on_all_its_records() -> None:
    """A batch's idempotency key is determined by all its records."""
    first, second = _record(1), _record(2)

    assert batch_key([first, second]) == batch_key([first, second])
    assert 3 == len({batch_key(batch) for batch in ([first], [first, second], [second, first])})
