"""The observers for logging, structlog and Sentry, with the real libraries."""

from __future__ import annotations

import io
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
import sentry_sdk
import structlog

from moorage import (
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectorManager,
    ConsentNeeded,
    Request,
    Response,
    Service,
    VendorFailed,
)
from moorage.adapters.observers._description import ERROR, INFO, WARNING, fields_of, level_of
from moorage.adapters.observers.sentry import SentryObserver
from moorage.adapters.observers.standard_logging import LoggingObserver
from moorage.domain.observation.events import CircuitChanged, Event, TokenRenewed
from moorage.domain.resilience.circuit import CircuitState
from tests.adapters.observed import ANSWERS, CANARY, CREDENTIALS, OPENS_AT_ONCE, manager_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_records_have_fields(caplog: pytest.LogCaptureFixture) -> None:
    """LoggingObserver writes each event as a record with message, level and the event's fields."""
    caplog.set_level(logging.DEBUG, "moorage")
    manager, _ = manager_of(LoggingObserver(), *ANSWERS)

    manager.call("erp", Request.get(f"/invoices/{CANARY}"), request_id="order-7")

    records: list[Any] = caplog.records
    assert "CallStarted" == records[0].moorage_event
    last_record = records[-1]
    assert (logging.INFO, "erp", "invoice", "order-7", 2) == (
        last_record.levelno,
        last_record.moorage_service,
        last_record.moorage_operation,
        last_record.moorage_request_id,
        last_record.moorage_attempts,
    )
    assert last_record.getMessage().startswith("CallFinished erp invoice: succeeded after ")
    assert any("attempt 1 VendorFailed after" in record.getMessage() for record in records)
    assert any(
        record.getMessage() == "RetryScheduled erp invoice: VendorFailed" for record in records
    )
    assert CANARY not in str([vars(record) for record in records])


def test_records_below_the_level_of_the_logger_are_not_created(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """LoggingObserver creates no record with a level lower than the logger's."""
    logger = logging.getLogger("shop.vendors")
    caplog.set_level(logging.ERROR, "shop.vendors")
    manager, _ = manager_of(
        LoggingObserver(logger), Response(503), circuit=OPENS_AT_ONCE, retry=None
    )

    with pytest.raises(VendorFailed):
        manager.call("erp", Request.get("/stock"))
    with pytest.raises(CircuitBreakerOpen):
        manager.call("erp", Request.get("/stock"))

    assert ["CallFinished"] * 2 == [record.moorage_event for record in caplog.records]  # type: ignore[attr-defined]  # an extra of the observer


def test_cancelled_call_is_not_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """A cancelled call is logged as cancelled, not as an error."""
    caplog.set_level(logging.INFO, "moorage")
    manager = ConnectorManager([Service("tax")], observers=[LoggingObserver()])

    def be_interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.run("tax", be_interrupted)

    assert "CallFinished tax: cancelled after" in caplog.text
    assert {logging.INFO} == {record.levelno for record in caplog.records}


def test_opened_circuit_is_a_warning_and_needed_consent_an_error() -> None:
    """LoggingObserver logs an opened circuit as a warning, and a needed consent as an error."""
    opened_event = CircuitChanged(at=NOW, service="erp", circuit="erp", state=CircuitState.OPEN)
    closed_event = CircuitChanged(at=NOW, service="erp", state=CircuitState.CLOSED)

    assert (WARNING, INFO) == (level_of(opened_event), level_of(closed_event))
    assert ERROR == level_of(ConsentNeeded(at=NOW, service="erp", reason="revoked"))
    assert INFO == level_of(TokenRenewed(at=NOW, service="erp", duration=0.2, attempts=1))
    assert {
        "at": "2026-01-01T00:00:00+00:00",
        "service": "erp",
        "circuit": "erp",
        "state": "open",
        "by_hand": False,
    } == fields_of(opened_event)
    malformed_event: Any = Event(at=NOW, service=("not", "text"))  # type: ignore[arg-type]  # as a port may
    assert "('not', 'text')" == fields_of(malformed_event)["service"]


def test_structlog_writes_the_fields() -> None:
    """The formatter of structlog shows the fields of the records of LoggingObserver."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ExtraAdder(),
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ]
        )
    )
    logger = logging.getLogger("shop.structured")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    manager = ConnectorManager([Service("tax")], observers=[LoggingObserver(logger)])

    manager.run("tax", lambda: None)

    line = json.loads(stream.getvalue())
    assert ("tax", "CallFinished", 1) == (
        line["moorage_service"],
        line["moorage_event"],
        line["moorage_attempts"],
    )


@pytest.mark.parametrize("form", CREDENTIALS)
def test_breadcrumbs_have_no_secrets(form: str) -> None:
    """SentryObserver adds a breadcrumb for each event from INFO on, without secrets or paths."""
    manager, _ = manager_of(SentryObserver(), *ANSWERS, credentials=CREDENTIALS[form])

    with sentry_sdk.isolation_scope() as scope:
        scope.clear_breadcrumbs()
        client = sentry_sdk.Client(dsn=None, default_integrations=False)
        scope.set_client(client)
        with sentry_sdk.new_scope() as inner_scope:
            inner_scope.set_client(client)
            manager.call("erp", Request.get(f"/invoices/{CANARY}"))
        crumbs = list(scope._breadcrumbs)  # noqa: SLF001 - there is no other way to read them

    assert ["RetryScheduled erp invoice", "CallFinished erp invoice"] == [
        fields["message"] for fields in crumbs
    ]
    assert CANARY not in str(crumbs)


def test_package_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sentry-sdk installed, the error names the pip extra to install."""
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)

    with pytest.raises(ConfigurationError, match=r"sentry-sdk.*\[sentry\]"):
        SentryObserver()
