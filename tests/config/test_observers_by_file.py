"""The observers that a configuration file turns on."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import moorage
from moorage import ConfigurationError
from moorage.adapters.observers.opentelemetry import OpenTelemetryObserver
from moorage.adapters.observers.prometheus import PrometheusObserver
from moorage.adapters.observers.sentry import SentryObserver
from moorage.adapters.observers.standard_logging import LoggingObserver
from moorage.config.observers import ObserverSettings

ALL: dict[str, Any] = dict.fromkeys(("logging", "opentelemetry", "prometheus", "sentry"), True)


def test_observer_setting_that_is_true_opens_an_observer() -> None:
    """Each observer setting that is true opens an observer, followed by configured functions."""
    observers = ObserverSettings(**ALL, functions=print).open()

    assert [
        LoggingObserver,
        OpenTelemetryObserver,
        PrometheusObserver,
        SentryObserver,
    ] == [type(observer) for observer in observers[:-1]]
    assert print is observers[-1]
    assert () == ObserverSettings(functions=()).open()


def test_configured_observers_receive_events(caplog: pytest.LogCaptureFixture) -> None:
    """A hub installs the observers that its configuration names."""
    seen_events: list[Any] = []
    caplog.set_level("INFO", "moorage")
    source = {
        "services": {"tax": {}},
        "observers": {"logging": True, "functions": [seen_events.append]},
    }
    with moorage.open(source) as hub:
        hub.manager.run("tax", lambda: None)
    with moorage.open(source, observers=()) as hub:
        hub.manager.run("tax", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == [
        type(event).__name__ for event in seen_events
    ]
    assert 1 == len(caplog.records)


def test_missing_package_of_an_observer_is_reported_before_opening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A configured observer whose package is missing is reported before anything is opened."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open({"observers": {"prometheus": True}})

    assert (excinfo.value.path or "").startswith("observers")
