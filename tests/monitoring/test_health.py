"""The assessment of health: each measurement leads to a state with a reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConfigurationError, StorageUnavailable
from moorage.domain.monitoring.assessment import as_of, assess_health, unreadable_health
from moorage.domain.monitoring.health import (
    Backlog,
    Expiry,
    Health,
    HealthConcern,
    HealthPolicy,
    HealthState,
)
from moorage.domain.monitoring.probes import Probe
from moorage.domain.monitoring.readings import (
    HealthReadings,
    ProbeReading,
    ServiceReading,
    TenantRecordsReading,
    TokenReading,
)
from moorage.domain.monitoring.settings import HealthSettings

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
HEALTHY, DEGRADED = HealthState.HEALTHY, HealthState.DEGRADED
UNAVAILABLE, UNKNOWN = HealthState.UNAVAILABLE, HealthState.UNKNOWN


def service(**fields: Any) -> ServiceReading:
    """Return the reading of a service with a closed circuit, with these fields changed."""
    options: dict[str, Any] = {"service": "vat", "circuit": "closed", **fields}
    return ServiceReading(**options)


def assess_readings(*services: ServiceReading, **fields: Any) -> Health:
    """Return the health that the default policy assesses from these readings."""
    return assess_health(HealthReadings(services=services, **fields), NOW, HealthPolicy())


@pytest.mark.parametrize(
    "reading, state, concern, text",
    [
        (
            {"circuit": "open", "failures": 5, "retry_after": 41.7},
            UNAVAILABLE,
            HealthConcern.CIRCUIT_OPEN,
            (
                "The circuit is open after 5 failures, so calls are refused. The next attempt"
                " follows in 42 s."
            ),
        ),
        (
            {"circuit": "open", "failures": 1, "retry_after": 2.0},
            UNAVAILABLE,
            HealthConcern.CIRCUIT_OPEN,
            (
                "The circuit is open after 1 failure, so calls are refused. The next attempt"
                " follows in 2 s."
            ),
        ),
        (
            {"circuit": "open", "failures": 0, "retry_after": 41.7},
            UNAVAILABLE,
            HealthConcern.CIRCUIT_OPEN,
            "The circuit is open, so calls are refused. The next attempt follows in 42 s.",
        ),
        (
            {"circuit": "forced_open"},
            UNAVAILABLE,
            HealthConcern.CIRCUIT_OPEN,
            "The circuit was opened by hand, so all calls are refused.",
        ),
        (
            {"circuit": "half_open"},
            DEGRADED,
            HealthConcern.CIRCUIT_PROBING,
            "The circuit admits a few calls to test whether the service works again.",
        ),
        (
            {"pause": 90.0, "waits": (90.0,)},
            DEGRADED,
            HealthConcern.VENDOR_PAUSE,
            "The vendor asked for a pause. 90 s of it are left.",
        ),
        (
            {"waits": (0.0, 30.0)},
            DEGRADED,
            HealthConcern.LIMIT_SPENT,
            "The rate limit is used up: the next call waits for 30 s.",
        ),
        (
            {"retries": False},
            DEGRADED,
            HealthConcern.BUDGET_SPENT,
            "The retry budget is used up, so failed calls are not retried.",
        ),
        (
            {"probe": ProbeReading(error="It is down.", failures=1)},
            DEGRADED,
            HealthConcern.PROBE_FAILED,
            "The probe failed once: It is down.",
        ),
        (
            {"probe": ProbeReading(error="It is down.", failures=2)},
            UNAVAILABLE,
            HealthConcern.PROBE_FAILED,
            "The probe failed 2 times in a row: It is down.",
        ),
        (
            {"token": TokenReading(consent=True)},
            UNAVAILABLE,
            HealthConcern.CONSENT_NEEDED,
            "The OAuth grant has ended: a person must authorise the application again.",
        ),
        (
            {"token": TokenReading(still_works=True)},
            DEGRADED,
            HealthConcern.TOKEN_NOT_RENEWED,
            "The access token could not be renewed; the old token is still valid.",
        ),
        (
            {"token": TokenReading()},
            UNAVAILABLE,
            HealthConcern.TOKEN_NOT_RENEWED,
            "The access token could not be renewed; the old token has expired.",
        ),
        (
            {"circuit": None, "problem": "The store is away."},
            UNKNOWN,
            HealthConcern.UNREADABLE,
            "The state of the service cannot be read: The store is away.",
        ),
        (
            {"circuit": None},
            UNKNOWN,
            HealthConcern.UNOBSERVED,
            "Nothing monitors the service: it has no circuit and no probe.",
        ),
    ],
)
def test_problem_of_a_service_gives_its_state_and_a_reason(
    reading: dict[str, Any], state: HealthState, concern: HealthConcern, text: str
) -> None:
    """Each problem has a state, and a reason that describes the problem and a remedy."""
    (result,) = assess_readings(service(**reading)).services
    (reason,) = result.reasons

    assert (state, state) == (result.state, reason.state)
    assert (concern, text) == (reason.concern, reason.text)
    assert "vat" == reason.part
    assert reason.remedy.endswith(".")


@pytest.mark.parametrize(
    "reading, command",
    [
        ({"circuit": "forced_open"}, "circuit reset vat"),
        ({"circuit": "forced_open", "region": "eu"}, "circuit reset vat --region eu"),
        ({"circuit": "forced_open", "tenant": "A & B"}, "circuit reset vat --tenant 'A & B'"),
        ({"pause": 9.0, "region": "eu", "tenant": "acme"}, "limits reset vat --tenant acme"),
    ],
)
def test_remedy_names_the_region_and_the_tenant(reading: dict[str, Any], command: str) -> None:
    """The command in a remedy changes the state of the region and tenant that was read."""
    (result,) = assess_readings(service(**reading)).services

    assert f"`moorage {command}`" in result.reasons[0].remedy


@pytest.mark.parametrize(
    "reading",
    [
        {},
        {"circuit": "disabled"},
        {"waits": (10.0,)},
        {"probe": ProbeReading()},
        {"circuit": None, "probe": ProbeReading()},
    ],
)
def test_service_without_problems_is_healthy(reading: dict[str, Any]) -> None:
    """A service without problems is healthy, and has no reason."""
    health = assess_readings(service(**reading))

    assert (HEALTHY, ()) == (health.services[0].state, health.all_reasons)
    assert health.state is HEALTHY
    assert health.is_ready


def test_worst_reason_comes_first() -> None:
    """If a service has several problems, the worst one is named first and decides the state."""
    reading = service(circuit="open", retry_after=1.0, failures=5, retries=False)
    (result,) = assess_readings(reading).services

    assert UNAVAILABLE is result.state
    assert [HealthConcern.CIRCUIT_OPEN, HealthConcern.BUDGET_SPENT] == [
        r.concern for r in result.reasons
    ]


@pytest.mark.parametrize(
    "fields, state, concern, text",
    [
        (
            {"outages": {"claims": "It is gone."}},
            UNAVAILABLE,
            HealthConcern.STORE_UNREACHABLE,
            "The store 'claims' does not answer: It is gone.",
        ),
        (
            {"queues": {"outbox": Backlog(problem="It is gone.")}},
            UNAVAILABLE,
            HealthConcern.STORE_UNREACHABLE,
            "The outbox cannot be read: It is gone.",
        ),
        (
            {"queues": {"outbox": Backlog(dead=1)}},
            DEGRADED,
            HealthConcern.DEAD_LETTERS,
            "1 entry of the outbox was given up.",
        ),
        (
            {"queues": {"inbox": Backlog(dead=100, more=True)}},
            DEGRADED,
            HealthConcern.DEAD_LETTERS,
            "At least 100 entries of the inbox were given up.",
        ),
        (
            {"queues": {"outbox": Backlog(unknown=1)}},
            DEGRADED,
            HealthConcern.UNKNOWN_OUTCOMES,
            "1 entry of the outbox has an unknown outcome.",
        ),
        (
            {"queues": {"outbox": Backlog(unknown=2)}},
            DEGRADED,
            HealthConcern.UNKNOWN_OUTCOMES,
            "2 entries of the outbox have an unknown outcome.",
        ),
        (
            {"queues": {"outbox": Backlog(late=301.0)}},
            DEGRADED,
            HealthConcern.LATE_ENTRIES,
            "An entry of the outbox has been due for 301 s.",
        ),
        (
            {"unsettled": 2},
            DEGRADED,
            HealthConcern.UNKNOWN_OUTCOMES,
            "The outcome of 2 payments is unknown.",
        ),
        (
            {"unknown_keys": 1},
            DEGRADED,
            HealthConcern.UNKNOWN_OUTCOMES,
            "The outcome of 1 idempotency key is unknown.",
        ),
        (
            {"lost_entries": 1},
            DEGRADED,
            HealthConcern.LOG_ENTRIES_LOST,
            "The integration log could not store 1 entry.",
        ),
        (
            {"records": {"acme": TenantRecordsReading(used=800, bound=1_000)}},
            DEGRADED,
            HealthConcern.TENANT_RECORDS,
            (
                "The tenant acme uses 800 of 1,000 idempotency records. At the limit, its"
                " calls with new keys are refused."
            ),
        ),
        (
            {"expiries": (Expiry("key of the bank", NOW + timedelta(days=3, hours=1)),)},
            DEGRADED,
            HealthConcern.EXPIRES_SOON,
            "The key of the bank expires on 2026-11-26, in 3 days.",
        ),
        (
            {"expiries": (Expiry("key of the bank", NOW),)},
            UNAVAILABLE,
            HealthConcern.EXPIRED,
            "The key of the bank expired on 2026-11-23.",
        ),
    ],
)
def test_problem_outside_all_services_degrades_overall_health(
    fields: dict[str, Any], state: HealthState, concern: HealthConcern, text: str
) -> None:
    """A problem outside all services degrades the overall health; its reason has a remedy."""
    health = assess_readings(service(), **fields)
    (reason,) = health.reasons

    assert DEGRADED is health.state
    assert (state, concern, text) == (reason.state, reason.concern, reason.text)
    assert reason.remedy.endswith((".", "lost."))


def test_short_backlog_and_distant_expiry_are_healthy() -> None:
    """A short backlog and a distant certificate expiry are not reported."""
    later_expiries = (Expiry("key of the bank", NOW + timedelta(days=15)),)

    assert (
        HEALTHY
        is assess_readings(queues={"outbox": Backlog(late=300.0)}, expiries=later_expiries).state
    )


def test_one_unavailable_service_degrades_overall_health() -> None:
    """One unavailable service degrades the overall health; only if all are, it is unavailable."""
    down = service(service="bank", circuit="forced_open")

    assert (DEGRADED, True) == (
        assess_readings(service(), down).state,
        assess_readings(service(), down).is_ready,
    )
    assert (UNAVAILABLE, False) == (assess_readings(down).state, assess_readings(down).is_ready)


@pytest.mark.parametrize("required", ["bank", ("state", "bank")])
def test_overall_health_is_unavailable_if_required_service_is(
    required: str | tuple[str, ...],
) -> None:
    """The overall health is unavailable if a required service is."""
    down = service(service="bank", circuit="forced_open")
    readings = HealthReadings(services=(service(), down))

    assert UNAVAILABLE is assess_health(readings, NOW, HealthPolicy(required=required)).state
    assert DEGRADED is assess_health(readings, NOW, HealthPolicy(required=("vat",))).state


def test_required_service_that_is_degraded_degrades_overall_health() -> None:
    """A required service that is only degraded leaves the overall health degraded."""
    readings = HealthReadings(services=(service(retries=False),))

    assert DEGRADED is assess_health(readings, NOW, HealthPolicy(required="vat")).state


def test_overall_health_is_unknown_if_every_service_is_unknown() -> None:
    """Overall health is unknown if every service is unknown, and healthy if there are none."""
    unobserved = service(circuit=None)

    assert UNKNOWN is assess_readings(unobserved).state
    assert HEALTHY is assess_readings(unobserved, service(service="bank")).state
    assert HEALTHY is assess_readings().state


@given(
    st.lists(
        st.builds(
            service,
            circuit=st.sampled_from([None, "closed", "open", "half_open", "forced_open"]),
            waits=st.tuples(st.floats(0, 100)),
            retries=st.booleans(),
        ),
        max_size=5,
    ),
    st.integers(0, 3),
)
def test_unhealthy_state_has_a_reason_and_a_healthy_one_has_none(
    services: list[ServiceReading], unsettled: int
) -> None:
    """A healthy state has no problem, an unhealthy one has a reason, and JSON lists all reasons."""
    health = assess_readings(*services, unsettled=unsettled)
    troubles = {reason.state for reason in health.all_reasons} - {UNKNOWN}
    document = json.loads(json.dumps(health.as_dict()))
    reasons = [r for s in document["services"] for r in s["reasons"]] + document["reasons"]

    assert (health.state in {HEALTHY, UNKNOWN}) == (not troubles)
    assert [reason.text for reason in health.all_reasons] == [reason["text"] for reason in reasons]
    for result in health.services:
        assert (result.state is HEALTHY) == (not result.reasons)


def test_health_becomes_unknown_if_checks_have_stopped() -> None:
    """If checks have stopped, the last health becomes unknown."""
    health = assess_readings(service())

    assert health is as_of(health, NOW + timedelta(seconds=30), 30.0)
    old_health = as_of(health, NOW + timedelta(seconds=31), 30.0)
    assert (UNKNOWN, False) == (old_health.state, old_health.is_ready)
    assert "The health was not checked for 31 s." == old_health.reasons[0].text


def test_failed_check_hides_foreign_texts() -> None:
    """A failed check is reported with its error class; only moorage's own messages are shown."""
    own_health = unreadable_health(StorageUnavailable("The store is away."), NOW)
    failed_check = unreadable_health(RuntimeError("password=swordfish"), NOW)

    assert "The health could not be checked: The store is away." == own_health.reasons[0].text
    assert "The health could not be checked: RuntimeError." == failed_check.reasons[0].text


def test_health_without_time_zone_or_with_duplicate_probes_is_refused() -> None:
    """Health values with a time without a time zone, or two probes of one service, are refused."""
    with pytest.raises(ConfigurationError, match="has no time zone"):
        Expiry("key", datetime(2027, 1, 1))  # noqa: DTZ001 - on purpose
    probe = Probe(service="vat", request="/health")
    with pytest.raises(ConfigurationError, match="has two probes"):
        HealthSettings(probes=[probe, probe])
