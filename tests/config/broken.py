"""Configurations with one mistake each, the path of that mistake, and its remedy."""

from __future__ import annotations

import math
from typing import Any

SID = "AC" + "0" * 32
TWILIO: dict[str, Any] = {"account_sid": SID, "credentials": "token", "sender": "+15005550006"}


def vendor(**fields: Any) -> dict[str, Any]:
    """Return a configuration with a Twilio account that has these fields."""
    return {"vendors": {"twilio": {**TWILIO, **fields}}}


def route(**rules: Any) -> dict[str, Any]:
    """Return a configuration with a route for text messages that has these rules."""
    return {**vendor(), "sms": {"vendor": "twilio", **rules}}


def service(**fields: Any) -> dict[str, Any]:
    """Return a configuration with a service that has these fields."""
    return {"services": {"vat": {"base_url": "https://vat.example", **fields}}}


def provider(**fields: Any) -> dict[str, Any]:
    """Return a configuration with a secret provider that has these fields."""
    return {"secrets": {"ours": fields}}


def tenants_from(**fields: Any) -> dict[str, Any]:
    """Return a configuration with a tenant source that has these fields."""
    keys = f"1:{'A' * 43}="
    return {"tenants_from": {"url": "sqlite:///tenants.db", "keys": keys, **fields}}


STRUCTURAL: list[tuple[dict[str, Any], str, str]] = [
    ({"smz": {}}, "smz", "Did you mean sms?"),
    ({"nothing": {}}, "nothing", "Use $schema, accounting, alerts"),
    ({"state": {"uri": ""}}, "state.uri", "Did you mean url?"),
    ({"state": "memory:"}, "state", "Write a table."),
    ({"state": {"url": 7}}, "state.url", "Write a URL."),
    ({"vendors": []}, "vendors", "Write a table."),
    ({"vendors": {"twilo": {}}}, "vendors.twilo.kind", "Did you mean twilio?"),
    ({"vendors": {"x9": {}}}, "vendors.x9.kind", "Use one of: acrobat_sign"),
    ({"vendors": {"my shop": {}}}, 'vendors."my shop".kind', "Use one of: acrobat_sign"),
    ({"vendors": {"twilio": 3}}, "vendors.twilio", "Write a table."),
    ({"vendors": {"twilio": {}}}, "vendors.twilio.account_sid", "Write a string"),
    ({"vendors": {"s3": {}}}, "vendors.s3.bucket", "Write a string"),
    (vendor(account_sd="x"), "vendors.twilio.account_sd", "Did you mean account_sid?"),
    (vendor(tymeout=3), "vendors.twilio.tymeout", "Did you mean timeout?"),
    (vendor(sender=7), "vendors.twilio.sender", "Write a string."),
    (vendor(api_key=7), "vendors.twilio.api_key", "Write a string."),
    (vendor(kind=7), "vendors.twilio.kind", "Write the name of a kind."),
    (vendor(credentials=7), "vendors.twilio.credentials", "such as secret://env/NAME"),
    (vendor(webhook_secrets=[7]), "vendors.twilio.webhook_secrets[0]", "Write a secret"),
    (vendor(timeout="soon"), "vendors.twilio.timeout", "Write a number."),
    (vendor(timeout=True), "vendors.twilio.timeout", "Write a number."),
    (vendor(timeouts={"conect": 3}), "vendors.twilio.timeouts.conect", "Did you mean connect?"),
    (vendor(headers=7), "vendors.twilio.headers", "Write a table."),
    (vendor(headers={"X-A": 7}), "vendors.twilio.headers.X-A", "Write a string."),
    (vendor(circuit=7), "vendors.twilio.circuit", "Write a table or one of off."),
    (vendor(circuit={"failure": 7}), "vendors.twilio.circuit.failure", "Did you mean failures?"),
    (vendor(circuit={"shadow": 1}), "vendors.twilio.circuit.shadow", "Write true or false."),
    (vendor(circuit={"failures": 1.5}), "vendors.twilio.circuit.failures", "a whole number"),
    (vendor(limits=[["x"]]), "vendors.twilio.limits[0]", "Write a table."),
    (vendor(limits={"rate": 1, "per": "yeer"}), "vendors.twilio.limits.per", "Use one of: second"),
    (vendor(limits={"rate": 1, "per": []}), "vendors.twilio.limits.per", "a number or one of"),
    (vendor(limits={"per": 1}), "vendors.twilio.limits.rate", "Write a number"),
    (vendor(limits={"rate": 1, "calendar": "week"}), "vendors.twilio.limits.calendar", "day, mon"),
    (vendor(retry={"preset": "agressive"}), "vendors.twilio.retry.preset", "mean aggressive?"),
    (vendor(retry={"preset": []}), "vendors.twilio.retry.preset", "Use one of: default"),
    (vendor(retry={"preset": "none", "x": 1}), "vendors.twilio.retry.x", "Use backoff"),
    (vendor(retry={"tries": 3}), "vendors.twilio.retry.tries", "Use backoff"),
    (vendor(retry={"jitter": "ful"}), "vendors.twilio.retry.jitter", "Did you mean full?"),
    (vendor(retry=3), "vendors.twilio.retry", "Write a table."),
    (vendor(bulkhead={}), "vendors.twilio.bulkhead.max_concurrent", "Write a whole number"),
    (vendor(hedge={"max_extra": 1}), "vendors.twilio.hedge.delay", "Write a number"),
    (
        vendor(endpoints=[{"name": "send", "method": "SEND"}]),
        "vendors.twilio.endpoints[0].method",
        "Use one of: ",
    ),
    (
        {
            "vendors": {
                "adyen": {
                    "merchant_account": "x",
                    "multiple_captures": "false",
                    "volatile_keys": True,
                }
            }
        },
        "vendors.adyen.multiple_captures",
        "Write true or false.",
    ),
    (
        {"vendors": {"mailgun": {"domain": "mg.example.com", "region": "de"}}},
        "vendors.mailgun.region",
        "Use one of: us, eu.",
    ),
    (
        {"vendors": {"smtp": {"host": "mail.example.com", "security": "starttsl"}}},
        "vendors.smtp.security",
        "Did you mean starttls?",
    ),
    (
        {"vendors": {"smtp": {"host": "mail.example.com", "port": "smtp"}}},
        "vendors.smtp.port",
        "Write a whole number.",
    ),
    (
        {"vendors": {"plivo": {"auth_id": "MA" + "0" * 18, "webhook_version": 1}}},
        "vendors.plivo.webhook_version",
        "Use one of: 3, 2.",
    ),
    (
        {"vendors": {"brevo": {"webhook_authentication": "digest"}}},
        "vendors.brevo.webhook_authentication",
        "Use one of: bearer, basic.",
    ),
    (
        {"vendors": {"s3": {"bucket": "ours", "checksum": "md5"}}},
        "vendors.s3.checksum",
        "Use one of: ",
    ),
    (
        {"vendors": {"shipengine": {"carriers": 7}}},
        "vendors.shipengine.carriers",
        "a list of them",
    ),
    (
        {"vendors": {"dhl_express": {"account_number": "1", "ready": 17}}},
        "vendors.dhl_express.ready",
        "Write a time of day",
    ),
    ({"sms": [7]}, "sms[0]", "Write a table."),
    (route(vendor=7), "sms.vendor", "Write a string, or a list of them."),
    ({**vendor(), "sms": [{"vendor": [["x"]]}]}, "sms[0].vendor[0]", "Write a string."),
    ({**vendor(), "sms": {}}, "sms.vendor", "Write a string, or a list of them"),
    (route(countries=[7]), "sms.countries[0]", "Write a string."),
    (route(prefer="price"), "sms.prefer", "Use one of: order, cost."),
    (route(country="de"), "sms.country", "Did you mean countries?"),
    ({"services": {"vat": {"x": 1}}}, "services.vat.x", "Use attempt_timeout"),
    (service(regions=[{"name": "a"}]), "services.vat.regions[0].base_url", "Write a string"),
    (service(needs_credentials="yes"), "services.vat.needs_credentials", "true or false"),
    (service(retry_on=["x"]), "services.vat.retry_on", "Did you mean retry?"),
    (service(cache={"max_byte": 1}), "services.vat.cache.max_byte", "Did you mean max_bytes?"),
    ({"tenants": {"acme": {"x": {}}}}, "tenants.acme.x", ", email, "),
    ({"tenants": {"acme": 7}}, "tenants.acme", "Write a table."),
    (
        {"tenants": {"acme": {"vendors": {"twilio": {**TWILIO, "x": 1}}}}},
        "tenants.acme.vendors.twilio.x",
        "Use account_sid",
    ),
    ({"safety": {"dryrun": True}}, "safety.dryrun", "Did you mean dry_run?"),
    ({"safety": {"dry_run": "yes"}}, "safety.dry_run", "Write true or false."),
    ({"safety": {"recipients": [7]}}, "safety.recipients[0]", "Write a string."),
    ({"secrets": 7}, "secrets", "Write a table."),
    (provider(), "secrets.ours.kind", "Use one of: env, file, vault"),
    (provider(kind="vualt"), "secrets.ours.kind", "Did you mean vault?"),
    (provider(kind="env", prefx="A_"), "secrets.ours.prefx", "Did you mean prefix?"),
    (provider(kind="gcp"), "secrets.ours.project", "Write a string"),
]
"""Broken configurations that the JSON Schema refuses too."""

OTHERS: list[tuple[Any, str, str]] = [
    ({"version": 2}, "version", "Install a newer version of moorage"),
    ({"version": "1"}, "version", "the current version is 1"),
    ({"version": True}, "version", "the current version is 1"),
    (vendor(account_sid="x"), "vendors.twilio.account_sid", "Set AC"),
    (vendor(cost="much"), "vendors.twilio.cost", "Give a price"),
    (vendor(cost=math.nan), "vendors.twilio.cost", "Give a price"),
    (vendor(base_url="x"), "vendors.twilio.base_url", "Use only a scheme"),
    (vendor(timeout=-1), "vendors.twilio.timeout", "Set more than zero"),
    (
        vendor(limits={"rate": 1, "without_store": "go"}),
        "vendors.twilio.limits.without_store",
        "one of: refuse",
    ),
    (
        vendor(limits=[{"rate": 1, "without_store": 2}]),
        "vendors.twilio.limits[0].without_store",
        'Set "refuse", or',
    ),
    (vendor(limits=[{"rate": -1}]), "vendors.twilio.limits[0].rate", "above zero"),
    (vendor(retry={"max_attempts": 0}), "vendors.twilio.retry.max_attempts", "from 1"),
    (
        vendor(circuit={"failures": None, "consecutive_failures": None}),
        "vendors.twilio.circuit.failures",
        "Set failures",
    ),
    (vendor(sender="\ud800"), "vendors.twilio.sender", "Write it again."),
    (vendor(credentials="\ud800"), "vendors.twilio.credentials", "Write it again."),
    (vendor(api_key="secret://env/PATH"), "vendors.twilio.api_key", "${NAME}"),
    (vendor(credentials="secret://env/NOT_SET_0"), "vendors.twilio.credentials", "NOT_SET_0"),
    (vendor(credentials="secret://file/not/there"), "vendors.twilio.credentials", "that file"),
    (vendor(credentials="secret://vault/x"), "vendors.twilio.credentials", "[secrets.vault]"),
    (vendor(credentials="secret://evn/x"), "vendors.twilio.credentials", "Did you mean env?"),
    (vendor(credentials="secret://env"), "vendors.twilio.credentials", "secret://env/NAME"),
    (
        vendor(sender="${NOT_SET_0}"),
        "vendors.twilio.sender",
        "Set the variable, or write a default: ${NOT_SET_0:-",
    ),
    (vendor(sender="${}"), "vendors.twilio.sender", "Write ${NAME}"),
    (vendor(sender="${NAME"), "vendors.twilio.sender", "Write ${NAME}"),
    (vendor(sender="${A:-${B}}"), "vendors.twilio.sender", "not nested"),
    (route(vendor="twillio"), "sms.vendor", "Did you mean twilio?"),
    (route(vendor=["twilio", "nobody"]), "sms.vendor[1]", "Use one of: twilio."),
    (route(vendor=[]), "sms.vendor", "Name at least one account."),
    (
        {"sms": {"vendor": "twilio"}},
        "sms.vendor",
        "Configure an account first, in the table `vendors.twilio`.",
    ),
    (
        {**vendor(), "email": {"vendor": "twilio"}},
        "email.vendor",
        "Configure an account first, in the table `vendors`.",
    ),
    ({"payments": {"vendor": "strype"}}, "payments.vendor", "Did you mean stripe?"),
    (
        {**vendor(), "tenants": {"acme": {"sms": [{"vendor": "twillio"}]}}},
        "tenants.acme.sms[0].vendor",
        "Did you mean twilio?",
    ),
    (
        {
            "vendors": {"acme.twilio": {"kind": "twilio", **TWILIO}},
            "tenants": {"acme": {"vendors": {"twilio": TWILIO}}},
        },
        "tenants.acme.vendors.twilio",
        "Rename one of the accounts.",
    ),
    (
        {"vendors": {"dhl_express": {"account_number": "1", "username": "x"}}},
        "vendors.dhl_express.username",
        "",
    ),
    ({"vendors": {"a b": {"kind": "twilio", **TWILIO}}}, 'vendors."a b"', ""),
    (service(base_url="ftp:"), "services.vat.base_url", "Use only a scheme"),
    (service(timeout=16**6000), "services.vat.timeout", "Write a shorter number."),
    (service(credentials="secret://env/NOT_SET_0"), "services.vat.credentials", "NOT_SET_0"),
    ({"version": 16**6000}, "version", "Write a shorter number."),
    ({"version": 0, "routes": [{"cost": 16**6000}]}, "routes[0].cost", "Write a shorter number."),
    ({"version": 0, 7: {}}, "7", "Use "),
    ({"version": 0, "accounts": {7: TWILIO}}, "vendors.7", "quotation marks"),
    (
        {"version": 0, "accounts": {"twilio": {**TWILIO, "sender": "\ud800"}}},
        "vendors.twilio.sender",
        "Write it again.",
    ),
    ({"state": {"url": "redis://host:99999999/0"}}, "state.url", "Use redis://"),
    ({"state": {"url": "postgresql://host:port/name"}}, "state.url", "Pass a URL"),
    ({"state": {"url": "sqlite:///\0"}}, "state.url", "Pass the path"),
    (tenants_from(url="redis://host"), "tenants_from.url", "Use sqlite:///"),
    (tenants_from(url="postgresql://host:port/name"), "tenants_from.url", "Pass a URL"),
    (tenants_from(keys="hidden"), "tenants_from.keys", "version:key"),
    ({"log": {"url": "redis://host"}}, "log.url", "Use memory:, sqlite:///"),
    ({"log": {"url": "postgresql://host:port/name"}}, "log.url", "Pass a URL"),
    ({"log": {"url": "sqlite:///\0"}}, "log.url", "Use a path"),
    ({"log": {}}, "log.url", "Write a URL"),
    (tenants_from(every=0), "tenants_from.every", "more than zero"),
    ({"services": {"": {"base_url": "https://a.example"}}}, 'services.""', ""),
    (service(regions=[{"name": "a", "base_url": "https://a.example"}]), "services.vat.regions", ""),
    (service(cache={"heuristic": 2}), "services.vat.cache.heuristic", "from 0 to 1"),
    (provider(kind="vault", address="https://v.example"), "secrets.ours.token", "Give one of"),
    (
        provider(kind="vault", address="https://v.example", token="a", role_id="b"),
        "secrets.ours.token",
        "Give one of",
    ),
    (provider(kind="vault", address="v", token="a"), "secrets.ours.address", "Use only a scheme"),
    (
        {
            **provider(kind="vault", address="v", token="a"),
            **vendor(credentials="secret://ours/twilio"),
        },
        "secrets.ours.address",
        "Use only a scheme",
    ),
    (provider(kind="aws", region="x", access_key_id="a"), "secrets.ours.secret_access_key", "both"),
    (
        provider(kind="aws", region="x", secret_access_key="a"),
        "secrets.ours.access_key_id",
        "both",
    ),
    (
        provider(kind="azure", address="https://v.example", client_secret="a"),
        "secrets.ours.client_id",
        "Set client_id",
    ),
    (provider(kind="sqlite", path="a.db", keys="x"), "secrets.ours.keys", ""),
    (
        {
            "safety": {"live": False},
            "vendors": {"stripe": {"credentials": "sk_live_0", "volatile_keys": True}},
        },
        "vendors.stripe",
        "correct `safety.live`",
    ),
    ({"safety": {"recipients": ["a b"]}}, "safety.recipients[0]", ""),
    ({"environments": 7}, "environments", "a table for each"),
    (None, "configuration", "Pass the path of a file, or a mapping."),
    ("\0", "configuration", "Pass the path of a file, or a mapping."),
    ("nowhere.toml", "configuration", "Pass the path of a file, or a mapping."),
    ({"services": {7: {}}}, "services.7", "quotation marks"),
    ({7: {}}, "7", "Use "),
]
"""Broken configurations that only reading them refuses."""
