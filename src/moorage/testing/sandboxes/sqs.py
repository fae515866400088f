"""A local sandbox that imitates the sending of messages to Amazon SQS.

Only the named queues exist. The limits on messages are the same as at SQS.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.messages.sqs import digest_of_attributes, digest_of_body, is_fifo
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes._aws import MISMATCH, STRANGER, UNSIGNED, AwsSandbox
from moorage.testing.sandboxes.base import Refusal, Routes, SandboxRequest, first_problem

if TYPE_CHECKING:
    from collections.abc import Iterable

_ACCOUNT: Final = "123456789012"
_TYPE: Final = "application/x-amz-json-1.0"
_MAX_BYTES: Final = 1_048_576
_MOST_ENTRIES: Final = 10
_LONGEST_DELAY: Final = 900
_ACCESS_CODES: Final = {
    UNSIGNED: "MissingAuthenticationToken",
    STRANGER: "InvalidClientTokenId",
    MISMATCH: "SignatureDoesNotMatch",
}


class AmazonSqsSandbox(AwsSandbox):
    """A sandbox of Amazon SQS. Its queues store received messages.

    Args:
        queues: the names of the queues; the name of a FIFO queue ends with `.fifo`.
        access_key_id, secret_access_key: credentials that requests must have.
        region: AWS region of the queues.

    Attributes:
        messages: the fields of each stored message, in order, by name of the queue.
    """

    service = "sqs"
    domains = ("sqs",)

    def __init__(
        self,
        queues: Iterable[str] = (),
        access_key_id: str = "AKIDSANDBOX",
        secret_access_key: str = "sqs-sandbox-secret",
        region: str = "eu-central-1",
    ) -> None:
        super().__init__(access_key_id, secret_access_key, region)
        self.messages: dict[str, list[dict[str, Any]]] = {name: [] for name in queues}
        self._stored: dict[tuple[str, str], dict[str, Any]] = {}

    def routes(self) -> Routes:
        """The sandbox's routes, by method and path."""
        return {"POST /": self._run_action}

    def _unauthorized(self, problem: str) -> Refusal:
        return _refusal(_ACCESS_CODES[problem], problem, 403)

    def _run_action(self, request: SandboxRequest) -> Response:
        action = (request.headers.get("x-amz-target") or "").removeprefix("AmazonSQS.")
        fields = json.loads(request.body)
        if action == "ListQueues":
            return _reply({"QueueUrls": [self._url(name) for name in self.messages]})
        if action not in {"SendMessage", "SendMessageBatch"}:
            raise _refusal("InvalidAction", f"There is no action {action}.")
        queue = self._queue(fields["QueueUrl"])
        if action == "SendMessage":
            problem = _problem(queue, fields)
            if problem is not None:
                raise _refusal(*problem)
            return _reply(self._store(queue, fields))
        return _reply(self._batch(queue, fields["Entries"]))

    def _url(self, name: str) -> str:
        return f"https://{self.hosts[0]}/{_ACCOUNT}/{name}"

    def _queue(self, url: str) -> str:
        account, _, name = url.partition("//")[2].partition("/")[2].partition("/")
        if account != _ACCOUNT or name not in self.messages:
            raise _refusal(
                "com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist."
            )
        return name

    def _batch(self, queue: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        ids = [entry["Id"] for entry in entries]
        problem = first_problem(
            {
                "EmptyBatchRequest": not entries,
                "TooManyEntriesInBatchRequest": len(entries) > _MOST_ENTRIES,
                "BatchEntryIdsNotDistinct": len(set(ids)) < len(ids),
                "BatchRequestTooLong": sum(map(_size, entries)) > _MAX_BYTES,
            }
        )
        if problem is not None:
            raise _refusal(f"com.amazonaws.sqs#{problem}", "The batch is wrong.")
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in entries:
            problem_of_entry = _problem(queue, entry)
            if problem_of_entry is None:
                answer["Successful"].append({"Id": entry["Id"], **self._store(queue, entry)})
            else:
                code, text = problem_of_entry
                answer["Failed"].append(
                    {"Id": entry["Id"], "SenderFault": True, "Code": code, "Message": text}
                )
        return answer

    def _store(self, queue: str, fields: dict[str, Any]) -> dict[str, Any]:
        body = fields["MessageBody"]
        key = queue, str(fields.get("MessageDeduplicationId"))
        if is_fifo(queue) and key in self._stored:
            return self._stored[key]
        answer = {"MessageId": self.uuid(), "MD5OfMessageBody": digest_of_body(body.encode())}
        if "MessageAttributes" in fields:
            answer["MD5OfMessageAttributes"] = digest_of_attributes(fields["MessageAttributes"])
        if is_fifo(queue):
            answer["SequenceNumber"] = f"{self.number():020d}"
            self._stored[key] = answer
        self.messages[queue].append({**fields, **answer})
        return answer


def _size(fields: dict[str, Any]) -> int:
    """Return a message's size in bytes, as SQS counts it."""
    size = len(fields["MessageBody"].encode())
    for name, attribute in fields.get("MessageAttributes", {}).items():
        size += len(name) + sum(len(value) for value in attribute.values())
    return size


def _problem(queue: str, fields: dict[str, Any]) -> tuple[str, str] | None:
    """Return the error code and text for an invalid message; None if it is valid."""
    delay = fields.get("DelaySeconds", 0)
    fifo = is_fifo(queue)
    return first_problem(
        {
            (
                "InvalidParameterValue",
                f"One or more parameters are invalid. Message must be shorter than {_MAX_BYTES}.",
            ): _size(fields) > _MAX_BYTES,
            ("InvalidParameterValue", "DelaySeconds is wrong."): not 0 <= delay <= _LONGEST_DELAY
            or (fifo and delay),
            ("MissingParameter", "MessageGroupId is missing."): fifo
            and "MessageGroupId" not in fields,
            ("InvalidParameterValue", "MessageDeduplicationId is missing."): fifo
            and "MessageDeduplicationId" not in fields,
            ("InvalidParameterValue", "There are too many attributes."): len(
                fields.get("MessageAttributes", {})
            )
            > _MOST_ENTRIES,
        }
    )


def _reply(value: object, status: int = 200) -> Response:
    return Response(status, {"Content-Type": _TYPE}, encode_json(value))


def _refusal(code: str, text: str, status: int = 400) -> Refusal:
    return Refusal(_reply({"__type": code, "message": text}, status))
