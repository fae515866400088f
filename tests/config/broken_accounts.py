"""Broken configurations of accounts, routes and secrets, in the format of `broken_settings`."""

from __future__ import annotations

from typing import Any, Final

from tests.config.broken import SID, TWILIO

_OWN: Final = {"volatile_keys": True}
_SMTP: Final = {"host": "mail.example"}
_AWS: Final = {"region": "eu-central-1", "access_key_id": "AKIAIOSFODNN7EXAMPLE"}


def _account(kind: str, **fields: Any) -> dict[str, Any]:
    return {"vendors": {kind: fields}}


def _key(kind: str, key: str, words: str, **fields: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a row with an account's invalid credentials, their path and the expected problem."""
    return _account(kind, credentials=key, **fields), {f"vendors.{kind}.credentials": words}


def _stripe(**fields: Any) -> dict[str, Any]:
    return _account("stripe", **_OWN, **{"credentials": "sk_test_1", **fields})


def _service(**fields: Any) -> dict[str, Any]:
    return {"services": {"vat": {"base_url": "https://vat.example", **fields}}}


def _secrets(**fields: Any) -> dict[str, Any]:
    return {"secrets": {"ours": fields}}


def _two_accounts(**fields: Any) -> dict[str, Any]:
    accounts = {"main": {"kind": "twilio", **TWILIO}, "spare": {"kind": "twilio", **TWILIO}}
    return {"vendors": accounts, "sms": {"vendor": ["main", "spare"], **fields}}


_VAT: Final = "services.vat"

ACCOUNTS: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    # keys of another vendor, or for another purpose
    _key("stripe", "pk_test_1", "a publishable key of Stripe", **_OWN),
    _key("stripe", "whsec_1", "into webhook_secrets", **_OWN),
    _key("stripe", "acct_1", "id of an account at Stripe", **_OWN),
    (
        _stripe(webhook_secrets=["whsec_1", "sk_live_1"]),
        {"vendors.stripe.webhook_secrets": "secret key of Stripe"},
    ),
    (
        _stripe(credentials="whsec_1", webhook_secrets="sk_test_1", timeout=0),
        {
            "vendors.stripe.credentials": "put this value into webhook_secrets",
            "vendors.stripe.webhook_secrets": "Give the signing secret",
            "vendors.stripe.timeout": "more than zero",
        },
    ),
    (_stripe(connected="sk_test_1"), {"vendors.stripe.connected": "begins with acct_"}),
    _key("mollie", "sk_test_1", "begins with live_ or test_", **_OWN),
    _key("mollie", "pfl_1", "a profile at Mollie", **_OWN),
    _key("checkout_com", "sk_test_1", "a secret key of Stripe", **_OWN),
    _key("checkout_com", "pk_sbox_1", "a public key of Checkout.com", **_OWN),
    _key("gocardless_payments", "sk_test_1", "a secret key of Stripe", **_OWN),
    _key("razorpay", "rzp_test_1", "the id of an API key", key_id="rzp_test_1", **_OWN),
    _key("square", "sq0idp-1", "the id of an application", **_OWN),
    _key("square", "sandbox-sq0csb-1", "the secret of an application", **_OWN),
    _key(
        "braintree", "sk_test_1", "a secret key of Stripe", public_key="a", currency="EUR", **_OWN
    ),
    _key("adyen", "re_1", "web service user", merchant_account="ours", **_OWN),
    _key("sendgrid", "re_1", "an API key of Resend"),
    _key("resend", "SG.a.b", "begins with re_"),
    _key("mailersend", "xkeysib-1", "begins with mlsn."),
    _key("sendgrid", "mlsn.1", "an API token of MailerSend"),
    _key("brevo", "xsmtpsib-1", "an SMTP key of Brevo"),
    _key("sendgrid", "xkeysib-1", "an API key of Brevo"),
    _key("postmark", "SG.a.b", "API token of the server"),
    _key("mailgun", "re_1", "API key of the account", domain="mg.example.com"),
    _key("twilio", SID, "the SID of an account", account_sid=SID),
    _key("twilio", "SK" + "0" * 32, "secret of the API key", account_sid=SID),
    _key("shippo", "EZAK1", "begins with shippo_live_"),
    _key("shippo", "ShippoToken shippo_test_1", "the name of its scheme"),
    _key("easypost", "shippo_test_1", "begins with EZAK"),
    _key("shipengine", "EZTK1", "an API key of EasyPost"),
    _key("amazon_ses", "AKIAIOSFODNN7EXAMPLE", "the secret access key", **_AWS),
    _key("resend", "Bearer re_1", "the name of its scheme"),
    (
        _account("sendgrid", credentials="SG.a.b", validation_credentials="re_1"),
        {"vendors.sendgrid.validation_credentials": "an API key of Resend"},
    ),
    # tokens that already begin with the word `Bearer`, which is added to them
    (_service(credentials="Bearer xyz"), {f"{_VAT}.credentials": "without this word"}),
    (_service(credentials="bearer xyz"), {f"{_VAT}.credentials": "the word Bearer"}),
    (_service(credentials="Basic eHl6"), {f"{_VAT}.credentials": "such as basic"}),
    (
        _service(credentials={"method": "bearer", "secret": "TOKEN xyz"}),
        {f"{_VAT}.credentials": "the word Token"},
    ),
    (
        _service(credentials={"access_token": "Bearer xyz"}),
        {f"{_VAT}.credentials": "without this word"},
    ),
    # logins at a mail server
    (_account("smtp", login=False, username="a", **_SMTP), {"vendors.smtp.login": "turned off"}),
    (_account("smtp", login=False, credentials="a", **_SMTP), {"vendors.smtp.login": "Remove"}),
    (_account("smtp", credentials="a", **_SMTP), {"vendors.smtp.username": "no user name"}),
    # secret managers without TLS
    *(
        (
            _secrets(**fields),
            {f"secrets.ours.{name}": "it would send secrets unencrypted over the network"},
        )
        for fields, name in (
            ({"kind": "vault", "address": "http://vault.example:8200", "token": "a"}, "address"),
            ({"kind": "azure", "address": "http://ours.vault.azure.net"}, "address"),
            ({"kind": "gcp", "project": "ours", "endpoint": "http://10.0.0.7"}, "endpoint"),
            ({"kind": "aws", "region": "eu-central-1", "endpoint": "http://a.example"}, "endpoint"),
        )
    ),
    # routes with invalid conditions
    (_two_accounts(prefer="cost"), {"sms.prefer": "none of its accounts has a cost: main, spare"}),
    (
        {"tenants": {"acme": _two_accounts(prefer="cost")}},
        {"tenants.acme.sms.prefer": "Give these accounts a cost"},
    ),
    (_two_accounts(countries=["US"]), {"sms.countries": "belongs to US"}),
    (_two_accounts(countries=["DE", "CA", "US"]), {"sms.countries": "to CA, US"}),
    (_two_accounts(countries=["+1"]), {"sms.countries": "two letters"}),
    (_two_accounts(countries=["USA"], prefer="cost"), {"sms.countries": "two letters"}),
    # invalid host names
    *(
        (_service(base_url=f"https://{host}"), {f"{_VAT}.base_url": "not a valid name or addr"})
        for host in ("vat..example", ".example", f"{'a' * 64}.example", "10.0.0.256", "[1:2]", "1")
    ),
    (
        {"services": {"vat": {"regions": [{"name": "eu", "base_url": "https://eu..example"}]}}},
        {f"{_VAT}.regions[0].base_url": "not a valid name or address"},
    ),
    # invalid limits and durations
    (
        _service(limits=[{"rate": 5}, {"rate": 9}, {"rate": 5}]),
        {f"{_VAT}.limits[2]": "Two limits are identical"},
    ),
    (
        _service(endpoints=[{"name": "a", "limits": [{"rate": 5}, {"rate": 5}]}]),
        {f"{_VAT}.endpoints[0].limits[1]": "Remove one of the limits"},
    ),
    (
        _service(timeout=5, retry={"base_delay": 10}),
        {f"{_VAT}.retry.base_delay": "timeout of a call, 5 seconds"},
    ),
    (
        _service(
            endpoints=[
                {
                    "name": "a",
                    "timeout": 2,
                    "attempt_timeout": 3,
                    "timeouts": {"connect": 4},
                    "hedge": {"delay": 5},
                    "retry": {"base_delay": 6},
                },
                {"name": "b", "timeout": 60, "attempt_timeout": 50},
            ]
        ),
        {
            f"{_VAT}.endpoints[0].attempt_timeout": "The wait of 3 seconds",
            f"{_VAT}.endpoints[0].timeouts.connect": "timeout of a call, 2 seconds",
            f"{_VAT}.endpoints[0].hedge.delay": "5 seconds",
            f"{_VAT}.endpoints[0].retry.base_delay": "6 seconds",
        },
    ),
    # URLs with query options that no store reads
    ({"state": {"url": "sqlite:///a.db?x=1"}}, {"state.url": "as %3F"}),
    (
        {
            "log": {"url": "sqlite:///a.db?mode=ro"},
            "metrics": {"url": "sqlite:///b.db?timeout=3"},
            "audit": {"url": "file:c.jsonl?sync=1"},
        },
        {
            "log.url": "has no options",
            "metrics.url": "options after a question mark",
            "audit.url": "Remove the options",
        },
    ),
    ({"state": {"url": "redis://host/0?x=1"}}, {"state.url": "an option 'x'"}),
    ({"state": {"url": "redis://host/0?max_connections=9"}}, {"state.url": "max_connections"}),
    (
        {
            "state": {"url": "postgresql://host/erp?slmode=require"},
            "log": {"url": "postgresql://host/erp?sslmode=yes"},
            "metrics": {"url": "postgresql://host/erp?connect_timeout=soon"},
        },
        {
            "state.url": "an option 'slmode'",
            "log.url": "sslmode in the URL has an unknown value",
            "metrics.url": "not a whole number",
        },
    ),
    (
        {
            "state": {"url": "mariadb://host/erp?time_out=3"},
            "log": {"url": "mariadb://host/erp?charset=utf9"},
            "metrics": {"url": "mysql://host/erp?connect_timeout=soon"},
        },
        {
            "state.url": "an option 'time_out'",
            "log.url": "charset in the URL has an unknown value",
            "metrics.url": "not a whole number",
        },
    ),
    ({"state": {"url": "redis://a..b/0"}}, {"state.url": "not a valid address of Redis"}),
    (
        {"state": {"url": "redis+cluster://a.example:1,b..example:2"}},
        {"state.url": "not a valid address of Redis"},
    ),
    ({"http": {"proxy": {"url": "http://a..b:1"}}}, {"http.proxy.url": "http://host:port"}),
    # settings that have no effect, or an unexpected one
    (
        _service(idempotency_header="Authorization", idempotency_memory=60),
        {f"{_VAT}.idempotency_header": "such as Idempotency-Key"},
    ),
    (
        _service(
            idempotency_header="Idempotency-Key",
            idempotency_memory=60,
            headers={"idempotency-key": "7"},
        ),
        {f"{_VAT}.headers": "different requests would have the same key"},
    ),
    (
        _service(bulkhead={"max_concurrent": 2, "max_wait": 5}),
        {f"{_VAT}.bulkhead.max_wait": "no caller may wait"},
    ),
    (
        _service(base_url="https://vat.example/{tenant}/v1"),
        {f"{_VAT}.base_url": "braces or angle brackets"},
    ),
    (
        _account("smtp", login=False, headers={"X-A": "7"}, base_url="https://a.example", **_SMTP),
        {"vendors.smtp.headers": "no HTTP requests", "vendors.smtp.base_url": "has no effect"},
    ),
    (
        _account("smtp", login=False, step_timeout=0, **_SMTP),
        {"vendors.smtp.step_timeout": "such as 30"},
    ),
    (
        _account("mollie", credentials="test_1", return_url="shop.example/paid", **_OWN),
        {"vendors.mollie.return_url": "complete URL"},
    ),
    (
        _account("checkout_com", credentials="sk_sbox_1", prefix="a.example/", **_OWN),
        {"vendors.checkout_com.prefix": "client id after cli_"},
    ),
    (
        _account("braintree", credentials="a", public_key="a|b", currency="euro", **_OWN),
        {
            "vendors.braintree.public_key": "not the public key",
            "vendors.braintree.currency": "such as EUR",
        },
    ),
    (
        _account("authorize_net", login_id="a|b", transaction_key="c", currency="euro", **_OWN),
        {
            "vendors.authorize_net.login_id": "not an API login id",
            "vendors.authorize_net.currency": "such as USD",
        },
    ),
    (
        _account("razorpay", credentials="a", key_id="a", return_url="/paid", **_OWN),
        {
            "vendors.razorpay.key_id": "begins with rzp_live_",
            "vendors.razorpay.return_url": "to which buyers can return",
        },
    ),
    (
        _account("gocardless_payments", credentials="a", return_url="/paid", **_OWN),
        {"vendors.gocardless_payments.return_url": "to which buyers can return"},
    ),
    (
        _account("adyen", credentials="a", merchant_account="b", return_url="/paid", **_OWN),
        {"vendors.adyen.return_url": "to which buyers can return"},
    ),
    (
        _account(
            "paypal",
            client_id="a",
            client_secret="b",
            sandbox=True,
            base_url="https://api-m.paypal.com",
            return_url="paid",
            **_OWN,
        ),
        {
            "vendors.paypal.return_url": "to which buyers can return",
            "vendors.paypal.base_url": "is the URL of the live system",
        },
    ),
    (
        _account(
            "s3",
            bucket="ours",
            region="eu-central-1",
            access_key_id="ASIAIOSFODNN7EXAMPLE",
            credentials="a",
        ),
        {"vendors.s3.session_token": "is temporary"},
    ),
    *(
        (_secrets(**fields), {f"secrets.ours.{name}": words})
        for fields, name, words in (
            (
                {"kind": "vault", "address": "https://a.example", "token": "a", "mount": "/"},
                "mount",
                "such as secret",
            ),
            (
                {"kind": "vault", "address": "https://a.example", "token": "a", "secret_id": "b"},
                "secret_id",
                "but role_id is missing",
            ),
            ({"kind": "aws", "region": "a", "session_token": "b"}, "session_token", "Set access"),
            (
                {"kind": "azure", "address": "https://a.example", "directory": "b"},
                "directory",
                "client_secret",
            ),
        )
    ),
    ({"audit": {"url": "sqlite:///a.db", "seal_every": 5}}, {"audit.seal_every": "no keys"}),
    (
        {"credentials_from": {"url": "environment:", "keys": f"1:{'A' * 43}="}},
        {"credentials_from.keys": "not encrypted"},
    ),
]
