"""The default store for payment keys, if the configuration names none."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError
from moorage.config import read_configuration
from moorage.config.default_state import default_url
from moorage.contracts.payments import Charge, Money
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.wiring.store_urls import open_storage
from tests.support.access import without_privileges
from tests.support.command import command

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-7")
VARIABLE = "MOORAGE_STATE_DIRECTORY"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that does not exist yet, named by an environment variable."""
    previous_url = os.environ[VARIABLE]
    os.environ[VARIABLE] = str(tmp_path / "a b" / "state")
    yield tmp_path / "a b" / "state"
    os.environ[VARIABLE] = previous_url


def tables(stripe: StripeSandbox, **more: Any) -> dict[str, Any]:
    """Return a configuration that accepts payments but has no store."""
    return {
        "payments": {"vendor": "stripe"},
        "vendors": {"stripe": {"credentials": stripe.api_key, **more}},
    }


def test_second_hub_finds_first_hub_payment_keys_in_default_file(folder: Path) -> None:
    """A second hub finds the first hub's payment keys in the default file, in a private folder."""
    stripe = StripeSandbox()
    for is_replayed in (False, True):
        with moorage.open(tables(stripe), http=SandboxHttpClient(stripe)) as hub:
            receipt = hub.payments().charge(ORDER, idempotency_key="INV-7/1")
            assert is_replayed is receipt.replayed
    assert 1 == len(stripe.charges)
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert 0o600 == stat.S_IMODE((folder / "state.db").stat().st_mode)


@pytest.mark.parametrize(
    "variables, environment, url",
    [
        ({VARIABLE: "/srv/a b"}, None, "sqlite:////srv/a%20b/state.db"),
        ({"STATE_DIRECTORY": "/var/lib/shop:/x"}, None, "sqlite:////var/lib/shop/state.db"),
        ({"XDG_STATE_HOME": "/x"}, "prod/eu", "sqlite:////x/moorage/state.prod%252Feu.db"),
    ],
)
def test_environment_variable_sets_the_file(
    variables: dict[str, str], environment: str | None, url: str
) -> None:
    """An environment variable sets the state folder, with one file for each environment."""
    assert url == default_url(variables, environment)


def test_relative_xdg_state_home_is_ignored() -> None:
    """A relative XDG_STATE_HOME is ignored, as the XDG specification demands."""
    url = default_url({"XDG_STATE_HOME": "here"}, None)
    assert f"{Path.home()}/.local/state/moorage/state.db" == url.removeprefix("sqlite:///")


@pytest.mark.parametrize("fields", [{"volatile_keys": True}, None])
def test_no_file_without_durable_keys(folder: Path, fields: dict[str, bool] | None) -> None:
    """No state file is created if no account moves money, or if a crash may lose keys."""
    result = {} if fields is None else tables(StripeSandbox(), **fields)
    moorage.open(result).close()
    assert read_configuration(result).store is None
    assert not folder.exists()


def test_store_of_the_program_comes_first(folder: Path) -> None:
    """If the program passes a state store or a claim store, no default file is created."""
    store = open_storage(f"sqlite:///{folder.parent.parent}/own.db")
    result = tables(StripeSandbox())
    for port in ("state", "claims"):
        moorage.open(result, **{port: store}).close()
    assert not folder.exists()


@pytest.mark.parametrize("problem", ["file", "world", "missing", "foreign"])
def test_folder_that_cannot_be_used_is_refused(folder: Path, problem: str) -> None:
    """If the state folder is unusable, the error names the file, the reason and a remedy."""
    match problem:
        case "file":
            folder.parent.write_text("not a folder")
        case "world":
            folder.mkdir(parents=True)
            folder.chmod(0o777)
        case "foreign":
            folder.mkdir(parents=True)
            folder.chmod(0o500)
        case _:
            os.environ[VARIABLE] = "/proc/nowhere"
    with (
        pytest.raises(ConfigurationError, match="survives a crash") as excinfo,
        without_privileges(),
    ):
        moorage.open(tables(StripeSandbox()))
    assert "state.url" == excinfo.value.path
    assert "state.db cannot be used" in excinfo.value.message
    assert VARIABLE in excinfo.value.remedy


def test_commands_use_the_same_file(folder: Path) -> None:
    """Commands use the same default state file as the program, even before its first start."""
    file = folder.parent.parent / "moorage.toml"
    stripe = '[vendors.stripe]\ncredentials = "sk_test_1"\n'
    file.write_text(f'[payments]\nvendor = "stripe"\n{stripe}')
    assert 0 == command("payments", "unsettled", "--config", str(file)).code
    assert (folder / "state.db").exists()
