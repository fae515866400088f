"""The exported dashboard and alert rules work in a real Prometheus, for a run with faults."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.openmetrics import exposition

from moorage import (
    BulkheadShrank,
    ConnectorManager,
    LogEntriesLost,
    PipelineState,
    PipelineStatistics,
    Service,
    TenantRecordsNearBound,
)
from moorage.adapters.observers.prometheus import PrometheusObserver
from moorage.domain.connectors.pool_statistics import ConnectorPool, PoolStatistics
from moorage.domain.observation.events import ConnectorChecked
from moorage.exporting import grafana_dashboard, prometheus_rules
from tests.telemetry.faulted_run import START, FaultedRun
from tests.telemetry.prometheus_server import Prometheus, prometheus, promtool

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moorage import Event

STEP: Final = timedelta(seconds=15)
LATER: Final = timedelta(hours=1, minutes=20)


class Sampler:
    """Counts events, and writes all metrics every fifteen seconds of the run's virtual time."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.observer = PrometheusObserver(self._registry)
        self._next = START
        # The sources of pools are held weakly.
        self._pools = BusyPools()
        self.observer.watch_pools(self._pools)
        self._pipeline = BusyPipeline()
        self.observer.watch_pipeline(self._pipeline)
        self.lines: list[str] = []

    def __call__(self, event: Event, /) -> None:
        """Count an event, after writing all samples that are due before it."""
        while event.at >= self._next:
            if self._next == START + 4 * STEP:
                self.observer(LogEntriesLost(at=self._next, service="log", entries=3, total=3))
                self.observer(
                    TenantRecordsNearBound(
                        at=self._next, service="pay", tenant="acme", used=80, bound=100
                    )
                )
                self._pools.waiting = 2
            self.observer(BulkheadShrank(at=self._next, service="erp", limit=3))
            if self._next in {START + 2 * STEP, START + 5 * STEP, START + 8 * STEP}:
                state = "unavailable" if self._next == START + 5 * STEP else "healthy"
                self.observer(
                    ConnectorChecked(at=self._next, service="erp", connector="erp", state=state)
                )
            self._sample(self._next)
            self._next += STEP
        self.observer(event)

    def end(self) -> datetime:
        """Write the last sample, and return its time."""
        self._sample(self._next)
        return self._next

    def _sample(self, at: datetime) -> None:
        self._pipeline.samples += 1
        text = exposition.generate_latest(self._registry).decode()  # type: ignore[no-untyped-call]  # the client's
        for line in text.splitlines():
            if not line.startswith("#"):
                sample = line.partition(" # ")[0]
                name, value = sample.rsplit(" ", 1) if "}" not in sample else _sample_parts(sample)
                self.lines.append(f"{name} {value} {at.timestamp():.0f}")


class BusyPools:
    """A database pool for which callers have to wait in the later part of the run."""

    waiting = 0

    def pools(self) -> tuple[ConnectorPool, ...]:
        """Return the pool."""
        statistics = PoolStatistics(active=2, idle=1, waiting=self.waiting, maximum=3)
        return (ConnectorPool("erp", "sql", statistics),)


class BusyPipeline:
    """A pipeline whose source fails later in the run, while dead letters are added."""

    name = "orders"
    samples = 0

    def statistics(self) -> PipelineStatistics:
        """Return statistics that grow with each sample."""
        is_lost = self.samples > 4
        return PipelineStatistics(
            state=PipelineState.RECONNECTING if is_lost else PipelineState.RUNNING,
            received=100 * self.samples,
            processed=90 * self.samples,
            failed=self.samples,
            dead_letters=self.samples - 4 if is_lost else 0,
            records_in_flight=7,
            lag=120,
            batches=self.samples,
            processing_duration=0.5 * self.samples,
        )


def _sample_parts(sample: str) -> tuple[str, str]:
    name, _, sample_rest = sample.rpartition("}")
    return f"{name}}}", sample_rest.split()[0]


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Prometheus, datetime]]:
    """Yield a Prometheus with the samples of a run, and the time of the last sample."""
    folder = tmp_path_factory.mktemp("prometheus")
    sampler = Sampler()
    FaultedRun(1_000, sampler).run()
    end = sampler.end()
    samples = folder / "samples.txt"
    samples.write_text("\n".join([*sampler.lines, "# EOF", ""]), "utf-8")
    rules = folder / "rules.json"
    rules.write_text(json.dumps(prometheus_rules()), "utf-8")
    data = folder / "data"
    promtool("tsdb", "create-blocks-from", "openmetrics", str(samples), str(data))
    with prometheus(folder, {"rule_files": [str(rules)]}) as server:
        yield server, end


def expressions() -> dict[str, str]:
    """Return each expression of the dashboard and the recording rules by title or name."""
    dashboard, rules = grafana_dashboard(), prometheus_rules()
    panel_queries = {
        f"{panel['title']}: {target['legendFormat']}": target["expr"].replace("$service", ".+")
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }
    records = {rule["record"]: rule["expr"] for rule in rules["groups"][0]["rules"]}
    return panel_queries | records


def alerts() -> dict[str, str]:
    """Return the expression of each alert."""
    return {rule["alert"]: rule["expr"] for rule in prometheus_rules()["groups"][1]["rules"]}


def _values(server: tuple[Prometheus, datetime], expression: str) -> list[Any]:
    """Return the time series of an expression during the run and for a while after it."""
    prometheus_of_run, end = server
    result: list[Any] = prometheus_of_run.get(
        "query_range",
        query=expression,
        start=START.timestamp(),
        end=(end + LATER).timestamp(),
        step=STEP.total_seconds(),
    )["result"]
    return result


@pytest.mark.parametrize("title", expressions())
def test_expressions_have_values(title: str, server: tuple[Prometheus, datetime]) -> None:
    """Every dashboard expression and recording rule has values during the run."""
    series = _values(server, expressions()[title])

    numbers = {float(value) for line in series for _, value in line["values"]}
    assert any(number > 0 for number in numbers)


@pytest.mark.parametrize("name", alerts())
def test_every_alert_fires_in_run_with_each_kind_of_fault(
    name: str, server: tuple[Prometheus, datetime]
) -> None:
    """Every alert fires in a run with each kind of fault, but not at its start."""
    series = _values(server, alerts()[name])

    assert series
    assert START.timestamp() < min(line["values"][0][0] for line in series)


def test_alerts_name_the_fault(server: tuple[Prometheus, datetime]) -> None:
    """Alerts name the services whose vendors failed, and no other service."""

    def labels_of(name: str, label: str) -> set[str]:
        return {line["metric"][label] for line in _values(server, alerts()[name])}

    assert {"bank", "post", "fax"} == labels_of("MoorageCircuitOpened", "circuit")
    assert {"sms"} == labels_of("MoorageRetryBudgetSpent", "service")
    assert "pay" in labels_of("MoorageOutcomeUnknown", "service")
    assert not {"maps", "tiles", "stock"} & labels_of("MoorageCallsFail", "service")
    assert {"maps"} == labels_of("MoorageCallsWait", "service")


def test_rules_are_loaded(server: tuple[Prometheus, datetime], tmp_path: Path) -> None:
    """Promtool and Prometheus accept the exported file of rules."""
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(prometheus_rules()), "utf-8")

    number = sum(len(group["rules"]) for group in prometheus_rules()["groups"])
    assert f"SUCCESS: {number} rules found" in promtool("check", "rules", str(file))
    groups = server[0].get("rules")["groups"]
    assert number == sum(len(group["rules"]) for group in groups)


def test_exemplars_are_scraped(tmp_path: Path) -> None:
    """Prometheus reads correlation ids of calls as exemplars."""
    registry = CollectorRegistry()
    manager = ConnectorManager([Service("tax")], observers=[PrometheusObserver(registry)])
    manager.run("tax", lambda: None, request_id="order-7")
    http, thread = start_http_server(0, "127.0.0.1", registry)
    target = f"127.0.0.1:{http.server_port}"
    scrape = {
        "job_name": "shop",
        "scrape_interval": "100ms",
        "scrape_timeout": "100ms",
        "static_configs": [{"targets": [target]}],
    }
    try:
        with prometheus(tmp_path, {"scrape_configs": [scrape]}) as server:
            end = 4_000_000_000
            exemplar_series = server.wait_for_result(
                "query_exemplars", query="moorage_call_duration_seconds_bucket", start=0, end=end
            )
    finally:
        http.shutdown()
        http.server_close()
        thread.join()

    (series,) = exemplar_series
    assert "tax" == series["seriesLabels"]["service"]
    assert "order-7" == series["exemplars"][0]["labels"]["request_id"]


def test_panels_do_not_overlap() -> None:
    """Each dashboard panel has a position and an id that no other panel has."""
    panels = grafana_dashboard()["panels"]

    assert len(panels) == len({panel["id"] for panel in panels})
    assert len(panels) == len({(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels})
