"""Webhook verification as a separate part, with a guard against replays."""

from __future__ import annotations

import functools
import inspect
import math
from typing import TYPE_CHECKING, Any

import attrs

from moorage.adapters.webhook_secrets import (
    SecretsInput,
    StaticWebhookSecrets,
    no_secrets_error,
    read_secrets,
)
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.service.settings import Service
from moorage.domain.values.durations import FOREVER, micros, seconds
from moorage.domain.webhooks.scheme import WebhookScheme
from moorage.domain.webhooks.verification import acceptable_for
from moorage.errors import ConfigurationError
from moorage.parts.base import Part
from moorage.runtime.flows import as_async, guarded_async, guarded_port, run_now
from moorage.services.core.foreign_errors import credential_read_failure
from moorage.services.webhooks.verifier import Endpoint, WebhookReceiver, keys_for
from moorage.wiring.installed_vendors import webhook_scheme
from moorage.wiring.ports import check_sync_or_async

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from types import TracebackType

    from moorage.domain.secrets.secret import Secret
    from moorage.domain.webhooks.delivery import HeaderFields
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.ports.clock import Clock
    from moorage.ports.http import AsyncHttpClient, HttpClient
    from moorage.ports.observer import Observer
    from moorage.ports.state import AsyncStateStorage, StateStorage
    from moorage.ports.webhook_secrets import AsyncWebhookSecrets, WebhookSecrets

_HANDLING_SECONDS = 600.0
_REMEMBERED_SECONDS = 3 * 86_400.0
_VERIFY_TOKEN = "verify_token"  # noqa: S105 - the name of a secret


@with_careful_constructor
class WebhookVerifier(Part):
    """Verifies the signatures of webhooks of one scheme, and refuses replays.

    A verified delivery is claimed for the seconds of `handling`. `done` makes the claim final, so
    that a repeat is refused; `release` ends the claim, so that the vendor's next delivery is
    accepted; `receive` calls one of the two at the end of its block. Verifiers with the same name
    and store share the deliveries that they remember.

    Args:
        scheme: the name of a preset, or a scheme of your own.
        secrets: the vendor's secret, or several while one is replaced; or a provider of secrets.
        parameters: parameters of the scheme, such as PayPal's `webhook_id`.
        name: the name of the endpoint; by default the name of the scheme.
        tolerance: the maximum difference in seconds between the signed time and the clock; by
            default the tolerance of the scheme.
        origin: the scheme and host of the URL that is registered at the vendor, if a proxy changes
            them.
        replay_guard: True to accept each delivery only once; without effect for a scheme with
            `only_hints`.
        handling: the maximum seconds for handling a delivery, after which the vendor's next
            delivery is accepted.
        remembered: the seconds for which the verifier remembers a handled delivery. By default
            three days, or longer if the scheme accepts older signed times; a shorter time is
            refused. If the scheme signs no time, a captured delivery is accepted again afterwards:
            `math.inf` remembers deliveries for ever, which requires a `storage`.
        storage: the store of deliveries; by default the memory of this verifier.
        http, async_http: fetch certificates, for the schemes that have them.
        observers, clock: the remaining ports. The vendor's signed time is compared with this clock.
    """

    def __init__(
        self,
        scheme: WebhookScheme | str,
        secrets: SecretsInput | WebhookSecrets | AsyncWebhookSecrets | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        name: str | None = None,
        tolerance: float | timedelta | None = None,
        origin: str | None = None,
        replay_guard: bool = True,
        handling: float | timedelta = _HANDLING_SECONDS,
        remembered: float | timedelta | None = None,
        storage: StateStorage | AsyncStateStorage | None = None,
        http: HttpClient | None = None,
        async_http: AsyncHttpClient | None = None,
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
    ) -> None:
        provider = _provider_in(secrets)
        fixed_secrets = () if provider is not None else read_secrets(secrets)
        settings = _Parameters(parameters or {})
        # A crash report shows the arguments of the frame that raises an error.
        del secrets, parameters
        chosen_scheme = scheme if isinstance(scheme, WebhookScheme) else webhook_scheme(scheme)
        service = Service(name or chosen_scheme.name, circuit=None, retry=None)
        super().__init__(service, storage=storage, observers=observers, clock=clock)
        self._sync_ports = attrs.evolve(self._sync_ports, http=http)
        self._async_ports = attrs.evolve(self._async_ports, http=async_http)
        check_sync_or_async(self._sync_ports, is_async=False)
        check_sync_or_async(self._async_ports, is_async=True)
        allowed_age = _tolerance(chosen_scheme, tolerance)
        guarded = replay_guard and not chosen_scheme.only_hints
        self._endpoint = Endpoint(
            name=service.name,
            scheme=chosen_scheme,
            parameters=settings.checked(chosen_scheme),
            verify_token=settings.verify_token,
            tolerance=allowed_age,
            origin=origin,
            guarded=guarded,
            lease=micros(seconds(handling, "handling")),
            ttl=_ttl(remembered, acceptable_for(allowed_age) if guarded else 0.0, stored=storage),
        )
        self._secrets = provider or _static_secrets(chosen_scheme, fixed_secrets)
        self._unclaimed = not guarded

    @property
    def _fixed_secrets(self) -> Callable[[str | None], tuple[Secret, ...]] | None:
        """Return a function that looks up a tenant's secrets; None if the secrets may change."""
        return self._secrets.secrets_of if type(self._secrets) is StaticWebhookSecrets else None

    @property
    def accepted(self) -> str:
        """The text of the response to an accepted webhook; empty for most vendors."""
        return self._endpoint.scheme.accepted

    @property
    def only_hints(self) -> bool:
        """True if equal webhooks are separate events, as each only reports that data changed."""
        return self._endpoint.scheme.only_hints

    @functools.cached_property
    def _sync_receiving(self) -> WebhookReceiver:
        get: Any = self._secrets.get
        if inspect.iscoroutinefunction(get):
            raise self._wrong_mode_error("a synchronous")
        return WebhookReceiver(
            self._sync_core,
            self._endpoint,
            as_async(guarded_port(get, credential_read_failure)),
            self._fixed_secrets,
        )

    @functools.cached_property
    def _async_receiving(self) -> WebhookReceiver:
        get: Any = self._secrets.get
        if isinstance(self._secrets, StaticWebhookSecrets):
            return WebhookReceiver(
                self._async_core, self._endpoint, as_async(get), self._fixed_secrets
            )
        if not inspect.iscoroutinefunction(get):
            raise self._wrong_mode_error("an asynchronous")
        return WebhookReceiver(
            self._async_core, self._endpoint, guarded_async(get, credential_read_failure)
        )

    def _wrong_mode_error(self, expected: str) -> ConfigurationError:
        return ConfigurationError(
            f"{type(self._secrets).__name__} cannot be used here: this call needs {expected}"
            " provider of secrets.",
            path="secrets",
            remedy="Use verify() with a synchronous provider, and averify() with an"
            " asynchronous provider. Secrets without a provider support both.",
        )

    def verify(
        self,
        *,
        headers: HeaderFields,
        body: bytes,
        url: str | None = None,
        method: str = "POST",
        tenant: str | None = None,
    ) -> tuple[WebhookEvent, ...]:
        """Return the events of a webhook, after checking that it is genuine, fresh and new.

        Args:
            headers: the headers as they came, as a mapping or as pairs with repeated headers.
            body: the raw bytes, before anything parsed them.
            url: the URL that it was sent to; some schemes sign it.
            method: the method of the request.
            tenant: the tenant of the endpoint.

        Raises:
            WebhookRejected: the delivery is forged, stale, replayed or malformed.
        """
        sync_receiving = self._sync_receiving
        if self._unclaimed:
            # No step waits here, so no flow is needed.
            events = sync_receiving.verify_on_fast_path(headers, body, tenant)
            if events is not None:
                sync_receiving.notify_received(events, tenant)
                return events
        return run_now(
            sync_receiving.verify(
                headers=headers,
                body=body,
                url=url,
                method=method,
                tenant=tenant,
                was_tried=self._unclaimed,
            )
        )

    async def averify(
        self,
        *,
        headers: HeaderFields,
        body: bytes,
        url: str | None = None,
        method: str = "POST",
        tenant: str | None = None,
    ) -> tuple[WebhookEvent, ...]:
        """Return the events of a webhook that is genuine, fresh and new; asynchronous."""
        return await self._async_receiving.verify(
            headers=headers, body=body, url=url, method=method, tenant=tenant
        )

    def done(self, events: WebhookEvent | Iterable[WebhookEvent]) -> None:
        """Mark these events as handled, so that repeats of their webhook are refused."""
        run_now(self._sync_receiving.settle(events, done=True))

    async def adone(self, events: WebhookEvent | Iterable[WebhookEvent]) -> None:
        """Mark these events as handled; asynchronous."""
        await self._async_receiving.settle(events, done=True)

    def release(self, events: WebhookEvent | Iterable[WebhookEvent]) -> None:
        """Mark these events as not handled, so that the vendor's next delivery is accepted."""
        run_now(self._sync_receiving.settle(events, done=False))

    async def arelease(self, events: WebhookEvent | Iterable[WebhookEvent]) -> None:
        """Mark these events as not handled; asynchronous."""
        await self._async_receiving.settle(events, done=False)

    def confirm(self, event: WebhookEvent) -> bool:
        """Follow the link that confirms a subscription; return whether the event had one."""
        return run_now(self._sync_receiving.confirm(event))

    async def aconfirm(self, event: WebhookEvent) -> bool:
        """Follow the link that confirms a subscription; asynchronous."""
        return await self._async_receiving.confirm(event)

    def receive(
        self,
        *,
        headers: HeaderFields,
        body: bytes,
        url: str | None = None,
        method: str = "POST",
        tenant: str | None = None,
    ) -> Receipt:
        """Verify a webhook for a `with` or `async with` block, which handles its events.

        The events are marked as done when the block ends, and released if it raises.
        """
        request = {"headers": headers, "body": body, "url": url, "method": method, "tenant": tenant}
        return Receipt(self, request)


class Receipt:
    """A webhook that is verified at the start of a `with` block and settled at its end."""

    def __init__(self, verifier: WebhookVerifier, request: dict[str, Any]) -> None:
        self._verifier = verifier
        self._given = request
        self._events: tuple[WebhookEvent, ...] = ()

    def __enter__(self) -> tuple[WebhookEvent, ...]:
        self._events = self._verifier.verify(**self._given)
        return self._events

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        settle = self._verifier.done if kind is None else self._verifier.release
        settle(self._events)

    async def __aenter__(self) -> tuple[WebhookEvent, ...]:
        self._events = await self._verifier.averify(**self._given)
        return self._events

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        settle = self._verifier.adone if kind is None else self._verifier.arelease
        await settle(self._events)


def _provider_in(secrets: Any) -> WebhookSecrets | AsyncWebhookSecrets | None:
    """Return the provider of secrets; None if the secrets themselves were given."""
    return secrets if callable(getattr(secrets, "get", None)) else None


def _static_secrets(scheme: WebhookScheme, secrets: tuple[Secret, ...]) -> StaticWebhookSecrets:
    if not secrets and scheme.certificate is None:
        raise no_secrets_error()
    # An invalid secret is refused now, not when the first webhook arrives.
    keys_for(scheme, secrets)
    return StaticWebhookSecrets({None: secrets} if secrets else {})


class _Parameters:
    """The parameters of a verifier's signature scheme, which may include a secret."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.parameters = dict(parameters)
        token = self.parameters.pop(_VERIFY_TOKEN, None)
        self.verify_token = next(iter(read_secrets(token)), None)

    def checked(self, scheme: WebhookScheme) -> dict[str, str]:
        """Check that the scheme accepts the parameters, and return those that are not secret."""
        parameters = self.parameters
        parameter_names = {*parameters, *([_VERIFY_TOKEN] if self.verify_token else [])}
        if parameter_names == scheme.parameters and all(
            isinstance(value, str) and value.strip() for value in parameters.values()
        ):
            return parameters
        names = ", ".join(sorted(scheme.parameters)) or "none"
        raise ConfigurationError(
            f"The parameters do not match the scheme {scheme.name!r}.",
            path="parameters",
            remedy=f"Pass a string for each of these parameters: {names}.",
        )


def _tolerance(scheme: WebhookScheme, tolerance: float | timedelta | None) -> float | None:
    if tolerance is None:
        return scheme.tolerance
    if scheme.tolerance is None:
        raise ConfigurationError(
            f"The scheme {scheme.name!r} does not sign a timestamp, so a tolerance has no effect.",
            path="tolerance",
            remedy="Remove the tolerance; the replay guard protects against replays.",
        )
    return seconds(tolerance, "tolerance")


def _ttl(remembered: float | timedelta | None, least: float, *, stored: object) -> int:
    """Return the microseconds for which a handled webhook is remembered."""
    if remembered is None:
        return micros(max(_REMEMBERED_SECONDS, least))
    if remembered == math.inf:
        if stored is None:
            raise ConfigurationError(
                "The memory of a process cannot remember handled webhooks for ever.",
                path="remembered",
                remedy="Pass a store that outlives the process, or a number of seconds.",
            )
        return FOREVER
    duration = seconds(remembered, "remembered")
    if duration < least:
        raise ConfigurationError(
            f"Handled webhooks would be remembered for {duration:g} seconds, but their"
            f" timestamp is accepted for {least:g} seconds, so a delivery could be handled"
            " twice.",
            path="remembered",
            remedy=f"Set at least {least:g} seconds, or a smaller tolerance.",
        )
    return micros(duration)
