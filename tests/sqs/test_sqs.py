"""The Amazon SQS connector, against its sandbox."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    Message,
    OutcomeUnknown,
    RateLimitExceeded,
    Response,
    RetryPolicy,
    Secret,
    TopicNotFound,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.sqs.amazon_sqs import AmazonSqs
from moorage.domain.messages.message import OutgoingMessage
from moorage.domain.messages.sqs import batch_results, digest_of_body, refusal_of
from moorage.domain.resilience.health import may_have_acted
from moorage.testing.sandboxes.base import (
    AlteredAnswer,
    AsyncSandboxHttpClient,
    Lost,
    SandboxHttpClient,
)
from moorage.testing.sandboxes.sqs import AmazonSqsSandbox
from tests.sqs.queue_harness import FIFO, QUEUE, SECRET, QueueHarness, sandbox_harness
from tests.support.ports import free_port
from tests.support.publisher_harness import IN_BOTH_MODES

AT = datetime(2026, 1, 1, tzinfo=UTC)


def sandbox() -> AmazonSqsSandbox:
    """Yield a sandbox with a standard queue and a FIFO queue."""
    return AmazonSqsSandbox([QUEUE, FIFO])


def sqs_refusal(code: str, text: str = "", status: int = 400) -> Response:
    """Return a response in which SQS refuses a request."""
    body = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": text}).encode()
    return Response(status, {"Content-Type": "application/x-amz-json-1.0"}, body)


@IN_BOTH_MODES
def test_message_is_stored_with_its_attributes(is_async: bool) -> None:
    """Text, headers, content type, whole seconds of delay and key of a message arrive in SQS."""
    queues = sandbox()
    message = Message(
        "Grüße",
        key="tenant-7",
        headers={"trace": "a1", "blob": b"\x00\xff"},
        content_type="text/plain",
        delay=2.2,
    )
    with sandbox_harness(queues, is_async=is_async) as harness:
        receipt = harness.publish(QUEUE, message)
    (stored_message,) = queues.messages[QUEUE]
    assert stored_message["MessageBody"] == "Grüße"
    assert stored_message["MessageGroupId"] == "tenant-7"
    assert stored_message["DelaySeconds"] == 3
    assert stored_message["MessageAttributes"] == {
        "trace": {"DataType": "String", "StringValue": "a1"},
        "blob": {"DataType": "Binary", "BinaryValue": b64encode(b"\x00\xff").decode()},
        "Content-Type": {"DataType": "String", "StringValue": "text/plain"},
    }
    assert (receipt.broker, receipt.topic, receipt.id) == (
        "sqs",
        QUEUE,
        stored_message["MessageId"],
    )
    assert receipt.offset is None


@IN_BOTH_MODES
def test_fifo_queue_stores_a_repeated_id_once(is_async: bool) -> None:
    """A FIFO queue detects repeated message ids; a message's receipt has a sequence number."""
    queues = sandbox()
    message = Message(b"1", key="customer-1", id="order-1")
    with sandbox_harness(queues, is_async=is_async) as harness:
        first, second = (harness.publish(FIFO, message) for _ in range(2))
    (stored_message,) = queues.messages[FIFO]
    assert (stored_message["MessageDeduplicationId"], stored_message["MessageGroupId"]) == (
        "order-1",
        "customer-1",
    )
    assert first.offset == second.offset == int(stored_message["SequenceNumber"])


@IN_BOTH_MODES
def test_lost_answer_is_repeated_only_with_an_id_of_a_fifo_queue(is_async: bool) -> None:
    """After a lost response, only a FIFO queue, which detects repeats, gets the message again."""
    queues = sandbox()
    with sandbox_harness(queues, is_async=is_async, retry=RetryPolicy(3, 0)) as harness:
        harness.completed(harness.connector.open(5.0))
        queues.fail(Lost())
        harness.publish(FIFO, Message(b"1", key="c", id="order-1"))
        assert len(queues.messages[FIFO]) == 1
        queues.fail(Lost())
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.publish(QUEUE, Message(b"1", id="order-1"))
        assert excinfo.value.may_have_been_processed
        queues.fail(Lost())
        with pytest.raises(OutcomeUnknown):
            harness.publish(QUEUE, Message(b"2"), idempotency_key="k")
    assert len(queues.messages[QUEUE]) == 2


@IN_BOTH_MODES
def test_batch_has_a_result_for_each_message(is_async: bool) -> None:
    """25 messages are sent in three requests; if one message is refused, the others are sent."""
    queues = sandbox()
    messages = [Message(f"m{number}") for number in range(25)]
    messages[13] = Message(b"\xff\xfe")
    with sandbox_harness(queues, is_async=is_async) as harness:
        results = harness.publish_batch(QUEUE, messages)
    assert [result.ok for result in results] == [number != 13 for number in range(25)]
    assert isinstance(results[13].error, InvalidData)
    bodies = [message["MessageBody"] for message in queues.messages[QUEUE]]
    assert bodies == [f"m{number}" for number in range(25) if number != 13]
    sizes = [
        len(json.loads(request.body)["Entries"])
        for request in queues.requests
        if request.headers.get("x-amz-target") == "AmazonSQS.SendMessageBatch"
    ]
    assert sizes == [10, 9, 5]


@IN_BOTH_MODES
def test_batch_of_messages_that_sqs_cannot_store_sends_nothing(is_async: bool) -> None:
    """A batch without any valid message raises an error, and nothing is sent."""
    queues = sandbox()
    with sandbox_harness(queues, is_async=is_async) as harness:
        harness.completed(harness.connector.open(5.0))
        requests_before = len(queues.requests)
        with pytest.raises(InvalidData):
            harness.publish_batch(QUEUE, [Message(b"\xff"), Message(b"\xfe")])
    assert len(queues.requests) == requests_before


@IN_BOTH_MODES
def test_messages_that_together_exceed_one_mebibyte_are_sent_in_several_requests(
    is_async: bool,
) -> None:
    """Messages that together exceed one mebibyte are sent in several requests."""
    queues = sandbox()
    messages = [Message("x" * 400_000) for _ in range(5)]
    with sandbox_harness(queues, is_async=is_async) as harness:
        results = harness.publish_batch(QUEUE, messages)
    assert all(result.ok for result in results)
    assert len(queues.messages[QUEUE]) == 5


@IN_BOTH_MODES
@pytest.mark.parametrize(
    "code, status, kind",
    [
        ("QueueDoesNotExist", 400, TopicNotFound),
        ("RequestThrottled", 400, RateLimitExceeded),
        ("KmsThrottled", 400, RateLimitExceeded),
        ("SlowDown", 429, RateLimitExceeded),
        ("AccessDeniedException", 400, AuthenticationFailed),
        ("KmsAccessDenied", 400, AuthenticationFailed),
        ("UnknownRefusal", 403, AuthenticationFailed),
        ("InvalidClientTokenId", 403, AuthenticationFailed),
        ("BatchRequestTooLong", 400, InvalidRequest),
        ("InvalidMessageContents", 400, InvalidRequest),
        ("KmsDisabled", 400, VendorRejected),
        ("InternalError", 500, VendorFailed),
    ],
)
def test_refusals_are_typed(
    code: str, status: int, kind: type[ConnectorError], is_async: bool
) -> None:
    """Each SQS error code has its own error class, and the raised error omits SQS's text."""
    queues = sandbox()
    with sandbox_harness(queues, is_async=is_async) as harness:
        harness.completed(harness.connector.open(5.0))
        answer = sqs_refusal(code, "the text of the answer", status)
        queues.fail(answer, answer)
        with pytest.raises(kind) as excinfo:
            harness.publish(QUEUE, Message(b"1"))
    assert excinfo.value.vendor_code == code  # type: ignore[attr-defined]  # errors with an answer have it
    assert "text of the answer" not in f"{excinfo.value!r} {vars(excinfo.value)}"


def test_error_for_message_above_its_queue_limit_says_it_is_too_large() -> None:
    """If a message exceeds the queue's own size limit, the error says that it is too large."""
    error = refusal_of(
        "InvalidParameterValue",
        "Reason: Message must be shorter than 1024 bytes.",
        QUEUE,
        status=400,
    )
    assert "too large" in error.message
    assert isinstance(error, InvalidRequest)


@IN_BOTH_MODES
def test_missing_queue_and_wrong_secret_are_typed(is_async: bool) -> None:
    """A missing queue and a wrong key raise typed errors, which do not show the secret."""
    with sandbox_harness(sandbox(), is_async=is_async) as harness, pytest.raises(TopicNotFound):
        harness.publish("nowhere", Message(b"1"))
    queues = sandbox()
    harness = sandbox_harness(queues, is_async=is_async)
    queues.secret_access_key = "another"
    with harness, pytest.raises(AuthenticationFailed) as excinfo:
        harness.publish(QUEUE, Message(b"1"))
    assert SECRET not in f"{excinfo.value!r} {vars(excinfo.value)} {harness.connector!r}"


@IN_BOTH_MODES
@pytest.mark.parametrize(
    "changed", [{"MD5OfMessageBody": "0" * 32}, {"MessageId": None}], ids=["digest", "no id"]
)
def test_changed_message_is_noticed(changed: dict[str, Any], is_async: bool) -> None:
    """If the response has another message's digest, the call fails with an unknown outcome."""
    queues = sandbox()
    content = {"MessageId": "1", "MD5OfMessageBody": digest_of_body(b"1"), **changed}
    with sandbox_harness(queues, is_async=is_async) as harness:
        harness.completed(harness.connector.open(5.0))
        queues.fail(Response(200, body=json.dumps(content).encode()))
        with pytest.raises(VendorFailed) as excinfo:
            harness.publish(QUEUE, Message(b"1"))
    assert may_have_acted(excinfo.value)


@IN_BOTH_MODES
def test_answer_that_is_not_json_is_a_failure(is_async: bool) -> None:
    """A response that is not JSON, with success or error status, is a failure of SQS."""
    queues = sandbox()
    with sandbox_harness(queues, is_async=is_async) as harness:
        harness.completed(harness.connector.open(5.0))
        for answer in (Response(200, body=b"[]"), Response(200, body=b"<"), Response(503)):
            queues.fail(answer)
            with pytest.raises(VendorFailed):
                harness.publish(QUEUE, Message(b"1"))


@IN_BOTH_MODES
def test_health_needs_no_permission_to_list_queues(is_async: bool) -> None:
    """The health check needs no permission to list queues, but fails with unknown keys."""
    queues = sandbox()
    with sandbox_harness(queues, is_async=is_async) as harness:
        assert harness.completed(harness.connector.health(5.0)).is_healthy
        queues.fail(sqs_refusal("AccessDenied", status=403))
        assert harness.completed(harness.connector.health(5.0)).is_healthy
        queues.secret_access_key = "another"
        assert not harness.completed(harness.connector.health(5.0)).is_healthy
        assert harness.connector.statistics().created == 1
        assert harness.connector.versions.server is None


@IN_BOTH_MODES
def test_failed_opening_is_reported(is_async: bool) -> None:
    """Opening a connector with unknown keys raises a typed error, and can be tried again."""
    queues = sandbox()
    queues.access_key_id = "OTHER"
    harness = sandbox_harness(queues, is_async=is_async)
    queues.access_key_id = "AKIDOTHER"
    with harness:
        for _ in range(2):
            with pytest.raises(AuthenticationFailed):
                harness.completed(harness.connector.open(5.0))


@pytest.mark.parametrize(
    "queue, fields, field",
    [
        (QUEUE, {"payload": b""}, "payload"),
        (QUEUE, {"payload": "a\x00b"}, "payload"),
        (QUEUE, {"payload": "1", "key": "a b"}, "key"),
        (QUEUE, {"payload": "1", "key": "k" * 129}, "key"),
        (FIFO, {"payload": "1", "id": "i"}, "key"),
        (
            QUEUE,
            {
                "payload": "1",
                "content_type": "text/plain",
                "headers": {f"h{number}": "v" for number in range(10)},
            },
            "headers",
        ),
    ],
)
def test_messages_that_a_queue_cannot_take_are_refused(
    queue: str, fields: dict[str, Any], field: str
) -> None:
    """A message that SQS would refuse or alter is refused, and the error names its wrong field."""
    with (
        sandbox_harness(sandbox(), is_async=False) as harness,
        pytest.raises(InvalidData) as excinfo,
    ):
        harness.publish(queue, Message(**fields))
    assert excinfo.value.field == field


@pytest.mark.parametrize(
    "queue, fields",
    [
        (QUEUE, {"payload": "x" * 1_048_577}),
        (QUEUE, {"payload": "1", "delay": 901.0}),
        (FIFO, {"payload": "1", "key": "k", "delay": 1.0}),
        (QUEUE, {"payload": "1", "headers": {"AWS.trace": "v"}}),
        (QUEUE, {"payload": "1", "headers": {"a..b": "v"}}),
        (QUEUE, {"payload": "1", "headers": {"content-type": "v"}}),
        (QUEUE, {"payload": "1", "headers": {f"h{number}": "v" for number in range(11)}}),
        ("no queue!", {"payload": "1"}),
        ("q" * 81, {"payload": "1"}),
    ],
)
def test_messages_outside_the_limits_are_refused_before_anything_is_sent(
    queue: str, fields: dict[str, Any]
) -> None:
    """The limits of SQS are checked when the operation is created, before sending."""
    connector = AmazonSqs(region="eu-central-1", account="123456789012").publisher()
    with pytest.raises(InvalidData):
        connector.publish(queue, Message(**fields))


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"region": "Frankfurt", "account": "123456789012"}, "region"),
        ({"region": "eu-central-1", "account": "123"}, "account"),
        (
            {"region": "eu-central-1", "account": "123456789012", "access_key_id": "A"},
            "access_key_id",
        ),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], path: str) -> None:
    """An invalid region or account, or an incomplete key, is refused with its path."""
    with pytest.raises(ConfigurationError) as excinfo:
        AmazonSqs(**settings)
    assert excinfo.value.path == path


def test_endpoint_is_that_of_the_region() -> None:
    """In the regions of China, the endpoint of SQS has another domain."""
    account = "123456789012"
    assert (
        AmazonSqs(region="cn-north-1", account=account).endpoint
        == "https://sqs.cn-north-1.amazonaws.com.cn"
    )
    assert (
        AmazonSqs(region="eu-central-1", account=account).endpoint
        == "https://sqs.eu-central-1.amazonaws.com"
    )


@IN_BOTH_MODES
def test_keys_of_the_environment_are_used(is_async: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys in the settings, those in the environment variables sign requests."""
    queues = sandbox()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", queues.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", queues.secret_access_key)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    client: Any = AsyncSandboxHttpClient if is_async else SandboxHttpClient
    settings = AmazonSqs(region=queues.region, account="123456789012")
    with QueueHarness(settings, is_async=is_async, http=client(queues)) as harness:
        harness.publish(QUEUE, Message(b"1"))
    assert len(queues.messages[QUEUE]) == 1


@given(st.permutations(range(4)), st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)))
def test_results_belong_to_their_messages(
    order: list[int], failed: set[int], unmentioned: set[int]
) -> None:
    """Each result of a batch belongs to its message, whatever the order in the response."""
    items = [OutgoingMessage(QUEUE, Message(str(number))) for number in range(4)]
    answer: dict[str, list[Any]] = {"Successful": [], "Failed": []}
    for number in order:
        if number in unmentioned:
            continue
        if number in failed:
            answer["Failed"].append({"Id": str(number), "SenderFault": True, "Code": "Wrong"})
        else:
            digest = digest_of_body(str(number).encode())
            entry = {"Id": str(number), "MessageId": f"id-{number}", "MD5OfMessageBody": digest}
            answer["Successful"].append(entry)
    for number, result in enumerate(batch_results(items, answer, AT)):
        if number in unmentioned:
            assert isinstance(result.error, VendorFailed)
        elif number in failed:
            assert isinstance(result.error, InvalidRequest)
        else:
            assert result.unwrap().id == f"id-{number}"


def test_answer_without_lists_leaves_every_outcome_open() -> None:
    """If a batch response lacks its lists, the outcome of each message is unknown."""
    items = [OutgoingMessage(QUEUE, Message(b"1"))]
    for answer in ({}, {"Successful": "x", "Failed": [1, {"Id": 0}]}):
        (result,) = batch_results(items, answer, AT)
        assert result.error is not None
        assert may_have_acted(result.error)


def test_server_fault_of_a_message_leaves_its_outcome_open() -> None:
    """If SQS cannot store a message through its own fault, the message's result is VendorFailed."""
    items = [OutgoingMessage(QUEUE, Message(b"1"))]
    answer = {"Failed": [{"Id": "0", "SenderFault": False, "Code": "InternalError"}]}
    (result,) = batch_results(items, answer, AT)
    assert isinstance(result.error, VendorFailed)


def test_altered_answers_never_count_as_stored() -> None:
    """A truncated or altered response is a failure, and never becomes a receipt."""
    queues = sandbox()
    with sandbox_harness(queues, is_async=False) as harness:
        harness.connector.open(5.0)
        queues.fail(AlteredAnswer(lambda response: response.evolve(body=response.body[:-9])))
        with pytest.raises(VendorFailed):
            harness.publish(QUEUE, Message(b"1"))


@IN_BOTH_MODES
def test_unreachable_service_did_nothing(is_async: bool) -> None:
    """With its own HTTP client, a connector that cannot reach SQS reports that nothing was sent."""
    settings = AmazonSqs(
        region="eu-central-1",
        account="123456789012",
        access_key_id="AKIDSANDBOX",
        secret_access_key=Secret(SECRET),
        endpoint=f"http://127.0.0.1:{free_port()}",
    )
    with (
        QueueHarness(settings, is_async=is_async) as harness,
        pytest.raises(ConnectionFailed) as excinfo,
    ):
        harness.publish(QUEUE, Message("bolt"))

    assert not excinfo.value.may_have_been_processed
    assert SECRET not in repr(vars(excinfo.value))


@IN_BOTH_MODES
def test_nothing_is_sent_without_time(is_async: bool) -> None:
    """If looking up the access keys uses up the time limit, the request is not sent."""
    queues = sandbox()
    item = OutgoingMessage(QUEUE, Message(b"1"))
    with sandbox_harness(queues, is_async=is_async) as harness:
        harness.completed(harness.connector.open(5.0))
        requests_before = len(queues.requests)
        with pytest.raises(AttemptTimeout) as excinfo:
            harness.completed(harness.connector._send("publish", item, float("-inf")))  # noqa: SLF001 - with no time left
    assert not excinfo.value.may_have_been_processed
    assert len(queues.requests) == requests_before
