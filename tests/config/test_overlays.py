"""Configurations with overrides from environments and environment variables."""

from __future__ import annotations

import os
from typing import Any

import pytest

from moorage import ConfigurationError
from moorage.config import read_configuration
from tests.config.broken import TWILIO, vendor

OVERLAID: dict[str, Any] = {
    **vendor(timeout=20.0, limits=[{"rate": 1}, {"rate": 2}]),
    "safety": {"dry_run": True, "recipients": ["example.com"], "live": False},
    "environments": {
        "production": {
            "safety": {"dry_run": False, "live": True},
            "vendors": {"twilio": {"limits": [{"rate": 50}]}},
            "services": {"vat": {"base_url": "https://vat.example"}},
        },
        "staging": {},
    },
}


def test_environment_tables_are_merged_into_general_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of an environment are merged into the general tables.

    Other values are replaced.
    """
    plain_configuration = read_configuration(OVERLAID)
    result = read_configuration(OVERLAID, "production")
    monkeypatch.setenv("MOORAGE_ENVIRONMENT", "production")
    second_configuration = read_configuration(OVERLAID)
    staging = read_configuration(OVERLAID, environment="staging")

    assert (None, "production", "production", "staging") == (
        plain_configuration.environment,
        result.environment,
        second_configuration.environment,
        staging.environment,
    )
    assert ("production", "staging") == plain_configuration.environments
    assert (True, ("example.com",), False) == (
        plain_configuration.safety.dry_run,
        plain_configuration.safety.recipients,
        plain_configuration.safety.live,
    )
    assert plain_configuration.safety == staging.safety
    assert (False, ("example.com",), True) == (
        result.safety.dry_run,
        result.safety.recipients,
        result.safety.live,
    )
    settings = result.accounts[0].settings
    assert (20.0, [50]) == (settings["timeout"], [limit.rate for limit in settings["limits"]])
    assert 1 == len(result.services)
    assert result == second_configuration
    assert "the environment production" == result.origins["safety.live"]
    assert {} == plain_configuration.origins


def test_any_environment_name_without_overlays() -> None:
    """A configuration without environments is the same under any environment name."""
    assert "staging" == read_configuration(vendor(), "staging").environment


@pytest.mark.parametrize(
    "environments, path, remedy",
    [
        ({"production": {}}, "environments", "Did you mean production?"),
        ({"x": {}}, "environments", "Use one of: x; or add [environments.prodution]"),
        ({}, "environments", "Use one of: none"),
        ({"prodution": 7}, "environments.prodution", "Write the settings that differ"),
        ({"prodution": {"version": 1}}, "environments.prodution.version", "Remove it"),
        ({"prodution": {"environments": {}}}, "environments.prodution.environments", "Remove it"),
        ({"prodution": {"services": {"a": {"x": 1}}}}, "services.a.x", "Use attempt_timeout"),
    ],
)
def test_invalid_environments_are_refused(environments: Any, path: str, remedy: str) -> None:
    """An unknown environment, or one with a setting that environments cannot change, is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration({"environments": environments}, "prodution")

    assert path == excinfo.value.path
    assert remedy in excinfo.value.problems[0].remedy


def test_problem_names_the_environment_or_variable_of_its_value() -> None:
    """A problem of an overridden value names the environment or variable of the value."""
    with pytest.raises(ConfigurationError, match=r"\(from the environment production\)"):
        read_configuration(
            {"environments": {"production": {"services": {"a": {"x": {"y": 1}}}}}}, "production"
        )


def test_environment_variable_overrides_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable in upper or lower case overrides a setting, parsed as the setting's type."""
    for name, value in {
        "MOORAGE_STATE__URL": "secret://env/OURS_URL",
        "OURS_URL": "memory:",
        "MOORAGE_VENDORS__TWILIO__TIMEOUT": "5",
        "MOORAGE_VENDORS__TWILIO__API_KEY": "0012",
        "MOORAGE_VENDORS__TWILIO__SENDER": '"+1500"',
        "MOORAGE_VENDORS__TWILIO__LIMITS": '[{ rate = 5, per = "hour" }]',
        "moorage_vendors__twilio__moves_money": "true",
        "MOORAGE_TENANTS__ACME_FR__SMS__VENDOR": '["twilio"]',
        "MOORAGE_SMS__VENDOR": "twilio",
        "MOORAGE_SERVICES__VAT__RETRY__PRESET": "none",
        "MOORAGE_SERVICES__VAT__HEADERS__X_A": "$ ${NOT_A_REFERENCE",
        "MOORAGE_SAFETY__RECIPIENTS": "example.com",
        "MOORAGE_CREDENTIAL_SHOP__ACME": "no business of ours",
        "MOORAGE_NOTHING_OF_OURS__A": "no business of ours",
        "MOORAGE_STATE": "no part of a table",
        "MOORAGE___A": "no part of a table",
    }.items():
        monkeypatch.setenv(name, value)
    result = read_configuration(
        {
            **vendor(timeout=20.0),
            "services": {"vat": {"base_url": "https://vat.example"}},
            "tenants": {"acme-fr": {"sms": {"vendor": "twilio", "countries": ["fr"]}}},
        }
    )

    (account,) = result.accounts
    twilio: Any = account.vendor
    (service,) = result.services
    assert "memory:" == result.state
    assert (5, True) == (account.settings["timeout"], account.settings["moves_money"])
    assert ("0012", "+1500") == (twilio.api_key, twilio.sender)
    assert [3_600.0] == [limit.per for limit in account.settings["limits"]]
    assert {("twilio",)} == {route.accounts for route in result.routes}
    assert {None, "acme-fr"} == {route.tenant for route in result.routes}
    assert service.retry is not None
    assert 1 == service.retry.max_attempts
    assert [("x_a", "$ ${NOT_A_REFERENCE")] == list(service.headers.items())
    assert ("example.com",) == result.safety.recipients
    assert (
        "the environment variable MOORAGE_VENDORS__TWILIO__TIMEOUT"
        == result.origins["vendors.twilio.timeout"]
    )


def test_environment_variable_creates_missing_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable for a nested setting creates the missing tables on its path."""
    monkeypatch.setenv("MOORAGE_VENDORS__LOCAL_FILES__ROOT", "/srv/files")

    result = read_configuration({"vendors": {"local_files": None}})

    assert ["local_files"] == [account.name for account in result.accounts]


def test_variable_that_fits_two_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable whose name fits two services is refused, and changes neither of them."""
    monkeypatch.setenv("MOORAGE_SERVICES__MY_SHOP__TIMEOUT", "3")
    services = {name: {"base_url": "https://shop.example"} for name in ("my-shop", "my_shop")}

    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration({"services": services})
    monkeypatch.delenv("MOORAGE_SERVICES__MY_SHOP__TIMEOUT")
    assert 2 == len(read_configuration({"services": services}).services)

    assert "services.my-shop" == excinfo.value.path
    assert "MOORAGE_SERVICES__MY_SHOP__TIMEOUT sets my-shop or my_shop" in excinfo.value.message


@pytest.mark.skipif(os.name == "nt", reason="names of variables have no case on this system")
def test_two_variables_of_one_setting_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two spellings of one variable are refused if they differ, and one of them is not used."""
    source = {"services": {"vat": {"base_url": "https://vat.example"}}}
    monkeypatch.setenv("MOORAGE_SERVICES__VAT__TIMEOUT", "5")
    monkeypatch.setenv("moorage_services__vat__timeout", "7")

    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(source)
    assert "moorage_services__vat__timeout" == excinfo.value.path
    assert "MOORAGE_SERVICES__VAT__TIMEOUT sets the same setting" in excinfo.value.message

    monkeypatch.setenv("moorage_services__vat__timeout", "5")
    assert 5 == read_configuration(source).services[0].timeout


@pytest.mark.skipif(os.name == "nt", reason="names of variables have no case on this system")
def test_variable_of_a_table_keeps_variables_of_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A variable of a whole table comes before those of its settings, also in lower case."""
    monkeypatch.setenv("moorage_services__vat", '{ base_url = "https://vat.example", timeout = 5 }')
    monkeypatch.setenv("MOORAGE_SERVICES__VAT__TIMEOUT", "7")

    (service,) = read_configuration({}).services
    assert ("https://vat.example", 7) == (service.base_url, service.timeout)


def test_variable_keeps_the_other_settings_in_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable sets a field of a list's only table; with several tables it is refused."""
    monkeypatch.setenv("MOORAGE_SERVICES__VAT__LIMITS__RATE", "7")

    def limits(*tables: dict[str, Any]) -> Any:
        vat = {"base_url": "https://vat.example", "limits": list(tables)}
        return read_configuration({"services": {"vat": vat}}).services[0].limits

    (limit,) = limits({"rate": 5, "burst": 20})
    assert (7, 20) == (limit.rate, limit.burst)

    with pytest.raises(ConfigurationError, match="whole list") as excinfo:
        limits({"rate": 5}, {"rate": 100, "per": "hour"})
    assert ["services.vat.limits"] == [problem.path for problem in excinfo.value.problems]
    assert "the environment variable MOORAGE_SERVICES__VAT__LIMITS__RATE" in str(excinfo.value)


def test_unknown_setting_of_a_route_explains_how_to_fail_over() -> None:
    """An unknown route setting, such as `fallback`, is refused with advice to list the vendors."""
    with pytest.raises(ConfigurationError, match="set `vendor` to a list") as refused:
        read_configuration({"payments": {"vendor": "stripe", "fallback": "adyen"}})

    assert "payments.fallback" in str(refused.value)


@pytest.mark.parametrize(
    "variable, path, remedy",
    [
        ("MOORAGE_VENDORS__TWILIO__TYMEOUT", "vendors.twilio.tymeout", "Did you mean timeout?"),
        ("MOORAGE_VENDORS__TWILIO__TIMEOUT", "vendors.twilio.timeout", "Write a number."),
        ("MOORAGE_VENDORS__TWILIO__TIMEOUT__X", "vendors.twilio.timeout", "Write a number."),
        ("MOORAGE_VENDOR__TWILIO__X", "MOORAGE_VENDOR__TWILIO__X", "mean MOORAGE_VENDORS__TWILIO"),
        ("MOORAGE_SMS__0__VENDOR", "sms.0", "Use countries"),
        ("MOORAGE_VENDORS__TWILIO__TIMEOUT__", "MOORAGE_VENDORS__TWILIO__TIMEOUT__", "two under"),
        ("MOORAGE_SERVICES__VATT__TIMEOUT", "services.vatt", "Did you mean vat?"),
        ("MOORAGE_SERVICES__CRM__TIMEOUT", "services.crm", "set base_url too"),
        ("MOORAGE_VENDORS____TWILIO", "MOORAGE_VENDORS____TWILIO", "two underscores"),
    ],
)
def test_invalid_environment_variable_is_reported_by_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, path: str, remedy: str
) -> None:
    """An invalid value from a variable is reported with the variable's name."""
    monkeypatch.setenv(variable, "soon")

    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration({"vendors": {"twilio": TWILIO}, "services": {"vat": {}}})

    problem = excinfo.value.problems[0]
    assert (path, True) == (problem.path, remedy in problem.remedy)
    assert variable in str(problem)


def test_environment_must_be_a_text() -> None:
    """The name of an environment that is no text is refused, with the type of the value."""
    wrong: Any = 5
    with pytest.raises(ConfigurationError, match="is an int, not a text") as excinfo:
        read_configuration(OVERLAID, wrong)
    assert "environment" == excinfo.value.path
