"""Broken configurations of all kinds, each with the expected paths and texts of its problems.

A row is a configuration that is tried as TOML, JSON and YAML, as in `broken_texts`.
"""

from __future__ import annotations

from typing import Any, Final

_KEYS: Final = f"1:{'A' * 43}="
_VAT: Final = "services.vat"


def _service(**fields: Any) -> dict[str, Any]:
    return {"services": {"vat": {"base_url": "https://vat.example", **fields}}}


def _smtp(**fields: Any) -> dict[str, Any]:
    return {"vendors": {"smtp": {"host": "mail.example", "login": False, **fields}}}


def _rules(*rules: dict[str, Any], **channels: dict[str, Any]) -> dict[str, Any]:
    return {"alerts": {"rules": list(rules), "channels": channels}}


_OPEN: Final = {"name": "open", "when": "circuit_open"}
_TIME: Final = {f"{_VAT}.timeout": "more than zero"}
_FAILING: Final = {"name": "failing", "when": "error_rate", "above": 0.1}
_PROBE: Final = {"service": "vat", "request": "/"}
_METRICS: Final = {"metrics": {"url": "memory:"}}
_TWILIO: Final = {"vendors": {"twilio": {"account_sid": f"AC{'0' * 32}", "credentials": "t"}}}

STORES: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    ({"state": {"url": "sqlite:///nowhere/a.db"}}, {"state.url": "Create the directory"}),
    ({"state": {"url": "sqlite:///."}}, {"state.url": "is a directory"}),
    (
        {
            "state": {"url": "sqlite:////nowhere/a.db"},
            "log": {"url": "sqlite:///nowhere/l%20og.db"},
            "metrics": {"url": "sqlite:///nowhere/m.db"},
            "audit": {"url": "file:///nowhere/a.jsonl"},
            "tenants_from": {"url": "sqlite:///nowhere/t.db", "keys": _KEYS},
            "credentials_from": {"url": "sqlite:///nowhere/c.db", "keys": _KEYS},
        },
        {
            "state.url": "The directory of /nowhere/a.db does not exist",
            "log.url": "nowhere/l og.db does not exist",
            "metrics.url": "nowhere/m.db does not exist",
            "audit.url": "The directory of /nowhere/a.jsonl does not exist",
            "tenants_from.url": "nowhere/t.db does not exist",
            "credentials_from.url": "nowhere/c.db does not exist",
        },
    ),
    ({"audit": {"url": "sqlite:///nowhere/a.db"}}, {"audit.url": "Create the directory"}),
    ({"audit": {"url": "memory:"}}, {"audit.url": "cannot be kept in the memory"}),
    (
        {"credentials_from": {"url": "file:///nowhere.toml"}},
        {"credentials_from.url": "Create the file of credentials there"},
    ),
    (
        {
            "secrets": {"ours": {"kind": "sqlite", "path": "nowhere/a.db", "keys": _KEYS}},
            **_service(credentials="secret://ours/vat"),
        },
        {f"{_VAT}.credentials": "No such file or directory"},
    ),
    (
        {"secrets": {"ours": {"kind": "gcp", "project": "p", "key_file": "nowhere.json"}}},
        {"secrets.ours.key_file": "service account"},
    ),
    ({"state": {"url": "redis://host/erp"}}, {"state.url": "redis://host:6379/0"}),
    ({"state": {"url": "redis://host/-1"}}, {"state.url": "not a number"}),
    ({"state": {"url": "redis://host?db=-1"}}, {"state.url": "not a number"}),
    ({"state": {"url": "redis://host/0/1"}}, {"state.url": "not a number"}),
    ({"state": {"url": "redis+cluster://host/1"}}, {"state.url": "only the database 0"}),
    ({"state": {"url": "redis+cluster://host/erp"}}, {"state.url": "only the database 0"}),
    ({"state": {"url": "redis+sentinel://host/first/erp"}}, {"state.url": "not a number"}),
]

CONNECTIONS: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    (
        {
            "http": {
                "max_connections": 0,
                "keep_alive": -1,
                "max_body": -5,
                "tls": {"authorities": "a.pem", "certificate": "b.pem", "key": "c.pem"},
                "proxy": {"url": "proxy.example", "bypass": ["http://a"]},
                "guard": {"hosts": ["https://a"], "networks": ["10.0.0.0/99"], "ports": [0]},
            }
        },
        {
            "http.max_connections": "of at least 1",
            "http.keep_alive": "seconds",
            "http.max_body": "of at least 1",
            "http.tls.authorities": "The file of the authorities cannot be read",
            "http.tls.certificate": "The file of the certificate cannot be read",
            "http.tls.key": "The file of the key cannot be read",
            "http.proxy.url": "http://host:port",
            "http.proxy.bypass": "without a scheme",
            "http.guard.hosts": "without a scheme",
            "http.guard.networks": "10.1.0.0/16",
            "http.guard.ports": "443",
        },
    ),
    (
        {"http": {"tls": {"key": "a", "unverified": "test bench", "authorities": "b"}}},
        {"http.tls.certificate": "has no certificate", "http.tls.unverified": "Remove"},
    ),
    (
        {"http": {"tls": {"certificate": 7, "key": "a", "minimum": "1.1", "authorities": "b"}}},
        {
            "http.tls.certificate": "Write a string",
            "http.tls.minimum": "Did you mean",
            "http.tls.authorities": "cannot be read",
        },
    ),
    (
        {"http": {"max_body": 0, "proxy": {"url": "http://a:1"}, "guard": {"hosts": ["b"]}}},
        {"http.guard": "The proxy resolves host names", "http.max_body": "of at least 1"},
    ),
    ({"http": {"guard": {"hosts": ["a.example:443"]}}}, {"http.guard.hosts": "a port"}),
    (
        _service(
            headers={
                "Content-Length": "5",
                "transfer-encoding": "chunked",
                "Connection": "close",
                "Host": "other.example",
                "X-Shop": "7",
            }
        ),
        {
            f"{_VAT}.headers.Content-Length": "Remove it",
            f"{_VAT}.headers.transfer-encoding": "for each request",
            f"{_VAT}.headers.Connection": "Remove it",
            f"{_VAT}.headers.Host": "HTTP client sends the host of the URL",
        },
    ),
    (
        {
            "vendors": {
                "resend": {"credentials": "re_1", "headers": {"TE": "trailers"}, "timeout": 0}
            }
        },
        {"vendors.resend.headers.TE": "Remove it", "vendors.resend.timeout": "more than zero"},
    ),
    (
        _service(idempotency_header="Content-Length", idempotency_memory=60),
        {f"{_VAT}.idempotency_header": "sets the header"},
    ),
    (
        _service(credentials={"method": "api_key_header", "name": "Host", "secret": "p"}),
        {f"{_VAT}.credentials": "sets the header Host"},
    ),
    (
        _service(
            credentials={
                "method": "hmac",
                "secret": "p",
                "signing": {"signs": "{body}", "headers": {"Upgrade": "{signature}"}},
            }
        ),
        {f"{_VAT}.credentials": "sets the header Upgrade"},
    ),
    (_service(headers={"X-Shop": "a\nb"}), {f"{_VAT}.headers.X-Shop": "line break"}),
    (_smtp(host="mail.example:25"), {"vendors.smtp.host": "The port is a separate option"}),
    (_smtp(host="smtp://mail.example"), {"vendors.smtp.host": "without a scheme"}),
    (_smtp(host="", port=0), {"vendors.smtp.host": "mail.example", "vendors.smtp.port": "1"}),
    (_smtp(host="fe.de:25"), {"vendors.smtp.host": "the name or the IP address"}),
    ({"environments": {"": {}}}, {'environments.""': "printable"}),
    (
        {"environments": {"a\tb": {}, "test": {}}, **_service(timeout=0)},
        {'environments."a?b"': "printable", f"{_VAT}.timeout": "more than zero"},
    ),
]

MONITORING: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    (
        {**_rules({**_FAILING, "when": "eror_rate", "objective": 2}), **_METRICS},
        {
            "alerts.rules[0].when": "Did you mean error_rate?",
            "alerts.rules[0].objective": "0.999",
        },
    ),
    (
        {
            **_rules(
                {**_FAILING, "below": 0.2},
                {"name": "slow", "when": "p95"},
                {**_FAILING, "clear": 0.2, "name": "other"},
                people={"kind": "email"},
                paging={"kind": "pigeon"},
                ours={"kind": "webhook"},
            ),
            **_METRICS,
        },
        {
            "alerts.rules[0].below": "two thresholds",
            "alerts.rules[1].above": "no threshold",
            "alerts.rules[2].clear": "does not fire",
            "alerts.channels.people.kind": "No account offers email",
            "alerts.channels.people.to": "Set `to`",
            "alerts.channels.paging.kind": "Use one of: logging",
            "alerts.channels.ours.service": "Set `service`",
        },
    ),
    (
        _rules({**_OPEN}, {**_OPEN, "channels": ["ops"]}, {**_OPEN}),
        {
            "alerts.rules[1].name": "a different name",
            "alerts.rules[1].channels": "the unknown channel 'ops'",
            "alerts.rules[2].name": "a different name",
        },
    ),
    (
        _rules({**_OPEN, "severity": "high", "hold": "5m", "window": -1}),
        {
            "alerts.rules[0].severity": "Use one of: warning",
            "alerts.rules[0].hold": "Write a number",
            "alerts.rules[0].window": "more than zero",
        },
    ),
    (
        {
            "health": {
                "probes": [
                    {"service": "vat", "jitter": 2, "threshold": 0, "request": "a b"},
                    {"service": "vat", "every": 0, "request": "/"},
                ],
                "expires": {"seal": "2030-01-01"},
            },
            **_service(),
        },
        {
            "health.probes[0].jitter": "from 0 to 1",
            "health.probes[0].threshold": "from 1",
            "health.probes[0].request": "white space",
            "health.probes[1].every": "more than zero",
            "health.probes[1].service": "Keep one of the probes",
            "health.expires.seal": "no time zone",
        },
    ),
    (
        {"health": {"probes": [{**_PROBE}, {**_PROBE}]}, **_service()},
        {"health.probes[1].service": "Keep one of the probes"},
    ),
    (
        {"objectives": [{"name": "a", "by": "region"}, {"name": "b", "availability": 99.9}]},
        {
            "objectives[0].by": "Use one of: service",
            "objectives[0].availability": "no target",
            "objectives[1].availability": "0.999",
        },
    ),
]

HIDING_NOTHING: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    # alerts about metrics that are not recorded
    (
        _rules(_FAILING, {"name": "quiet", "when": "absence"}, _OPEN),
        {
            "alerts.rules[0].when": "Add [metrics] or [log]",
            "alerts.rules[1].when": "needs metrics or an integration log",
        },
    ),
    # one invalid rule, probe or objective hides no other
    (
        {
            **_rules(
                {**_OPEN, "hold": -1},
                {"name": "b", "when": "circuit_open", "channels": "pager"},
                {"name": "b", "when": "calls", "below": 1, "service": "vatt"},
                ours={"kind": "logging"},
            ),
            **_METRICS,
            **_service(),
        },
        {
            "alerts.rules[0].hold": "seconds",
            "alerts.rules[1].channels": "the unknown channel 'pager'",
            "alerts.rules[2].name": "a different name",
            "alerts.rules[2].service": "Did you mean vat?",
        },
    ),
    (
        {
            "health": {
                "probes": [
                    {**_PROBE, "every": 0},
                    _PROBE,
                    {"service": "vatt"},
                ]
            },
            "objectives": [
                {"name": "a", "availability": 2},
                {"name": "b", "availability": 0.9, "service": "vatt"},
            ],
            **_service(),
        },
        {
            "health.probes[0].every": "more than zero",
            "health.probes[1].service": "Keep one of the probes",
            "health.probes[2].service": "Did you mean vat?",
            "objectives[0].availability": "0.999",
            "objectives[1].service": "Did you mean vat?",
        },
    ),
    # an invalid service or account hides no unknown name
    (
        {
            **_service(timeout=0),
            "vendors": {"resend": {"sender": 7}},
            "health": {"probes": [{"service": "vat"}, {"service": "resend"}, {"service": "vta"}]},
        },
        {
            **_TIME,
            "vendors.resend.sender": "Write a string",
            "vendors.resend.credentials": "missing",
            "health.probes[2].service": "Did you mean vat?",
        },
    ),
    # recipients of alerts that cannot be reached
    (
        {
            **_rules(
                people={"kind": "email", "to": "nobody"},
                all={"kind": "email", "to": ["a@example.com", "b@", "c"]},
                phones={"kind": "sms", "to": ["030 123456"], "tenant": 7},
                own={"kind": "sms", "to": "030 123456"},
            ),
            "vendors": {**_smtp()["vendors"], **_TWILIO["vendors"]},
        },
        {
            "alerts.channels.people.to": "address",
            "alerts.channels.all.to": "address",
            "alerts.channels.phones.tenant": "Write a string",
            "alerts.channels.phones.to": "such as +49",
            "alerts.channels.own.to": "such as +49",
        },
    ),
    # an account of one tenant sends nothing for others
    (
        {
            "tenants": {"acme": _smtp()},
            **_rules(
                people={"kind": "email", "to": "a@example.com"},
                theirs={"kind": "email", "to": "a@example.com", "tenant": "acme"},
                others={"kind": "email", "to": "a@example.com", "tenant": "other"},
            ),
        },
        {
            "alerts.channels.people.kind": "No account offers email, so",
            "alerts.channels.others.kind": "to the tenant",
        },
    ),
    # routes whose conditions match no operation
    (
        {**_smtp(), "email": {"vendor": "smtp", "currencies": "EUR", "countries": "DE"}},
        {
            "email.countries": "Remove `countries`",
            "email.currencies": "the route is never used",
        },
    ),
    (
        {**_TWILIO, "sms": {"vendor": "twilio", "currencies": ["EUR"]}},
        {"sms.currencies": "No operation of sms has a currency"},
    ),
    (
        {**_TWILIO, "sms": [{"vendor": "twilio", "countries": ["UK"]}, {"vendor": "twilio"}]},
        {"sms[0].countries": "Give GB"},
    ),
    # an empty URL does not mean a store in memory
    (
        {"state": {"url": ""}, "log": {"url": " "}, "audit": {"url": ""}},
        {
            "state.url": "The URL is empty",
            "log.url": "remove the setting",
            "audit.url": "The URL is empty",
        },
    ),
    # a first pause that is longer than the longest one
    (
        _service(
            retry={"base_delay": 60},
            endpoints=[{"name": "a", "retry": {"base_delay": 5, "max_delay": 2}}],
        ),
        {
            f"{_VAT}.retry.base_delay": "base_delay of 60 seconds is never used",
            f"{_VAT}.endpoints[0].retry.base_delay": "raise max_delay",
        },
    ),
]

NAMES: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    (
        {
            **_service(),
            **_rules(
                {**_FAILING, "service": "vatt"},
                {**_OPEN, "service": "outbox"},
                ours={"kind": "webhook", "service": "vatt"},
                people={"kind": "email", "to": "a@example.com"},
                phones={"kind": "sms", "to": "+4930123456"},
            ),
            **_METRICS,
            "health": {"probes": [{"service": "vatt"}]},
            "objectives": [{"name": "a", "availability": 0.9, "service": "vta"}],
        },
        {
            "alerts.rules[0].service": "Did you mean vat?",
            "alerts.rules[1].service": "Use one of: vat",
            "alerts.channels.ours.service": "Did you mean vat?",
            "alerts.channels.people.kind": "No account offers email",
            "alerts.channels.phones.kind": "No account offers sms",
            "health.probes[0].service": "Did you mean vat?",
            "objectives[0].service": "Did you mean vat?",
        },
    ),
    (
        {"health": {"probes": [{"service": "vat"}]}},
        {"health.probes[0].service": "none is configured"},
    ),
    (
        {"state": {"url": "sqlite:///a.db"}, "log": {"url": "sqlite:///./a.db"}},
        {"log.url": "The store of [state] uses the same file"},
    ),
    (
        {
            "state": {"url": "memory:", "keys_url": "sqlite:///a.db"},
            "tenants_from": {"url": "sqlite:///a.db", "keys": _KEYS},
        },
        {
            "tenants_from.url": "The store of [state] uses the same file",
            "state.keys_url": "The store of [tenants_from] uses the same file",
        },
    ),
]

CONTRADICTIONS: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    (
        _service(
            timeout=5,
            attempt_timeout=10,
            max_limit_wait=60,
            timeouts={"connect": 30, "read": 5},
            bulkhead={"max_concurrent": 2, "max_waiting": 2, "max_wait": 60},
            hedge={"delay": 5.5},
        ),
        {
            f"{_VAT}.attempt_timeout": "The wait of 10 seconds",
            f"{_VAT}.max_limit_wait": "timeout of a call, 5 seconds",
            f"{_VAT}.timeouts.connect": "raise the timeout",
            f"{_VAT}.bulkhead.max_wait": "Set fewer seconds",
            f"{_VAT}.hedge.delay": "5.5 seconds",
        },
    ),
    (_service(timeouts={"read": 60}), {f"{_VAT}.timeouts.read": "timeout of a call, 30 seconds"}),
    (
        {"vendors": {"resend": {"credentials": "re_1", "attempt_timeout": 90, "timeout": 60}}},
        {"vendors.resend.attempt_timeout": "The wait of 90 seconds"},
    ),
    (
        _service(
            credentials="token", headers={"authorization": "Bearer x", "X-Shop": "7", "x-shop": "8"}
        ),
        {
            f"{_VAT}.headers.authorization": "overwrite this header",
            f"{_VAT}.headers.x-shop": "appears twice",
        },
    ),
]

REFERENCES: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    (_service(credentials=text, timeout=0), {f"{_VAT}.credentials": "secret://env/NAME", **_TIME})
    for text in (
        "$TOKEN",
        "$(TOKEN)",
        "%(TOKEN)s",
        "%TOKEN%",
        "{{ vault.token }}",
        "env:TOKEN",
        "secret:/env/TOKEN",
        "secret//env/TOKEN",
        "Secret://env/TOKEN",
        "secrets://ours/token",
    )
]

SETTINGS: Final = [
    *STORES,
    *CONNECTIONS,
    *MONITORING,
    *HIDING_NOTHING,
    *NAMES,
    *CONTRADICTIONS,
    *REFERENCES,
]
