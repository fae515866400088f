"""The command `manage.py moorage`."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command

from moorage import ConnectionFailed, CopiedStore, Credentials, LogQuery
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher
from moorage.domain.state.sealing import KeyRing
from moorage.hub.copied_stores import rearm
from moorage.testing.sandboxes.base import Lost
from moorage_django import after_commit, hub
from moorage_django.management.commands.moorage import Command
from moorage_django.models import Credential
from moorage_django.runtime import process
from moorage_django.tenants import OrmTenants
from tests.embedding.concurrent_requests import MeetingHttpClient
from tests.embedding.django.shop import KEYS, Shop, open_shop, order
from tests.support.registered_charge import registered_charge

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture
def shop() -> Generator[Shop]:
    """Return a shop that leaves its calls and webhooks to a worker."""
    with open_shop(Shop(), WORKER=True) as new_shop:
        yield new_shop


def run(*words: str) -> str:
    """Run a command, and return its output."""
    output = StringIO()
    call_command("moorage", *words, stdout=output)
    return output.getvalue()


def test_deliver_handles_webhooks_and_makes_deferred_calls(shop: Shop) -> None:
    """`deliver` handles webhooks and makes deferred calls."""
    after_commit("payments", "charge", order())
    assert "1 done, 0 not, 0 settled.\n" == run("deliver", "--once")
    shop.deliver()

    assert "1 done, 0 not, 0 settled.\n" == run("deliver", "--once")
    assert (1, 1) == (shop.charges, len(shop.news))


def test_deliver_makes_calls_at_once() -> None:
    """`deliver --at-once 2` makes two calls at the same time, each exactly once."""
    shop = Shop()
    ports = {"http": MeetingHttpClient(shop.sandbox)}
    with open_shop(shop, WORKER=True, PORTS=ports):
        for _ in range(4):
            after_commit("payments", "charge", order())
        assert "4 done, 0 not, 0 settled.\n" == run("deliver", "--once", "--at-once", "2")
        assert "0 done, 0 not, 0 settled.\n" == run("deliver", "--once", "--at-once", "2")

    assert 4 == shop.charges


@pytest.mark.parametrize("number", ["0", "101", "many"])
def test_number_of_calls_at_once_is_limited(number: str) -> None:
    """`deliver --at-once` accepts a number from 1 to 100."""
    with pytest.raises(CommandError, match="at-once"):
        run("deliver", "--once", "--at-once", number)


def test_deliver_counts_settled_payments(shop: Shop) -> None:
    """`deliver --once` prints how many payments with an unknown outcome were settled."""
    process.ports()["state"].execute(registered_charge("INV-1", order()))
    assert "0 done, 0 not, 1 settled.\n" == run("deliver", "--once")
    assert 0 == shop.charges


def test_data_of_a_person_can_be_exported_and_erased(shop: Shop) -> None:
    """The data of a person can be exported and erased."""
    hub().payments(subject="zoe").charge(order(), idempotency_key="INV-1/1")
    hub().payments(subject="ann").charge(order(), idempotency_key="INV-2/1")
    after_commit("payments", "charge", order(), subject="zoe")

    fields: dict[str, Any] = json.loads(run("export", "--subject", "zoe"))
    assert (1, 1) == (len(fields["log"]), len(fields["outbox"]))
    erased_counts = json.loads(run("erase", "--subject", "zoe"))
    assert {"log": 1, "inbox": 0, "outbox": 1, "credentials": 0} == erased_counts
    assert ["ann"] == [item.subject for item in process.log().find(LogQuery()).items]


def test_export_lists_credentials_of_a_tenant_and_erase_deletes_them(shop: Shop) -> None:
    """The export lists a tenant's credentials, and `erase` deletes them."""
    ports = process.ports()
    ports["credentials"].rotate("stripe", "acme", Credentials.bearer("sk_secret"))

    output = run("export", "--tenant", "acme")
    assert ["stripe of acme"] == json.loads(output)["credentials"]
    assert "sk_secret" not in output
    assert 1 == json.loads(run("erase", "--tenant", "acme"))["credentials"]
    assert not Credential.objects.using("moorage").exists()


def test_erasing_needs_a_subject(shop: Shop) -> None:
    """`erase` fails if neither a subject nor a tenant is given."""
    with pytest.raises(CommandError, match="No subject and no tenant was passed"):
        run("erase")


def test_housekeep_deletes_data_that_is_older_than_settings_allow() -> None:
    """`housekeep` deletes data that is older than the settings allow."""
    with open_shop(Shop(), KEEP=0.0):
        hub().payments().charge(order(), idempotency_key="INV-1/1")

        assert "1 forgotten.\n" == run("housekeep")


def test_manage_py_runs_every_other_command_with_the_project_configuration(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`manage.py moorage` runs every other moorage command with the project's configuration."""
    file = tmp_path / "moorage.toml"
    file.write_text('[email]\nvendor = "smtp"\n[vendors.smtp]\nhost = "mail.example"\n')
    with open_shop(Shop(), CONFIGURATION=file), pytest.raises(SystemExit) as excinfo:
        Command().run_from_argv(["manage.py", "moorage", "check"])

    assert 0 == excinfo.value.code
    assert f"{file} is valid." in capsys.readouterr().out


def test_copy_of_production_is_disarmed(capsys: pytest.CaptureFixture[str]) -> None:
    """A copy of production sends nothing, and one command deletes its copied pending calls."""
    with open_shop(Shop(), ENVIRONMENT="staging", WORKER=True):
        rearm(process.ports()["state"], "production")
        after_commit("payments", "charge", order())
        with pytest.raises(CopiedStore, match="production"):
            hub().payments().charge(order(), idempotency_key="INV-1/1")
        with pytest.raises(SystemExit) as excinfo:
            Command().run_from_argv(["manage.py", "moorage", "neutralize", "--yes"])

        assert 0 == excinfo.value.code
        assert "1 calls deleted" in capsys.readouterr().out
        assert "0 done, 0 not, 0 settled.\n" == run("deliver", "--once")


def test_unknown_payment_of_a_tenant_is_closed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command closes a tenant's payment with an unknown outcome, whose data are encrypted."""
    with open_shop(Shop(), TENANTS=True, STATE=f"sqlite:///{tmp_path / 'state.db'}") as new_shop:
        cipher = AesGcmCipher(KeyRing.parse(KEYS))
        stripe = {"credentials": new_shop.sandbox.api_key, "retry": {"max_attempts": 1}}
        tables = {"vendors": {"stripe": stripe}, "payments": {"vendor": "stripe"}}
        OrmTenants(cipher).put("acme", tables)
        new_shop.sandbox.fail(Lost())
        with pytest.raises(ConnectionFailed):
            hub().payments("acme").charge(order(), idempotency_key="INV-1/1")

        assert 1 == run_through_manage("payments", "unsettled", "--json")
        (fields,) = json.loads(capsys.readouterr().out)["result"]["payments"]
        assert ("INV-1", "149.90 EUR") == (fields["reference"], fields["amount"])
        assert 0 == run_through_manage("payments", "close", "INV-1/1", "--done", "--tenant", "acme")
        payment = hub().payments("acme").charge(order(), idempotency_key="INV-1/1")

    assert "INV-1/1 is closed as done\n" == capsys.readouterr().out
    assert (True, 1) == (payment.replayed, new_shop.charges)


def run_through_manage(*words: str) -> object:
    """Run a moorage command through `manage.py`, and return its exit code."""
    with pytest.raises(SystemExit) as excinfo:
        Command().run_from_argv(["manage.py", "moorage", *words])
    return excinfo.value.code
