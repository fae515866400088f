"""Broken configurations of alerts, probes and objectives, in the format of `broken_settings`."""

from __future__ import annotations

from typing import Any, Final

_SMTP: Final = {"smtp": {"host": "mail.example", "login": False}}


def _service(**fields: Any) -> dict[str, Any]:
    return {"services": {"vat": {"base_url": "https://vat.example", **fields}}}


def _rule(when: str | list[str], **fields: Any) -> dict[str, Any]:
    """Return a configuration with one alert rule."""
    rule = {"name": "vat-fails 24", "when": when, **fields}
    return {"metrics": {"url": "memory:"}, "alerts": {"rules": rule}, **_service()}


def _channel(kind: str | list[str], **fields: Any) -> dict[str, Any]:
    """Return a configuration with one alert channel."""
    return {
        "alerts": {"channels": {"ours": {"kind": kind, **fields}}},
        "vendors": _SMTP,
        **_service(),
    }


def _probe(service: str, **fields: Any) -> dict[str, Any]:
    """Return a configuration with one probe."""
    return {"health": {"probes": {"service": service, **fields}}, **_service()}


def _objectives(*objectives: dict[str, Any]) -> dict[str, Any]:
    return {"metrics": {"url": "memory:"}, "objectives": list(objectives)}


_OURS: Final = "alerts.channels.ours"

MONITORING: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    # thresholds that no value, or each value, exceeds
    (_rule("error_rate", above=1.5), {"alerts.rules.above": "vat-fails 24' never fires"}),
    (_rule("error_rate", above=5), {"alerts.rules.above": "from 0 to 1"}),
    (_rule("error_rate", above=1), {"alerts.rules.above": "never fires"}),
    (_rule("error_rate", above=-0.1), {"alerts.rules.above": "always fires"}),
    (_rule("error_rate", below=0), {"alerts.rules.below": "never fires"}),
    (_rule("error_rate", below=2), {"alerts.rules.below": "always fires"}),
    (_rule("error_rate", above=0.1, clear=-1), {"alerts.rules.clear": "never clears at -1"}),
    (_rule("calls", below=0), {"alerts.rules.below": "calls is never negative"}),
    (_rule("p95", above=-2), {"alerts.rules.above": "always fires"}),
    (_rule("burn_rate", above=14.4, objective=0.9), {"alerts.rules.above": "from 0 to 10"}),
    (
        _rule("absence", above=3, clear=1),
        {"alerts.rules.above": "no call at all", "alerts.rules.clear": "Remove `clear`"},
    ),
    (
        _rule("burn_rate", above=2, window=60),
        {"alerts.rules.short_window": "short window of 300 seconds"},
    ),
    # alert settings without effect
    (
        _rule("error_rate", above=2, objective=0.9, short_window=60),
        {
            "alerts.rules.above": "never fires",
            "alerts.rules.objective": "to burn_rate",
            "alerts.rules.short_window": "has no effect",
        },
    ),
    (
        _rule("circuit_open", service="vatt", tenant="acme", operation="rates", minimum_calls=2),
        {
            "alerts.rules.service": "Did you mean vat?",
            "alerts.rules.tenant": "Remove `tenant`",
            "alerts.rules.operation": "has no effect",
            "alerts.rules.minimum_calls": "or burn_rate",
        },
    ),
    (_rule("probe_failed", service="outbox"), {"alerts.rules.service": "Use one of: vat"}),
    (
        {"alerts": {"rules": [{"name": "a", "when": "circuit_open", "channels": "pager"}]}},
        {"alerts.rules[0].channels": "Define the channel under alerts.channels"},
    ),
    (_rule("dead_letters", window=60), {"alerts.rules.window": "has no effect"}),
    # alert channels with settings of another kind, or without a destination
    (
        _channel("email", to="a@example.com", service="vat", secrets="hidden"),
        {f"{_OURS}.service": "set the kind to webhook", f"{_OURS}.secrets": "does not use"},
    ),
    (
        _channel("logging", to="a@example.com", path="/alerts"),
        {f"{_OURS}.to": "email or sms", f"{_OURS}.path": "set the kind to webhook"},
    ),
    (
        _channel("webhook", tenant="acme"),
        {f"{_OURS}.tenant": "email or sms", f"{_OURS}.service": "Set `service`"},
    ),
    (_channel("email", url="a@example.com"), {f"{_OURS}.url": "unknown", f"{_OURS}.to": "Set"}),
    (
        _channel(["email"], to="a@example.com"),
        {f"{_OURS}.kind": "a list, not an allowed value"},
    ),
    (_rule(["calls"], service="vatt"), {"alerts.rules.when": "not an allowed value"}),
    (_channel("webhook", service="smtp"), {f"{_OURS}.service": "has no URL"}),
    (_channel("webhook", service="vat", path="/a b"), {f"{_OURS}.path": "white space"}),
    (
        _channel("webhook", service="vat", path="https://pager.example/alerts"),
        {f"{_OURS}.path": "differs from the origin of the service 'vat'"},
    ),
    (_channel("webhook", service="vat", secrets="whsec_1"), {f"{_OURS}.secrets": "too short"}),
    ({"alerts": {"rules": ["vat"]}}, {"alerts.rules[0]": "not a table"}),
    # probes that have nothing to send, or nowhere to send it
    (_probe("vat"), {"health.probes.request": "does not know a request"}),
    (
        _probe("vat", request="https://status.example/health"),
        {"health.probes.request": "origin of the URL differs"},
    ),
    (
        {"health": {"probes": {"service": "smtp"}}, "vendors": _SMTP},
        {"health.probes.function": "has no URL"},
    ),
    (
        {
            "health": {"probes": {"service": "vat", "request": "/"}},
            "services": {"vat": {"regions": [{"name": "eu", "base_url": "https://eu.example"}]}},
        },
        {"health.probes.service": "several regions"},
    ),
    (
        _probe("vatt", function="ours"),
        {"health.probes.service": "Did you mean vat?", "health.probes.function": ""},
    ),
    # service-level objectives
    (
        _objectives({"name": "a", "availability": 0.9}, {"name": "a", "latency": 2}),
        {"objectives[1].name": "could not distinguish them"},
    ),
    (_objectives({"name": "", "latency": 2}), {"objectives[0].name": "printable"}),
    (
        _objectives({"name": "a", "availability": 0.9, "within": 0.5}),
        {"objectives[0].within": "no latency"},
    ),
]
