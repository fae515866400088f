"""Broken configurations: strings that cannot be parsed, and tables with wrong values.

A row of `TEXTS` has a file's name ending, its content, and words of the one problem. A row of
`TABLES` is a configuration, tried as TOML, JSON and YAML, with the path of each of its mistakes and
some words of the cause or the remedy.
"""

from __future__ import annotations

from typing import Any, Final

from tests.config.broken import SID, TWILIO

TEXTS: Final[dict[str, list[tuple[str, str]]]] = {
    "toml": [
        ("[state]\n[state]\n", "the table state appears twice (line 2"),
        ("[vendors.a]\n[vendors.a]\n", "the table vendors.a appears twice"),
        ("[[sms]]\n[sms]\n", "the table sms appears twice"),
        ("version = 1\nversion = 1\n", "a key appears twice in one table (line 2"),
        ("version = 1\n[version]\n", "a key appears twice"),
        ("state = { url = 'a', url = 'b' }\n", "the key url appears twice in one table"),
        ("[state.a]\nx = 1\n[state]\na.y = 2\n", "a table appears twice"),
        ("[state\n", "the name of a table is not closed"),
        ("[[sms]\n", "the name of a list of tables is not closed"),
        ("sms = [\n", "a value is missing"),
        ('sms = ["a" "b"]\n', "a list is not closed with ]"),
        ("state = { url = 'a'\n", "a table in braces is not closed"),
        ('a = "x\n', "there is a character that TOML does not allow"),
        ("a = 'x", "a string is not closed"),
        ('a = """x', "a string is not closed"),
        ('a = "\\q"', "a string has an invalid escape after a backslash"),
        ('a = "\\uZZZZ"', "an escape in a string has no hexadecimal number"),
        ('a = "\\ud800"', "an escape in a string does not stand for a character"),
        ("a =\n", "a value is missing"),
        ("a = foo\n", "is a string without quotation marks (line 1"),
        ("a b = 1\n", "there is no = after a key"),
        ("a = 1 b = 2\n", "there is more text on the line after a value"),
        ("a = 1e\n", "there is more text on the line"),
        ("ä = 1\n", "a line is neither a table nor a setting"),
        ("a. = 1\n", "a key has a character that belongs in quotation marks"),
        ("a = 2020-02-30\n", "a date or time does not exist"),
        ("a = '\x01'\n", "there is a character that TOML does not allow"),
    ],
    "json": [
        ('{"sms": {}, "sms": {}}', "the key sms appears twice in one object"),
        ('{"services": {"a": {"timeout": NaN}}}', "NaN is not a JSON number"),
        ('{"services": {"a": {"timeout": -Infinity}}}', "-Infinity is not a JSON number"),
        ('{"version": 1,}', "there is a comma before a"),
        ("{version: 1}", "a name in double quotation marks is missing"),
        ("{'version': 1}", "a name in double quotation marks is missing"),
        ('{"version": }', "a value is missing, or is not valid JSON (line 1"),
        ('{"version": True}', "a value is missing, or is not valid JSON"),
        ('{"version" 1}', "a colon is missing after a name"),
        ('{"version": 1 "sms": {}}', "a comma or a closing bracket is missing"),
        ('{"version": 1', "a comma or a closing bracket is missing"),
        ('{"a": "x', "a string is not closed"),
        ('{"a": "x\ny"}', "a string contains a line break or another control character"),
        ('{"a": "\\q"}', "a string has an invalid escape after a backslash"),
        ('{"a": "\\u12"}', "an escape in a string has no hexadecimal number"),
        ("{} {}", "there is more text after the end of the object"),
        ("// ours\n{}", "a value is missing, or is not valid JSON"),
        ("", "a value is missing"),
        ("[]", "not a table"),
        ('{"version": 1' + "0" * 5_000 + "}", "is out of range"),
    ],
    "yaml": [
        ("a: &x 1\nb: 2\n", "&x is an anchor, which is not allowed in a configuration (line 1)"),
        ("a: *x\n", "*x is an alias, which is not allowed in a configuration"),
        ("a: !!python/name:os.system\n", "is a tag, which is not allowed in a configuration"),
        ("a: !ours 1\n", '"!ours" is a tag'),
        ("sms: {}\nsms: {}\n", "the key sms appears twice in one table (line 2)"),
        (
            "vendors:\n  a: 1\n  a: 2\n",
            "the key a appears twice in one table (line 3)",  # words: a key
        ),
        ("1: a\n", "a key is not a string (line 1)"),
        ("on: {}\n", "a key is not a string"),
        ("<<: {a: 1}\n", "a key is not a string"),
        ("? [a]\n: 1\n", "a key is not a string"),
        ("a: b: c\n", "the line has a second colon"),
        ("a: 1\n b: 2\n", "different indentation from the rest of its table"),
        ("a:\n  b: 1\n c: 2\n", "different indentation from the rest of its table"),
        ("\ta: 1\n", "indented with a tab"),
        ("a: [1\n", "is not closed"),
        ('a: "x\n', "a string is not closed"),
        ("a: @x\n", "begins with a character that YAML reserves"),
        ("a: 1\n---\nb: 1\n", "the file has a second document"),
        ("a: \x00\n", "the file contains a control character"),
        ("a: {\n", "a bracket is not closed"),
        ('a: "\\q"\n', "the syntax is invalid"),
        ("a: 2020-99-99\n", "is out of range"),
        ("- a\n", "not a table"),
        ("a\nb: c\n", "the line has a second colon"),
        ("a: 010\n", "YAML reads 010 as a different number (line 1)"),
        ("a:\n  - -0_17\n", "YAML reads -0_17 as a different number (line 2)"),
        ("a: 1:30\n", "YAML reads 1:30 as a different number"),
    ],
}

_STRIPE: Final[dict[str, Any]] = {"credentials": "sk_test_1", "volatile_keys": True}
_PAYPAL: Final[dict[str, Any]] = {
    "kind": "paypal",
    "client_id": "a",
    "client_secret": "b",
    "volatile_keys": True,
}
_VAULT: Final[dict[str, Any]] = {"kind": "vault", "address": "https://vault.example"}


def _stripe(**fields: Any) -> dict[str, Any]:
    return {"vendors": {"stripe": {**_STRIPE, **fields}}}


def _twilio(**fields: Any) -> dict[str, Any]:
    return {"vendors": {"twilio": {**TWILIO, **fields}}}


def _service(**fields: Any) -> dict[str, Any]:
    return {"services": {"vat": {"base_url": "https://vat.example", **fields}}}


def _endpoint(**fields: Any) -> dict[str, Any]:
    return _service(endpoints=[{"name": "rates", **fields}])


_KEYLESS: Final = {"volatile_keys": True}
_OURS: Final = "services.vat"

TABLES: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    # accounts with the name of a service, and accounts without a required setting
    (
        {**_stripe(), "services": {"stripe": {"base_url": "https://a.example"}}},
        {"services.stripe": "Rename the account or the service"},
    ),
    ({"vendors": {"stripe": _KEYLESS}}, {"vendors.stripe.credentials": "[credentials_from]"}),
    (
        {"vendors": {"resend": {"sender": "a@example.com"}}},
        {"vendors.resend.credentials": "no credential store is configured"},
    ),
    (
        {"state": {"url": "memory:"}, "vendors": {"stripe": {"credentials": "sk_test_1"}}},
        {"vendors.stripe.moves_money": ""},
    ),
    (_stripe(credentials=" sk_test_1"), {"vendors.stripe.credentials": "white space"}),
    (_stripe(moves_money=False), {"vendors.stripe.moves_money": "Remove the setting"}),
    (_stripe(base_url="http://pay.example"), {"vendors.stripe.base_url": "does not use TLS"}),
    (
        {"vendors": {"wallet": {**_PAYPAL, "base_url": "http://pay.example"}}},
        {"vendors.wallet.base_url": "https"},
    ),
    (
        _service(base_url="http://pay.example", moves_money=True, volatile_keys=True),
        {f"{_OURS}.base_url": "Use an https:// URL"},
    ),
    (
        {
            "services": {
                "pay": {
                    "regions": [{"name": "eu", "base_url": "http://pay.example"}],
                    "moves_money": True,
                    "volatile_keys": True,
                }
            }
        },
        {"services.pay.base_url": "does not use TLS"},
    ),
    (
        {"state": {"url": "memory:"}, **_service(moves_money=True)},
        {f"{_OURS}.moves_money": "volatile_keys"},
    ),
    (_service(needs_credentials=True), {f"{_OURS}.credentials": "[credentials_from]"}),
    (
        {"services": {"vat": {"credentials": "token"}}},
        {f"{_OURS}.base_url": "because credentials is set"},
    ),
    ({"services": {"vat": {"headers": {"X-Shop": "7"}}}}, {f"{_OURS}.base_url": "missing"}),
    (
        {"services": {"vat": {"endpoints": [{"name": "rates", "path": "/rates"}]}}},
        {f"{_OURS}.base_url": "Set the URL"},
    ),
    (_stripe(webhook_secrets=[" "]), {"vendors.stripe.webhook_secrets": "accept any sender"}),
    (
        {"vendors": {"smtp": {"host": "a.example", "login": False, "webhook_secrets": ["hidden"]}}},
        {"vendors.smtp.webhook_secrets": "sends no webhooks"},
    ),
    (
        {"vendors": {"smtp": {"host": "a.example", "login": False, "port": 99_999}}},
        {"vendors.smtp.port": ""},
    ),
    (
        {"vendors": {"smtp": {"host": "a.example", "login": False, "security": "none"}}},
        {"vendors.smtp.security": "to 'starttls' or 'tls'"},
    ),
    (
        {"vendors": {"ups": {}}},
        {"vendors.ups.account_number": "missing"},
    ),
    (
        {"vendors": {"resend": {"credentials": "re_1", "sender": "nobody"}}},
        {"vendors.resend.sender": "address"},
    ),
    ({"vendors": {"strype": _STRIPE}}, {"vendors.strype.kind": "Did you mean stripe?"}),
    (
        _twilio(account_sid="x", cost=-1),
        {
            "vendors.twilio.account_sid": "AC",
            "vendors.twilio.cost": "Give a price",
        },
    ),
    ({"safety": {"live": True}, **_stripe()}, {"vendors.stripe": "correct `safety.live`"}),
    # routes with invalid settings
    ({**_twilio(), "sms": {"vendor": ["twilio", "twilio"]}}, {"sms.vendor": "twice"}),
    (
        {"vendors": {"twilio": TWILIO, "spare": {"kind": "twilio", **TWILIO}}},
        {"sms": "no route chooses one"},
    ),
    (
        {**_twilio(), "sms": [{"vendor": "twilio"}, {"vendor": "twilio"}]},
        {"sms[1]": "sms[0] covers all of its operations"},
    ),
    (
        {
            **_twilio(),
            "sms": [
                {"vendor": "twilio", "countries": ["DE", "FR"]},
                {"vendor": "twilio", "countries": ["FR"]},
            ],
        },
        {"sms[1]": "covers all of its operations"},
    ),
    ({**_twilio(), "sms": {"vendor": "twilio", "countries": ["Germany"]}}, {"sms.countries": "DE"}),
    (
        {**_stripe(), "payments": {"vendor": "stripe", "currencies": ["EURO"]}},
        {"payments.currencies": "EUR"},
    ),
    (
        {**_stripe(), "payments": {"vendor": "stripe", "currencies": ["QQQ"]}},
        {"payments.currencies": "not a currency code"},
    ),
    ({**_twilio(), "email": {"vendor": "twilio"}}, {"email.vendor": "not an account for email"}),
    (
        {
            "tenants": {
                "a": {"vendors": {"twilio": TWILIO}},
                "b": {"sms": {"vendor": "twilio"}},
            }
        },
        {"tenants.b.sms.vendor": "not an account for sms"},
    ),
    ({"tenants": {"": {}}}, {'tenants.""': "printable"}),
    # endpoints of services
    (_endpoint(path="/rates/{country"), {f"{_OURS}.endpoints[0].path": "not closed"}),
    (_endpoint(path="/rates/{}"), {f"{_OURS}.endpoints[0].path": "is empty"}),
    (
        _endpoint(path="/rates/v{number}"),
        {f"{_OURS}.endpoints[0].path": "only a part of a segment"},
    ),
    (_endpoint(path="/rates}"), {f"{_OURS}.endpoints[0].path": "braces"}),
    (_endpoint(path="/rates?all"), {f"{_OURS}.endpoints[0].path": "contains a query"}),
    (_endpoint(path="https://vat.example/a"), {f"{_OURS}.endpoints[0].path": "below the base URL"}),
    (_endpoint(path="/${OURS_UNSET}"), {f"{_OURS}.endpoints[0].path": "is not set"}),
    # an unset variable hides no mistake that does not depend on it
    (
        _service(
            base_url="${OURS_UNSET}", regions=[{"name": "eu", "base_url": "https://a.example"}]
        ),
        {f"{_OURS}.base_url": "OURS_UNSET", f"{_OURS}.regions": "both a base_url and regions"},
    ),
    (
        _service(timeout="${OURS_UNSET}", idempotency_header="Key"),
        {
            f"{_OURS}.timeout": "OURS_UNSET",
            f"{_OURS}.idempotency_memory": "no idempotency_memory",
        },
    ),
    (
        _service(
            limits={"rate": 5, "burst": 7, "calendar": "month", "without_store": "${OURS_UNSET}"}
        ),
        {
            f"{_OURS}.limits.without_store": "OURS_UNSET",
            f"{_OURS}.limits.burst": "does not support",
        },
    ),
    # an unset rate does not make the burst a mistake
    (
        _service(limits={"rate": "${OURS_UNSET}", "burst": 1_000, "calendar": "month"}),
        {f"{_OURS}.limits.rate": "OURS_UNSET"},
    ),
    (
        {"vendors": {"resend": {"credentials": "${OURS_UNSET}"}}, "payments": {"vendor": "resend"}},
        {"vendors.resend.credentials": "OURS_UNSET", "payments.vendor": "not an account for"},
    ),
    (
        {"vendors": {"paypal": {"client_id": "${OURS_UNSET}"}}, "payments": {"vendor": "paypal"}},
        {"vendors.paypal.client_id": "OURS_UNSET", "vendors.paypal.client_secret": "is missing"},
    ),
    (
        {
            "vendors": {
                "resend": {"credentials": "${OURS_UNSET}"},
                "postmark": {"credentials": "${OURS_UNSET}"},
            }
        },
        {
            "vendors.resend.credentials": "OURS_UNSET",
            "vendors.postmark.credentials": "OURS_UNSET",
            "email": "Several accounts offer email",
        },
    ),
    (
        {
            "vendors": {
                "fedex": {
                    "client_id": "a",
                    "credentials": "secret://env/OURS_UNSET",
                    "account_number": "${OURS_UNSET}",
                }
            },
            "email": {"vendor": "fedex"},
        },
        {
            "vendors.fedex.account_number": "is not set",
            "vendors.fedex.credentials": "does not exist",
            "email.vendor": "not an account for email",
        },
    ),
    # a URL without TLS is valid if the server is on this machine
    (
        {
            "vendors": {
                "smtp": {
                    "host": "${OURS_UNSET}",
                    "security": "none",
                    "username": "a",
                    "credentials": "b",
                }
            },
            "email": {"vendor": "smtp"},
        },
        {"vendors.smtp.host": "OURS_UNSET"},
    ),
    (_endpoint(method="FETCH"), {f"{_OURS}.endpoints[0].method": "Did you mean PATCH?"}),
    (
        {
            "services": {
                "vat": {
                    "base_url": "https://a.example",
                    "limits": {"rate": 1, "burst": 1},
                    "endpoints": [{"name": "a"}, {"name": "b", "cost": 5}],
                }
            }
        },
        {f"{_OURS}.endpoints[1].cost": "can never be granted"},
    ),
    (_service(endpoints=[{"name": "a"}, {"name": "a"}]), {f"{_OURS}.endpoints": "Two endpoints"}),
    # settings of services
    (_service(base_url="https://vat.example?a=b"), {f"{_OURS}.base_url": "contains a query"}),
    (_service(base_url="https://u:p@vat.example"), {f"{_OURS}.base_url": "user name or password"}),
    (_service(base_url="vat.example"), {f"{_OURS}.base_url": "Use only a scheme"}),
    (_service(timeout=0), {f"{_OURS}.timeout": "more than zero"}),
    (_service(timeout="ten"), {f"{_OURS}.timeout": "Write a number"}),
    (_service(tymeout=5, retry=3), {f"{_OURS}.tymeout": "timeout?", f"{_OURS}.retry": "a table"}),
    (_service(headers={"X Shop": "7"}), {f"{_OURS}.headers": "not a header name"}),
    (
        _service(idempotency_header="Key"),
        {f"{_OURS}.idempotency_memory": "Set the number of seconds"},
    ),
    (_service(bulkhead={"max_concurrent": 0}), {f"{_OURS}.bulkhead.max_concurrent": ""}),
    (_service(circuit={"failure_rate": 2}), {f"{_OURS}.circuit.failure_rate": "not a share"}),
    (_service(limits={"rate": 5, "per": "minute", "calendar": "day"}), {f"{_OURS}.limits.per": ""}),
    (_service(redaction={"patterns": ["("]}), {f"{_OURS}.redaction.patterns": "the pattern"}),
    (_service(redaction={"personal": ["cards"]}), {f"{_OURS}.redaction.personal[0]": "card?"}),
    (_service(retry={"retry_on": ["Timeout"]}), {f"{_OURS}.retry.retry_on[0]": "Did you mean"}),
    (
        _service(credentials={"method": "basic", "secret": "p"}),
        {f"{_OURS}.credentials": "username"},
    ),
    (_service(credentials={"method": "hmac", "secret": "p"}), {f"{_OURS}.credentials": "signing"}),
    (_service(credentials="a b\nc"), {f"{_OURS}.credentials": "white space"}),
    (
        _service(regions=[{"name": "eu", "base_url": "https://eu.example"}]),
        {f"{_OURS}.regions": "both a base_url and regions"},
    ),
    (
        {"http": {"guard": {"hosts": ["a.example"]}}, **_service()},
        {f"{_OURS}.base_url": "not one of the allowed hosts"},
    ),
    # URLs of stores, and connection settings
    ({"state": {"url": "nosql://host"}}, {"state.url": "names no store"}),
    ({"state": {"url": "sqlite:///"}}, {"state.url": "sqlite:///file.db"}),
    ({"state": {"url": "redis://host:port"}}, {"state.url": "redis://"}),
    (
        {"state": {"url": "memory:", "environment_id": "a\tb"}},
        {"state.environment_id": "printable"},
    ),
    ({"state": {"url": "memory:", "environment_id": "a" * 600}}, {"state.environment_id": "short"}),
    ({"state": {"records_per_tenant": 0}}, {"state.records_per_tenant": "integer from 1"}),
    ({"tenants_from": {"url": "redis://host", "keys": "x"}}, {"tenants_from.keys": "version:key"}),
    ({"credentials_from": {"url": "sqlite:///a.db"}}, {"credentials_from.keys": "generate_keys"}),
    (
        {"credentials_from": {"url": "redis://host"}},
        {"credentials_from.url": "not name a credential"},
    ),
    ({"http": {"tls": {"authorities": "nowhere.pem"}}}, {"http.tls.authorities": "PEM files"}),
    ({"http": {"proxy": {"url": "proxy.example"}}}, {"http.proxy.url": "Use http://host:port"}),
    ({"http": {"max_connections": 0}}, {"http.max_connections": ""}),
    (
        {"safety": {"recipients": ["@@", "+49*", "a b"]}},
        {"safety.recipients[0]": "phone number", "safety.recipients[2]": "phone number"},
    ),
    ({"environment": {"test": {}}}, {"environment": "is unknown"}),
    ({"version": 9}, {"version": "Install a newer"}),
    # providers of secrets
    (
        {"secrets": {"a": {**_VAULT, "token": "secret://a/x"}}},
        {"secrets.a.token": "secrets.a needs secrets.a"},
    ),
    (
        {
            "secrets": {
                "a": {**_VAULT, "token": "secret://b/x"},
                "b": {**_VAULT, "token": "secret://a/x"},
                "c": {**_VAULT, "token": "secret://b/x"},
            },
            **_stripe(credentials="secret://c/key"),
        },
        {"secrets.a.token": "depend on each other"},
    ),
    (
        {
            "secrets": {
                "a": {**_VAULT, "token": "secret://b/x"},
                "b": {**_VAULT, "token": "secret://a/x", "timeout": "soon"},
            },
        },
        {"secrets.a.token": "depend on each other", "secrets.b.timeout": "Write a number"},
    ),
    # a secret reference in a list, where a token is needed
    (
        {"secrets": {"a": {**_VAULT, "token": ["secret://a/x"]}}},
        {"secrets.a.token": "", "secrets.a.token[0]": "secrets.a needs secrets.a"},
    ),
    (_stripe(credentials="secret://evn/KEY"), {"vendors.stripe.credentials": "Did you mean env?"}),
    (_stripe(credentials="secret://env"), {"vendors.stripe.credentials": "not a valid reference"}),
    (_service(base_url="${NOT_SET_0}"), {f"{_OURS}.base_url": "NOT_SET_0"}),
    (
        {"state": {"url": "secret://env/NOT_SET_0"}, **_service(timeout=0)},
        {"state.url": "NOT_SET_0", f"{_OURS}.timeout": ""},
    ),
    # an unreadable secret where a plain text is needed
    (
        {"services": {"vat": {"base_url": "secret://env/NOT_SET_0", "timeout": 0}}},
        {f"{_OURS}.base_url": "", f"{_OURS}.timeout": "more than zero"},
    ),
    (
        {
            "state": {"environment_id": "a" * 600},
            "vendors": {"stripe": {"credentials": "sk_test_1"}},
        },
        {"state.environment_id": "short"},
    ),
    # several mistakes at once, none of which hides another
    (
        {
            "state": {"url": "memory:"},
            "vendors": {
                "stripe": {"credentials": "secret://env/NOT_SET_0", "base_url": "http://a.example"}
            },
            "payments": {"vendor": ["stripe", "stripe"]},
            "services": {"stripe": {"base_url": "https://a.example", "timeout": 0}},
        },
        {
            "vendors.stripe.credentials": "NOT_SET_0",
            "vendors.stripe.moves_money": "durable",
            "vendors.stripe.base_url": "does not use TLS",
            "payments.vendor": "twice",
            "services.stripe": "Rename",
            "services.stripe.timeout": "more than zero",
        },
    ),
    (
        {"state": {"url": "memory:"}, "vendors": {"stripe": {"tymeout": 5}}},
        {
            "vendors.stripe.tymeout": "timeout?",
            "vendors.stripe.credentials": "credentials are missing",
            "vendors.stripe.moves_money": "durable",
        },
    ),
    (
        {
            "state": {"url": "nosql://host", "env": "x"},
            "http": {"max_connections": 0},
            **_twilio(timeout=-1),
            **_service(needs_credentials=True, circuit={"failures": "many"}),
            "sms": {"vendor": "twilo"},
        },
        {
            "state.env": "environment_id",
            "state.url": "names no store",
            "http.max_connections": "",
            "vendors.twilio.timeout": "",
            f"{_OURS}.circuit.failures": "whole number",
            f"{_OURS}.credentials": "[credentials_from]",
            "sms.vendor": "not an account",
        },
    ),
]

VALID_TEXTS: Final[list[dict[str, Any]]] = [
    {},
    {"version": 1, "state": {"url": "memory:"}},
    {"state": {"url": "sqlite:///state.db", "environment_id": "test"}},
    {"state": {"url": "memory:", "records_per_tenant": 100_000}},
    _stripe(),
    {"state": {"url": "sqlite:///state.db"}, "vendors": {"stripe": {"credentials": "sk_test_1"}}},
    _stripe(base_url="http://localhost:8080", webhook_secrets=["whsec_1"]),
    {**_twilio(), "sms": {"vendor": "twilio", "countries": ["de", "FR"]}},
    {
        "vendors": {"stripe": _STRIPE, "wallet": _PAYPAL},
        "payments": [
            {"vendor": "wallet", "currencies": ["USD"]},
            {"vendor": ["stripe", "wallet"]},
        ],
    },
    {"tenants": {"acme": {"vendors": {"twilio": TWILIO}, "sms": {"vendor": "twilio"}}}},
    _endpoint(path="/rates/{country}/{year}", method="GET", cost=2),
    {"services": {"sums": {"timeout": 5, "circuit": {"failures": 3}}}},
    _service(credentials={"method": "basic", "username": "erp", "secret": "hidden"}),
    _service(base_url="http://intranet.example", redaction={"body_paths": ["customer.name"]}),
    {"credentials_from": {"url": "environment:"}, **_service(needs_credentials=True)},
    {"http": {"max_connections": 5, "guard": {"hosts": [".example"]}}, **_service()},
    {"vendors": {"smtp": {"host": "mail.example", "login": False, "port": 2525}}},
    {"vendors": {"main": {"kind": "twilio", "account_sid": SID, "credentials": "t"}}},
    {"environments": {"test": {"state": {"url": "memory:"}}}},
    _service(
        timeout=20,
        attempt_timeout=200,
        endpoints=[{"name": "export", "timeout": 300}, {"name": "rates"}],
        headers={"Authorization": "Token 7", "X-Shop": "$7", "X-Price": "100%"},
    ),
    _service(
        credentials={"method": "api_key_header", "name": "X-Key", "secret": "$hidden"},
        headers={"Authorization": "Basic 7"},
    ),
    {
        **_service(),
        "metrics": {"url": "sqlite:///figures.db"},
        "log": {"url": "sqlite:///figures.db"},
        "objectives": [{"name": "all", "availability": 0.99}],
        "health": {"probes": [{"service": "vat", "request": "/health"}]},
        "alerts": {
            "rules": [{"name": "stuck", "when": "dead_letters", "service": "outbox"}],
            "channels": {"ours": {"kind": "webhook", "service": "vat"}},
        },
    },
    {"http": {"guard": {"hosts": ["vat.example", ".example", "::1"]}}, **_service(timeout=10)},
    {
        **_twilio(),
        "log": {"url": "memory:"},
        "alerts": {
            "rules": {"name": "slow", "when": "p95", "above": 2, "channels": "phones"},
            "channels": {"phones": {"kind": "sms", "to": ["+4930123456"]}},
        },
    },
    {
        "tenants": {"acme": {"vendors": {"resend": {"credentials": "re_1"}}}},
        "alerts": {
            "channels": {"theirs": {"kind": "email", "to": "A <a@example.com>", "tenant": "acme"}}
        },
        "health": {"probes": [{"service": "acme.resend"}]},
    },
    _service(timeout=90, retry={"preset": "aggressive", "base_delay": 60, "max_attempts": 2}),
    _service(retry={"max_delay": 0.1}),
]
