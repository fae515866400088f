"""The sandbox of Amazon SQS refuses what SQS itself refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import Credentials, Request, Secret
from moorage.domain.auth.methods import sign
from moorage.domain.http.timeouts import Timeouts
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.sqs import AmazonSqsSandbox

URL = "https://sqs.eu-central-1.amazonaws.com/"
QUEUE = f"{URL}123456789012/orders"


def entry(number: int, **fields: Any) -> dict[str, Any]:
    """Return an entry of a batch request."""
    return {"Id": str(number), "MessageBody": "1", **fields}


def attribute(name: str) -> dict[str, Any]:
    """Return a message attribute."""
    return {name: {"DataType": "String", "StringValue": "v"}}


@pytest.mark.parametrize(
    "action,fields,code",
    [
        ("DeleteQueue", {}, "InvalidAction"),
        (
            "SendMessage",
            {"QueueUrl": QUEUE, "MessageBody": "x" * 1_048_577},
            "InvalidParameterValue",
        ),
        (
            "SendMessage",
            {"QueueUrl": QUEUE, "MessageBody": "1", "DelaySeconds": 901},
            "InvalidParameterValue",
        ),
        (
            "SendMessage",
            {
                "QueueUrl": QUEUE,
                "MessageBody": "1",
                "MessageAttributes": {
                    name: value
                    for number in range(11)
                    for name, value in attribute(f"a{number}").items()
                },
            },
            "InvalidParameterValue",
        ),
        ("SendMessage", {"QueueUrl": f"{QUEUE}.fifo", "MessageBody": "1"}, "MissingParameter"),
        (
            "SendMessage",
            {"QueueUrl": f"{QUEUE}.fifo", "MessageBody": "1", "MessageGroupId": "g"},
            "InvalidParameterValue",
        ),
        ("SendMessageBatch", {"QueueUrl": QUEUE, "Entries": []}, "EmptyBatchRequest"),
        (
            "SendMessageBatch",
            {"QueueUrl": QUEUE, "Entries": [entry(number) for number in range(11)]},
            "TooManyEntriesInBatchRequest",
        ),
        (
            "SendMessageBatch",
            {"QueueUrl": QUEUE, "Entries": [entry(1), entry(1)]},
            "BatchEntryIdsNotDistinct",
        ),
        (
            "SendMessageBatch",
            {
                "QueueUrl": QUEUE,
                "Entries": [entry(number, MessageBody="x" * 600_000) for number in range(2)],
            },
            "BatchRequestTooLong",
        ),
    ],
)
def test_wrong_requests_are_refused(action: str, fields: dict[str, Any], code: str) -> None:
    """A request beyond the limits of SQS is refused with SQS's error code, and stores nothing."""
    status, content = sandbox_answer(action, fields)
    assert status == 400
    assert content["__type"].rpartition("#")[2] == code


def test_wrong_entry_of_a_batch_fails_alone() -> None:
    """If one entry of a batch is invalid, the sandbox stores the other entries."""
    entries = [entry(1), entry(2, DelaySeconds=-1)]
    status, content = sandbox_answer("SendMessageBatch", {"QueueUrl": QUEUE, "Entries": entries})
    assert status == 200
    assert [message["Id"] for message in content["Successful"]] == ["1"]
    assert [failed["Id"] for failed in content["Failed"]] == ["2"]


@pytest.mark.parametrize(
    "key, secret, code",
    [
        (None, "sqs-sandbox-secret", "MissingAuthenticationToken"),
        ("AKIDUNKNOWN", "sqs-sandbox-secret", "InvalidClientTokenId"),
        ("AKIDSANDBOX", "another-secret", "SignatureDoesNotMatch"),
    ],
)
def test_wrong_signatures_are_refused(key: str | None, secret: str, code: str) -> None:
    """A request without signature, with an unknown key or a wrong secret is refused."""
    request = Request.post("/", headers={"X-Amz-Target": "AmazonSQS.ListQueues"}, body=b"{}")
    if key is not None:
        signing = AwsSigV4(access_key_id=key, region="eu-central-1", service="sqs")
        credentials = Credentials.signed(signing, Secret(secret))
        request = sign(request, URL, credentials, SigningContext(datetime.now(UTC), ""))
    answer = SandboxHttpClient(AmazonSqsSandbox()).send(request, URL, Timeouts(total=5.0))
    content: Any = answer.json()

    assert code == content["__type"].rpartition("#")[2]


def sandbox_answer(action: str, fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Send a signed request to the sandbox; return status and content of the response."""
    sandbox = AmazonSqsSandbox(["orders", "orders.fifo"])
    signing = AwsSigV4(access_key_id="AKIDSANDBOX", region="eu-central-1", service="sqs")
    credentials = Credentials.signed(signing, Secret(sandbox.secret_access_key))
    request = Request.post(
        "/", headers={"X-Amz-Target": f"AmazonSQS.{action}"}, body=json.dumps(fields).encode()
    )
    signed = sign(request, URL, credentials, SigningContext(datetime.now(UTC), ""))
    answer = SandboxHttpClient(sandbox).send(signed, URL, Timeouts(total=5.0))
    return answer.status, answer.json()
