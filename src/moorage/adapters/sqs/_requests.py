"""The requests to Amazon SQS, common to synchronous and asynchronous links.

They are coroutines that await nothing but the function that sends a request.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.auth.methods import sign
from moorage.domain.http.requests import Request
from moorage.domain.http.timeouts import Timeouts
from moorage.domain.http.urls import join_url
from moorage.domain.messages.sqs import (
    batch_entries,
    batch_results,
    check_for_queue,
    entry_of,
    refusal_of,
    result_of,
)
from moorage.domain.signing.context import SigningContext
from moorage.domain.values.json_text import encode_json, is_object
from moorage.domain.values.result import Result
from moorage.errors import AttemptTimeout, AuthenticationFailed, InvalidData, VendorFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from moorage.adapters.secret_managers._session import Session
    from moorage.adapters.secret_managers.aws_identity import AwsIdentity
    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Response
    from moorage.domain.messages.message import OutgoingMessage, PublishReceipt
    from moorage.errors import ConnectorError
    from moorage.ports.secret_manager import NetworkAccess

    Send = Callable[[Request, str, Timeouts], Coroutine[Any, Any, Response]]

SERVICE: Final = "sqs"
_TYPE: Final = "application/x-amz-json-1.0"
_PERMISSION: Final = frozenset({"AccessDenied", "AccessDeniedException"})


@attrs.frozen
class SqsAccess:
    """The access to an account's SQS queues; a `Session` renews its keys.

    Attributes:
        identity: the source of the access keys.
        region: the region of the queues.
    """

    identity: AwsIdentity
    region: str

    @property
    def where(self) -> str:
        """The name of the service for error messages."""
        return f"Amazon SQS in {self.region}"

    async def log_in(self, wire: NetworkAccess, held: Credentials | None, /) -> Credentials:  # noqa: ARG002 - nothing is renewed
        """Return the access keys that sign requests."""
        return await self.identity.keys(wire, self.region, SERVICE)


@attrs.frozen
class SqsRequests:
    """The HTTP requests to one account's SQS queues in one region.

    Attributes:
        send: sends a request, and returns any answer.
        session: provides the current access keys.
        endpoint: the URL of the service.
        account: the number of the account that owns the queues.
    """

    send: Send
    session: Session[SqsAccess]
    endpoint: str
    account: str

    async def publish(self, item: OutgoingMessage, timeout: float) -> PublishReceipt:
        """Send one message to a queue of SQS."""
        check_for_queue(item.message, item.topic)
        fields = {"QueueUrl": self._queue_url(item.topic), **entry_of(item)}
        answer = await self._send_action("SendMessage", fields, item.topic, timeout)
        return result_of(item, answer, self.session.wire.utc()).unwrap()

    async def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float
    ) -> list[Result[PublishReceipt]]:
        """Send messages to one queue in one request; invalid messages are not sent."""
        results: list[Result[PublishReceipt]] = []
        sent_messages: list[OutgoingMessage] = []
        for item in items:
            try:
                check_for_queue(item.message, item.topic)
            except InvalidData as error:
                results.append(Result(error=error))
            else:
                sent_messages.append(item)
                results.append(Result())
        if not sent_messages:
            return results
        queue = sent_messages[0].topic
        fields = {"QueueUrl": self._queue_url(queue), "Entries": batch_entries(sent_messages)}
        answer = await self._send_action("SendMessageBatch", fields, queue, timeout)
        answered_results = iter(batch_results(sent_messages, answer, self.session.wire.utc()))
        return [next(answered_results) if result.ok else result for result in results]

    async def ping(self, timeout: float) -> None:
        """Request a queue's name from SQS.

        An error for missing permission also counts as success.
        """
        try:
            await self._send_action("ListQueues", {"MaxResults": 1}, "", timeout)
        except AuthenticationFailed as error:
            if not _lacks_permission(error):
                raise

    def _queue_url(self, queue: str) -> str:
        return f"{self.endpoint}/{self.account}/{queue}"

    async def _send_action(
        self, action: str, fields: dict[str, Any], queue: str, timeout: float
    ) -> dict[str, Any]:
        """Send a signed request to SQS with a time limit, and return the answer's content."""
        until = monotonic() + timeout
        wire = self.session.wire
        headers = {"Content-Type": _TYPE, "X-Amz-Target": f"AmazonSQS.{action}"}
        request = Request.post("/", headers=headers, body=encode_json(fields))
        url = join_url(self.endpoint, request)

        async def send_signed(credentials: Credentials) -> Response:
            seconds_left = until - monotonic()
            if seconds_left <= 0:
                raise AttemptTimeout(
                    "Fetching the access keys for Amazon SQS took too long.",
                    may_have_been_processed=False,
                )
            signed_request = sign(
                request, url, credentials, SigningContext(wire.utc(), wire.nonce())
            )
            answer = await self.send(signed_request, url, Timeouts(total=seconds_left))
            if not answer.ok:
                error = _refusal(answer, queue)
                # Only a refused key can be replaced by another key; a missing permission is missing
                # for all keys.
                if isinstance(error, AuthenticationFailed) and not _lacks_permission(error):
                    raise error
            return answer

        answer = await self.session.do(send_signed)
        if not answer.ok:
            raise _refusal(answer, queue)
        content = _json_of(answer)
        if not is_object(content):
            raise VendorFailed("Amazon SQS sent a response that is not JSON.", status=answer.status)
        return content


def _lacks_permission(error: AuthenticationFailed) -> bool:
    return error.vendor_code in _PERMISSION


def _refusal(answer: Response, queue: str) -> ConnectorError:
    """Return the error for an unsuccessful answer of SQS."""
    content = _json_of(answer)
    fields = content if is_object(content) else {}
    code, words = fields.get("__type"), fields.get("message") or fields.get("Message")
    return refusal_of(
        code if isinstance(code, str) else "",
        words if isinstance(words, str) else "",
        queue,
        status=answer.status,
    )


def _json_of(answer: Response) -> object:
    try:
        return answer.json()
    except InvalidData:
        return None
