"""Verification of webhooks: find the keys, check the signature, and refuse replays.

Laws:

1. A delivery is claimed only after it was verified, so that a forgery cannot use up its claim.
2. A claim is a lease until the delivery is handled. If the handler dies, the vendor's next delivery
   is accepted.
3. The URL of a certificate is checked before anything is sent there.
4. Handled events are left out of a batch; while one of them is being handled, the batch is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.domain.http.requests import Request, Timeouts
from moorage.domain.idempotency.claims import Claim, Verdict, release_claim, store_answer
from moorage.domain.observation.events import WebhookReceived, WebhookRefused
from moorage.domain.state.keys import own_key
from moorage.domain.values.bounded import BoundedCache
from moorage.domain.values.kinds import checked_kind
from moorage.domain.webhooks.algorithms import checker, key_check
from moorage.domain.webhooks.delivery import Delivery
from moorage.domain.webhooks.events import WebhookEvent, claim_event, event_later
from moorage.domain.webhooks.handshakes import UNSIGNED, reply_to_unsigned_check
from moorage.domain.webhooks.quick import quick_verifier
from moorage.domain.webhooks.rejection import WebhookReason, rejection_error
from moorage.domain.webhooks.replies import WebhookReply
from moorage.domain.webhooks.verification import Key, Reader, decide, examine
from moorage.errors import ConfigurationError, VendorFailed, WebhookRejected
from moorage.services.core.core import seconds_left

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.domain.secrets.secret import Secret
    from moorage.domain.webhooks.choices import Handshake
    from moorage.domain.webhooks.delivery import HeaderFields
    from moorage.domain.webhooks.quick import Quick
    from moorage.domain.webhooks.scheme import WebhookScheme
    from moorage.services.core.core import Core, Flow

Get: TypeAlias = "Callable[[str, str | None, str | None], Flow[Sequence[Secret]]]"
"""The signature of `AsyncWebhookSecrets.get`."""

_TIMEOUTS: Final = Timeouts(connect=5.0, total=10.0)
_TIMEOUT: Final = 10 * 10**9
"""Nanoseconds for claiming the events of one webhook; vendors hardly wait longer for a response."""
_CERTIFICATE_LIFE: Final = 3_600 * 10**9
_MOST_KEPT: Final = 1_000
_MAX_BYTES: Final = 65_536
_FINGERPRINT: Final = b"webhook"


@attrs.frozen(kw_only=True)
class Endpoint:
    """The settings of one webhook endpoint, such as its signature scheme.

    `lease` and `ttl` are in microseconds.
    """

    name: str
    scheme: WebhookScheme
    parameters: Mapping[str, str]
    verify_token: Secret | None
    tolerance: float | None
    origin: str | None
    guarded: bool
    lease: int
    ttl: int


class WebhookReceiver:
    """Verifies the webhooks of one endpoint, and marks them as handled."""

    def __init__(
        self,
        core: Core,
        endpoint: Endpoint,
        secrets: Get,
        find_fixed_secrets: Callable[[str | None], Sequence[Secret]] | None = None,
    ) -> None:
        self._core = core
        self._endpoint = endpoint
        self._secrets = secrets
        self._fixed = find_fixed_secrets
        self._quick: dict[str | None, Quick | None] = {}
        self._utc = core.utc
        self._reader = Reader(endpoint.scheme, endpoint.parameters, endpoint.name)
        self._keys: BoundedCache[
            tuple[str | None, str | None], tuple[Sequence[Secret], list[Key]]
        ] = BoundedCache(_MOST_KEPT)
        self._certificates: dict[str, tuple[int, Key]] = {}

    def verify_on_fast_path(
        self, headers: HeaderFields, body: bytes, tenant: str | None
    ) -> tuple[WebhookEvent] | None:
        """Verify a webhook on the fast path; return None if only the full verifier can decide."""
        try:
            accept = self._quick[tenant]
        except (KeyError, TypeError):
            accept = self._prepared(tenant)
        if accept is None:
            return None
        signed_values = accept(headers, body, self._utc().timestamp())
        if signed_values is None:
            return None
        return (event_later(self._reader, signed_values, body, tenant),)

    def _prepared(self, tenant: str | None) -> Quick | None:
        """Return a tenant's fast path, if its secrets are available without waiting."""
        endpoint = self._endpoint
        if tenant is not None:
            checked_kind(tenant, str, "tenant")
        secrets = () if self._fixed is None else self._fixed(tenant)
        if not secrets:
            return None
        accept = quick_verifier(endpoint.scheme, secrets, endpoint.parameters, endpoint.tolerance)
        self._quick[tenant] = accept
        return accept

    async def verify(
        self,
        *,
        headers: HeaderFields,
        body: bytes,
        url: str | None,
        method: str,
        tenant: str | None,
        was_tried: bool = False,
    ) -> tuple[WebhookEvent, ...]:
        """Verify that a webhook is genuine, fresh and new; return its events."""
        endpoint = self._endpoint
        if url is not None and endpoint.origin is not None:
            url = _moved_url(url, endpoint.origin)
        try:
            quick_events = None if was_tried else self.verify_on_fast_path(headers, body, tenant)
            events: tuple[WebhookEvent, ...]
            if quick_events is not None:
                events = quick_events
            else:
                delivery = Delivery(
                    headers, body, names=endpoint.scheme.headers, url=url, method=method
                )
                events = await self._verified_events(delivery, tenant)
            if endpoint.guarded and events and events[0].reply is None:
                events = await self._first_deliveries(events, tenant)
        except WebhookRejected as error:
            error.service = endpoint.name
            self._notify_event(WebhookRefused, tenant, reason=error.reason or "")
            raise
        self.notify_received(events, tenant)
        return events

    async def _verified_events(
        self, delivery: Delivery, tenant: str | None
    ) -> tuple[WebhookEvent, ...]:
        endpoint, now = self._endpoint, self._core.utc()
        scheme = endpoint.scheme
        handshake = scheme.handshake
        if delivery.method == "GET" and handshake is not None and handshake in UNSIGNED:
            return (await self._handshake_event(handshake, delivery, tenant),)
        examined_webhook = examine(scheme, delivery, endpoint.parameters, now, endpoint.tolerance)
        if examined_webhook.certificate is not None:
            keys = [await self._certificate_key(examined_webhook.certificate)]
        else:
            keys = await self._keys_of(tenant, examined_webhook.key_id)
        return decide(scheme, examined_webhook, keys, tenant)

    async def _handshake_event(
        self, handshake: Handshake, delivery: Delivery, tenant: str | None
    ) -> WebhookEvent:
        endpoint = self._endpoint
        reply = reply_to_unsigned_check(
            handshake,
            delivery,
            endpoint.parameters,
            await self._secrets(endpoint.name, tenant, None),
            endpoint.verify_token,
        )
        return WebhookEvent(
            vendor=endpoint.scheme.name,
            id="",
            type="handshake",
            vendor_type=handshake.value,
            tenant=tenant,
            reply=reply,
        )

    async def _keys_of(self, tenant: str | None, key_id: str | None) -> list[Key]:
        scheme = self._endpoint.scheme
        secrets = await self._secrets(self._endpoint.name, tenant, key_id)
        entry = self._keys.get((tenant, key_id))
        if entry is not None and (entry[0] is secrets or _is_equal(entry[0], secrets)):
            return entry[1]
        if not secrets:
            if key_id is not None:
                raise rejection_error(
                    WebhookReason.SIGNATURE,
                    "The provider of webhook secrets has no key with the id in the webhook.",
                )
            raise ConfigurationError(
                "The provider of webhook secrets has no secret for this endpoint.",
                path="webhook_secrets",
                remedy="Set the secret that the vendor shows for this endpoint.",
            )
        keys = keys_for(scheme, secrets, key_id)
        self._keys.add((tenant, key_id), (secrets, keys))
        return keys

    async def _certificate_key(self, address: str) -> Key:
        pattern = self._endpoint.scheme.certificate_url or ""
        # A pattern with an alternative may match more than its beginning suggests.
        if not address.startswith("https://") or re.fullmatch(pattern, address) is None:
            raise rejection_error(
                WebhookReason.CERTIFICATE,
                "The URL of the webhook's certificate is not one of the vendor's certificate URLs.",
            )
        now = self._core.nanoseconds()
        cached_key = self._certificates.get(address)
        if cached_key is not None and now - cached_key[0] < _CERTIFICATE_LIFE:
            return cached_key[1]
        content = await self._fetched(address)
        key = self._certified_key(content)
        # The number of cached certificates is limited, because only the vendor can add one.
        self._certificates[address] = (now, key)
        return key

    def _certified_key(self, content: bytes) -> Key:
        from moorage.domain.webhooks.public_keys import (  # noqa: PLC0415 - loads OpenSSL
            certified_key,
        )

        scheme = self._endpoint.scheme
        public_key = certified_key(content, self._core.utc())
        check = (
            None if public_key is None else key_check(scheme.algorithm, public_key, scheme.encoding)
        )
        if check is None:
            raise rejection_error(
                WebhookReason.CERTIFICATE, "The certificate is invalid or has expired."
            )
        return Key(check)

    async def _fetched(self, address: str) -> bytes:
        answer = await self._core.send(Request.get(address), address, _TIMEOUTS)
        if answer.status == 200 and len(answer.body) <= _MAX_BYTES:
            return answer.body
        if 400 <= answer.status < 500:
            raise rejection_error(
                WebhookReason.CERTIFICATE, "The webhook contains a link that returned no content."
            )
        raise VendorFailed(
            f"The vendor sent status {answer.status} for a link in the webhook.",
            status=answer.status,
            service=self._endpoint.name,
        )

    # --- one handling per delivery --------------------------------------------------

    async def _first_deliveries(
        self, events: Sequence[WebhookEvent], tenant: str | None
    ) -> tuple[WebhookEvent, ...]:
        endpoint, owner = self._endpoint, self._core.token()
        fresh_events: list[WebhookEvent] = []
        seen_keys: set[str] = set()
        end_time = self._core.nanoseconds() + _TIMEOUT
        try:
            for event in events:
                key = self._key(event, tenant)
                if key in seen_keys:
                    continue
                seen_keys.add(key)
                claim = Claim(
                    key,
                    fingerprint=_FINGERPRINT,
                    owner=owner,
                    lease=endpoint.lease,
                    ttl=endpoint.ttl,
                    target=endpoint.name,
                    remembered=0,
                )
                claim_result = await self._core.execute(claim, seconds_left(self._core, end_time))
                if claim_result.verdict is Verdict.RUN:
                    claim_event(event, (key, claim_result.fence))
                    fresh_events.append(event)
                elif claim_result.verdict is not Verdict.REPLAY:
                    raise _replay_rejection("is being handled", retryable=True)  # noqa: TRY301 - what was claimed is given back
        except BaseException:
            for event in fresh_events:
                self._core.post(self._settling_command(event, done=False))
            raise
        if not fresh_events:
            error = _replay_rejection("was handled before", retryable=False)
            answers = (event.answer for event in events if event.answer is not None)
            error.answer = next(answers, None) or WebhookReply.text(endpoint.scheme.accepted)
            raise error
        return tuple(fresh_events)

    def _key(self, event: WebhookEvent, tenant: str | None) -> str:
        from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL

        event_mark = event.claim[0] if event.claim else event.id
        name = sha256(event_mark.encode("utf-8", "surrogatepass")).hexdigest()
        return own_key("webhook", self._endpoint.name, tenant, name)

    def _settling_command(self, event: WebhookEvent, *, done: bool) -> Any:
        key, fence = event.claim or ("", 0)
        if done:
            return store_answer(key, fence, None, ttl=self._endpoint.ttl)
        return release_claim(key, fence, ttl=self._endpoint.ttl)

    async def settle(self, events: WebhookEvent | Iterable[WebhookEvent], *, done: bool) -> None:
        """Mark a webhook's events as handled, or release them for another delivery."""
        several_events = (
            checked_kind(events, Iterable, "events")
            if not isinstance(events, WebhookEvent)
            else (events,)
        )
        core = self._core
        deadline = core.nanoseconds() + _TIMEOUT
        for event in several_events:
            checked_kind(event, WebhookEvent, "events")
            if event.claim is not None and event.claim[1]:
                await core.execute(
                    self._settling_command(event, done=done), seconds_left(core, deadline)
                )

    async def confirm(self, event: WebhookEvent) -> bool:
        """Request the link that confirms a webhook subscription; return False if there is none."""
        link = checked_kind(event, WebhookEvent, "event").confirm
        if link is None:
            return False
        await self._fetched(link)
        return True

    def notify_received(self, events: tuple[WebhookEvent, ...], tenant: str | None) -> None:
        """Notify the observers that a webhook's events were accepted."""
        self._notify_event(WebhookReceived, tenant, events=len(events))

    def _notify_event(self, kind: type[Any], tenant: str | None, **fields: Any) -> None:
        core, endpoint = self._core, self._endpoint
        if core.observers:
            core.notify(
                kind(
                    at=core.utc(),
                    service=endpoint.name,
                    operation=endpoint.scheme.name,
                    tenant=tenant,
                    **fields,
                )
            )


def keys_for(
    scheme: WebhookScheme, secrets: Iterable[Secret], key_id: str | None = None
) -> list[Key]:
    """Return the keys that these secrets contain for checking a webhook's signature.

    Raises:
        ConfigurationError: a secret is malformed.
    """
    keys: list[Key] = []
    for secret in secrets:
        if key_id is not None and _service_name(secret) not in {None, key_id}:
            continue
        check = checker(
            scheme.algorithm,
            secret,
            encoding=scheme.encoding,
            form=scheme.secret_form,
            prefix=scheme.secret_prefix,
        )
        keys.append(Key(check, secret))
    return keys


def _service_name(secret: Secret) -> str | None:
    from moorage.domain.webhooks.public_keys import key_id_of  # noqa: PLC0415 - loads OpenSSL

    return key_id_of(secret.reveal_bytes())


def _is_equal(cached_secrets: Sequence[Secret], current_secrets: Sequence[Secret]) -> bool:
    return len(cached_secrets) == len(current_secrets) and all(
        item == current_item
        for item, current_item in zip(cached_secrets, current_secrets, strict=True)
    )


def _moved_url(url: str, origin: str) -> str:
    """Return a webhook's URL with its public origin, which a proxy has replaced."""
    path_and_query = re.sub(r"\A(?:[^/?#]*//[^/?#]*)?", "", url)
    return origin + path_and_query


def _replay_rejection(problem: str, *, retryable: bool) -> WebhookRejected:
    error = rejection_error(
        WebhookReason.REPLAYED,
        f"The webhook {problem}.",
        remedy="Do not process it again. `reply_to` returns the response for its sender.",
    )
    error.retryable = retryable
    return error
