"""The values that are read to assess the health of a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.monitoring.health import Backlog, Expiry
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen(kw_only=True)
class ProbeReading:
    """The last result of a health probe.

    Attributes:
        error: the error, as a sentence; None after a success.
        failures: the number of failures in a row.
        threshold: the number of failures in a row from which the service counts as unavailable.
    """

    error: str | None = None
    failures: int = 0
    threshold: int = 2


@frozen(kw_only=True)
class TokenReading:
    """A failed renewal of an OAuth token, which affects the health of its service.

    Attributes:
        consent: true if a person must authorise the application again.
        still_works: true if the old token is still valid.
    """

    consent: bool = False
    still_works: bool = False


@frozen(kw_only=True)
class TenantRecordsReading:
    """A tenant's number of idempotency records, when it is near the limit.

    Attributes:
        used: the number of records in use.
        bound: the maximum number.
    """

    used: int
    bound: int


@frozen(kw_only=True)
class Signals:
    """The current problems that events of a process have reported.

    Attributes:
        outages: the reason as a sentence, by the name of the store that does not respond.
        separate_keys: true if idempotency keys have a store of their own.
        tokens: the token that could not be renewed, by service.
        lost_entries: the number of entries that the integration log has lost.
        near_bound: the idempotency records of tenants when they came near their bound.
    """

    outages: Mapping[str, str] = field(factory=dict[str, str])
    tokens: Mapping[str, TokenReading] = field(factory=dict[str, TokenReading])
    lost_entries: int = 0
    near_bound: Mapping[str, TenantRecordsReading] = field(factory=dict[str, TenantRecordsReading])


@frozen(kw_only=True)
class ServiceReading:
    """The shared state of a service or region, from which its health is assessed.

    Attributes:
        service: the name of the service.
        region: the region; None if the service has none.
        tenant: the tenant whose state was read; None for the state without a tenant.
        circuit: the state of the circuit; None without a circuit.
        retry_after: seconds until an open circuit admits a probe.
        failures: the number of failures that the circuit has counted.
        waits: seconds to wait for each rate limit.
        pause: remaining seconds of a pause that the vendor asked for.
        retries: true if the retry budget allows a retry, or there is none.
        problem: the reason why the state could not be read, as a sentence; None if it was read.
        probe: the last result of its probe, if it has one.
        token: set if its token could not be renewed.
    """

    service: str
    region: str | None = None
    tenant: str | None = None
    circuit: str | None = None
    retry_after: float | None = None
    failures: int | None = None
    waits: tuple[float, ...] = ()
    pause: float = 0.0
    retries: bool = True
    problem: str | None = None
    probe: ProbeReading | None = None
    token: TokenReading | None = None


@frozen(kw_only=True)
class HealthReadings:
    """Everything that was read for the assessment of a hub's health.

    Attributes:
        services: the state of each service.
        queues: the backlog of each outbox and inbox, by name.
        unsettled: the number of payments with an unknown outcome.
        unknown_keys: the number of other idempotency keys with an unknown outcome, as far as the
            integration log has recent calls under them.
        outages: the reason as a sentence, by the name of the store that does not respond.
        separate_keys: true if idempotency keys have a store of their own.
        lost_entries: the number of entries that the integration log has lost.
        expiries: certificates and secrets with a known expiry time.
        records: the idempotency records of tenants that have been near their bound.
    """

    services: tuple[ServiceReading, ...] = ()
    queues: Mapping[str, Backlog] = field(factory=dict[str, Backlog])
    unsettled: int = 0
    unknown_keys: int = 0
    outages: Mapping[str, str] = field(factory=dict[str, str])
    separate_keys: bool = False
    lost_entries: int = 0
    expiries: tuple[Expiry, ...] = ()
    records: Mapping[str, TenantRecordsReading] = field(factory=dict[str, TenantRecordsReading])
