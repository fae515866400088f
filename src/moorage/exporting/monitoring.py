"""A Grafana dashboard and Prometheus rules, generated from the list of metrics."""

from __future__ import annotations

from typing import Any, Final

from moorage.adapters.observers._description import NAMES

_WIDTH: Final = 12
_HEIGHT: Final = 8
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def grafana_dashboard() -> dict[str, Any]:
    """Return a Grafana dashboard with panels for each metric of `PrometheusObserver`."""
    panels = [panel for metric in NAMES["prometheus"].values() for panel in metric["panels"]]
    return {
        "title": "moorage",
        "uid": "moorage",
        "schemaVersion": 39,
        "editable": True,
        "tags": ["moorage"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": [_DATASOURCES, _SERVICES]},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def prometheus_rules() -> dict[str, Any]:
    """Return recording and alerting rules for Prometheus, for a rule file in JSON."""
    metrics = NAMES["prometheus"].values()
    records = [
        {"record": name, "expr": expr}
        for metric in metrics
        for name, expr in metric["records"].items()
    ]
    alerts = [_alert(name, alert) for metric in metrics for name, alert in metric["alerts"].items()]
    return {
        "groups": [
            {"name": "moorage-records", "rules": records},
            {"name": "moorage-alerts", "rules": alerts},
        ]
    }


_DATASOURCES: Final = {"name": "datasource", "type": "datasource", "query": "prometheus"}
_SERVICES: Final = {
    "name": "service",
    "type": "query",
    "datasource": _DATASOURCE,
    "query": "label_values(moorage_call_duration_seconds_count, service)",
    "refresh": 2,
    "includeAll": True,
    "allValue": ".+",
    "multi": True,
    "current": {"text": "All", "value": "$__all"},
}


def _panel(number: int, panel: dict[str, Any]) -> dict[str, Any]:
    row, column = divmod(number, 2)
    queries = enumerate(panel["queries"].items())
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel["title"],
        "datasource": _DATASOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel["unit"], "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expr, "legendFormat": legend}
            for index, (legend, expr) in queries
        ],
    }


def _alert(name: str, alert: dict[str, Any]) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": alert["expr"],
        "for": alert["for"],
        "labels": {"severity": alert["severity"]},
        "annotations": {"summary": alert["summary"]},
    }
