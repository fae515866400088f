"""The email operations that need more than one request."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.declared.email import EmailContract
from moorage.contracts.email import check_fits
from moorage.contracts.email_bulk import BulkMessage
from moorage.contracts.validators import check_kind
from moorage.contracts.vendor import part_key
from moorage.domain.idempotency.claims import checked_key
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.values.durations import count, maybe_seconds
from moorage.domain.values.result import Result
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.key_ownership import KeyOwnership

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.contracts.email import EmailVendor
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_outcomes import EmailReceipt
    from moorage.contracts.routes import RoutingRequest
    from moorage.contracts.wire import Wire

_USUAL: Final = 100
_BATCHES: Final = "email.batch"


class EmailFlows(Flows, EmailContract):
    """The email operations of one tenant."""

    async def send_bulk(
        self,
        bulk: BulkMessage,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        at_once: int = 4,
    ) -> list[Result[EmailReceipt]]:
        """Send one message to many recipients separately; return their results in order.

        The recipients are sent in chunks of the vendor's batch size; a failed chunk does not
        affect the others. With a key, each chunk has its own key, derived from the chunk's
        position: a repeat after an interruption sends only the missing chunks.

        Args:
            bulk: message with its recipients.
            idempotency_key: identifies this bulk message.
            timeout: seconds for each chunk.
            at_once: maximum number of concurrent chunks.
        """
        check_kind(bulk, BulkMessage, "bulk")
        maybe_seconds(timeout, "timeout")
        if idempotency_key is not None:
            checked_key(idempotency_key)
        refusals = [
            self._dispatcher.refusal("email.send_bulk", _addresses(recipient.everybody))
            for recipient in bulk.recipients
        ]
        if any(refusals):
            allowed_recipients = [
                recipient
                for recipient, refusal in zip(bulk.recipients, refusals, strict=True)
                if refusal is None
            ]
            bulk = attrs.evolve(bulk, recipients=allowed_recipients)
        operation = self._request("send_bulk", bulk.needs)
        chunks = bulk.chunks(await self._batch(operation, idempotency_key))
        steps = [
            partial(self._chunk, operation, chunk, _part_key(idempotency_key, number), timeout)
            for number, chunk in enumerate(chunks, 1)
        ]
        results_of_chunks = await self._dispatcher.calling.core.run_all(
            steps, at_once=count(at_once, "at_once")
        )
        results = (result for results in results_of_chunks for result in results)
        return [next(results) if refusal is None else Result(error=refusal) for refusal in refusals]

    async def _batch(self, operation: RoutingRequest, key: str | None) -> int:
        """Return the number of recipients per request; repeats with the same key keep that number.

        So a repeat has the same chunks as the first call, even if another vendor has been
        configured since.
        """
        accounts = self._dispatcher.directory.choose(operation)
        size = min(account.vendor.limits.get("batch", _USUAL) for account in accounts)
        if key is None:
            return size
        calling = self._dispatcher.calling
        services = [calling.plans.services[account.name] for account in accounts]
        key_ownership = KeyOwnership(
            calling.core,
            _BATCHES,
            self._tenant,
            key,
            remembered=max(service.idempotency_ttl for service in services),
            seconds=max(service.timeout for service in services),
        )
        recorded_size, _ = await key_ownership.record_owner(str(size), movable=False)
        return int(recorded_size)

    async def _chunk(
        self, operation: RoutingRequest, chunk: BulkMessage, key: str | None, timeout: float | None
    ) -> list[Result[EmailReceipt]]:
        refused_receipts: list[Result[EmailReceipt]] = []

        async def call_vendor(vendor: Any, wire: Any) -> list[Result[EmailReceipt]]:
            results = await receipt_results(vendor, wire)
            if results and not any(result.ok for result in results) and not wire.begun:
                # No message was sent, so another vendor may still accept the message.
                refused_receipts[:] = results
                results[0].unwrap()
            return results

        async def receipt_results(vendor: Any, wire: Wire) -> list[Result[EmailReceipt]]:
            parts = chunk.chunks(vendor.limits.get("batch", _USUAL))
            for part in parts:
                most_recipients = max(len(recipient.everybody) for recipient in part.recipients)
                check_fits(part.base, most_recipients, vendor.limits)
            if len(parts) == 1:
                results: list[Result[EmailReceipt]] = await vendor.send_bulk(wire, chunk, key=key)
                return results
            part_results: list[Result[EmailReceipt]] = []
            for number, part in enumerate(parts, 1):
                part_results += await _result_of(vendor, wire, part, _part_key(key, number))
            return part_results

        try:
            return await self._dispatcher.execute(operation, call_vendor, key=key, timeout=timeout)
        except Exception as error:
            if is_interruption(error):
                raise
            if refused_receipts and refused_receipts[0].error is error:
                return refused_receipts
            return [Result(error=error) for _ in chunk.recipients]


async def _result_of(
    vendor: EmailVendor, wire: Wire, part: BulkMessage, key: str | None
) -> list[Result[EmailReceipt]]:
    try:
        return await vendor.send_bulk(wire, part, key=key)
    except Exception as error:
        if is_interruption(error):
            raise
        return [Result(error=error) for _ in part.recipients]


def _addresses(people: Iterable[EmailAddress]) -> list[str]:
    return [address.email for address in people]


def _part_key(key: str | None, number: int) -> str | None:
    return None if key is None else part_key(key, number)
