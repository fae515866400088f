"""References in a configuration: environment variables, and secrets in other stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, Credentials, Secret
from moorage.config import read_configuration
from moorage.config.problems import REPORTED, Report
from moorage.config.tenants import read_tenant
from tests.config.broken import vendor

if TYPE_CHECKING:
    from pathlib import Path


def twilio(**fields: Any) -> Any:
    """Return the Twilio account of a configuration with these fields."""
    return read_configuration(vendor(**fields)).accounts[0]


def test_variables_with_fallbacks_are_filled_into_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration string may contain variables with fallbacks, and escaped dollar signs."""
    monkeypatch.setenv("OURS_SET", "set")
    monkeypatch.setenv("OURS_EMPTY", "")

    result = twilio(
        headers={
            "X-A": "a ${OURS_SET} b",
            "X-B": "${OURS_UNSET:-fall:-back}",
            "X-C": "${OURS_EMPTY:-fallback}",
            "X-D": "$${OURS_SET} $$ $",
            "X-E": "${OURS_UNSET:-}",
            "X-F": "${OURS_EMPTY}",
        }
    )

    assert {
        "x-a": "a set b",
        "x-b": "fall:-back",
        "x-c": "fallback",
        "x-d": "${OURS_SET} $$ $",
        "x-e": "",
        "x-f": "",
    } == {name.lower(): value for name, value in result.settings["headers"].items()}


def test_variable_becomes_the_fields_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A string that is just one variable becomes a number, boolean or table if one is needed."""
    monkeypatch.setenv("OURS_TIMEOUT", "7.5")
    monkeypatch.setenv("OURS_SAYS", "007")
    monkeypatch.setenv("OURS_MONEY", "true")
    monkeypatch.setenv("OURS_LIMITS", '[{ rate = 5, per = "minute" }]')

    result = twilio(
        timeout="${OURS_TIMEOUT}",
        api_key="${OURS_SAYS}",
        moves_money="${OURS_MONEY}",
        limits="${OURS_LIMITS}",
    )

    assert (7.5, True) == (result.settings["timeout"], result.settings["moves_money"])
    assert "007" == result.vendor.api_key
    assert 60.0 == result.settings["limits"][0].per


@pytest.mark.parametrize("text", ["7 # seconds\ny = 8", "soon", "["])
def test_variable_of_a_wrong_type_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A variable whose value is not a number is refused where a number is needed."""
    monkeypatch.setenv("OURS_TIMEOUT", text)

    with pytest.raises(ConfigurationError, match="The value is a string, not a number"):
        twilio(timeout="${OURS_TIMEOUT}")


@pytest.mark.parametrize("text", ["12345678", "1e5", "true", "nan", "2026-01-31"])
def test_secret_that_looks_like_another_type_is_kept(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """A token of digits in a variable is a secret, even if the setting accepts other types."""
    monkeypatch.setenv("TOKEN", text)
    monkeypatch.setenv("MOORAGE_SERVICES__GOODS__CREDENTIALS", text)
    configured = read_configuration(
        {
            "services": {
                "vat": {"base_url": "https://vat.example", "credentials": "${TOKEN}"},
                "goods": {"base_url": "https://goods.example"},
            },
            "vendors": {"stripe": {"credentials": "${TOKEN}", "webhook_secrets": "${TOKEN}"}},
        }
    )

    for service in configured.services:
        assert isinstance(service.credentials, Credentials)
        secret = service.credentials.secret
        assert secret is not None
        assert text == secret.reveal()
    (account,) = configured.accounts
    assert [text] == [secret.reveal() for secret in account.webhook_secrets]


def test_secret_reference_reads_a_variable_or_a_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret reference reads a variable or a file once, and never shows the secret."""
    monkeypatch.setenv("OURS_NAME", "OURS_SECRET")
    monkeypatch.setenv("OURS_SECRET", "hidden")
    (tmp_path / "key").write_text("hidden too\n")
    path = tmp_path / "moorage.toml"
    path.write_text(
        "[vendors.adyen]\n"
        'merchant_account = "x"\n'
        'credentials = "secret://env/${OURS_NAME}"\n'
        f'webhook_secrets = ["secret://file/key", "secret://file/{tmp_path}/key"]\n'
    )

    result = read_configuration(path)

    (account,) = result.accounts
    adyen: Any = account.vendor
    assert Secret("hidden") == adyen.credentials
    assert (Secret("hidden too"),) * 2 == account.webhook_secrets
    assert () == result.warnings
    assert "hidden" not in repr(result)


def test_each_reference_to_missing_secret_is_reported_with_its_path() -> None:
    """Each reference to a missing secret is reported with its path."""
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(
            {
                **vendor(credentials="secret://env/NOT_SET_0", api_key="${NOT_SET_0:-x}"),
                "services": {"vat": {"credentials": "secret://env/NOT_SET_0"}},
            }
        )

    places = ("vendors.twilio.credentials", "services.vat.credentials")
    assert places == tuple(problem.path for problem in excinfo.value.problems)


@pytest.mark.parametrize("content", ["", "x" * 65_537])
def test_empty_or_too_long_secret_file_is_refused(tmp_path: Path, content: str) -> None:
    """A secret file that is empty or too long is refused."""
    (tmp_path / "key").write_text(content)

    with pytest.raises(ConfigurationError, match="does not exist or is empty"):
        twilio(credentials=f"secret://file/{tmp_path}/key")


def test_secret_of_a_service_is_used_as_a_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret of a service, or of its region, is used as a bearer token."""
    monkeypatch.setenv("OURS_TOKEN", "hidden")
    (service,) = read_configuration(
        {
            "services": {
                "vat": {
                    "credentials": "secret://env/OURS_TOKEN",
                    "regions": [
                        {"name": "a", "base_url": "https://a.example", "credentials": "other"},
                        {"name": "b", "base_url": "https://b.example"},
                    ],
                }
            }
        }
    ).services

    assert moorage.Credentials.bearer("hidden") == service.credentials
    assert moorage.Credentials.bearer("other") == service.regions[0].credentials
    assert service.regions[1].credentials is None


def test_credentials_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that cannot be sent in a request is refused with its path."""
    monkeypatch.setenv("OURS_TOKEN", "a\nb")

    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration({"services": {"vat": {"credentials": "secret://env/OURS_TOKEN"}}})

    assert "services.vat.credentials" == excinfo.value.path
    assert "a\nb" not in str(excinfo.value)


def test_missing_variable_that_occurs_twice_in_one_text_is_one_problem() -> None:
    """If a string refers to a missing variable twice, only one problem is reported."""
    with pytest.raises(ConfigurationError) as excinfo:
        twilio(headers={"X-A": "${OURS_UNSET} and ${OURS_UNSET}"})
    (problem,) = excinfo.value.problems
    assert "OURS_UNSET is not set" in problem.found


def test_value_built_from_an_unreadable_secret_is_not_reported_again() -> None:
    """If a secret cannot be read, no second problem is reported for a value that contains it."""
    report = Report()
    stand_in = report.unreadable_placeholder("vendors.ours.account")
    assert REPORTED is report.make_or_report(
        lambda: [][int(stand_in.reveal())], "vendors.ours.account"
    )
    assert [] == report.problems


def test_tables_of_a_stored_tenant_name_no_secret_provider() -> None:
    """The error for a provider in a tenant's stored tables suggests only the built-in ones."""
    account = {"kind": "resend", "sender": "erp@acme.example", "credentials": "secret://vault/x"}
    with pytest.raises(ConfigurationError, match="no secret provider named vault") as excinfo:
        read_tenant("acme", {"vendors": {"mail": account}}, ())
    assert ["Use one of: env, file."] == [problem.remedy for problem in excinfo.value.problems]
