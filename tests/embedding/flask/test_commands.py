"""The command `flask moorage`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectionFailed, Credentials, LogQuery, Money, Secret
from moorage.contracts.payments import Charge
from moorage.hub.copied_stores import rearm
from moorage.hub.inbox import EntryQuery
from moorage.testing.sandboxes.base import Lost
from moorage.wiring.store_urls import open_storage
from tests.embedding.concurrent_requests import MeetingHttpClient
from tests.embedding.flask.shop import KEYS, Shop
from tests.embedding.flask.test_webhooks import charge
from tests.support.registered_charge import registered_charge

if TYPE_CHECKING:
    from click.testing import Result


def run(shop: Shop, *words: str) -> Result:
    """Run a command."""
    return shop.app.test_cli_runner().invoke(args=["moorage", *words])


def test_migrate_creates_missing_tables_and_leaves_existing_ones_alone(database_url: str) -> None:
    """`migrate` creates missing tables and leaves existing tables alone."""
    shop = Shop(database_url, KEYS=KEYS)
    output = [run(shop, "migrate") for _ in range(2)]
    shop.close()

    assert [0, 0] == [item.exit_code for item in output]
    assert "The tables exist.\n" == output[0].output


def test_error_for_missing_tables_names_the_command(any_database_url: str) -> None:
    """If tables are missing, the error contains the command that creates them."""
    shop = Shop(any_database_url)
    output = run(shop, "deliver", "--once")
    shop.close()

    assert 1 == output.exit_code
    assert "flask moorage migrate" in output.output


def test_check_command_fails_on_errors_without_a_traceback(sql_url: str) -> None:
    """`check` succeeds without findings, fails on errors and shows no traceback."""
    good_shop, bad_shop = Shop(sql_url, KEYS=Secret(KEYS)), Shop(CONFIGURATION={"paymets": {}})
    output = [run(good_shop, "check"), run(bad_shop, "check")]
    good_shop.close()
    bad_shop.close()

    assert [0, 1] == [item.exit_code for item in output]
    assert "No problems were found.\n" == output[0].output
    assert output[1].output.startswith("configuration: paymets: ")


def test_deliver_once_does_all_due_work_once(shop: Shop) -> None:
    """`deliver --once` does all due work once."""
    charge(shop)
    shop.deliver()
    order = Charge(Money("1.00", "EUR"), "pm_card_visa", reference="INV-2")
    shop.moorage.outbox.put("payments", "charge", order)
    shop.sessions.commit()

    assert "2 done, 0 not, 0 settled.\n" == run(shop, "deliver", "--once").output
    assert "0 done, 0 not, 0 settled.\n" == run(shop, "deliver", "--once").output


def test_deliver_makes_calls_at_once(sql_url: str) -> None:
    """`deliver --at-once 2` makes two calls at the same time, each exactly once."""
    shop = Shop(sql_url, KEYS=KEYS)
    shop.app.config["MOORAGE"]["PORTS"] = {"http": MeetingHttpClient(shop.sandbox)}
    shop.objects.migrate()
    for number in range(4):
        order = Charge(Money("1.00", "EUR"), "pm_card_visa", reference=f"INV-{number}")
        shop.moorage.outbox.put("payments", "charge", order)
    shop.sessions.commit()
    output = [run(shop, "deliver", "--once", "--at-once", "2").output for _ in range(2)]
    shop.close()

    assert ["4 done, 0 not, 0 settled.\n", "0 done, 0 not, 0 settled.\n"] == output
    assert 4 == len(shop.sandbox.charges)


def test_deliver_counts_settled_payments(shop: Shop) -> None:
    """`deliver --once` prints how many payments with an unknown outcome were settled."""
    order = Charge(Money("1.00", "EUR"), "pm_card_visa", reference="INV-2")
    store = open_storage(shop.objects.stores.state_url or "")
    store.execute(registered_charge("INV-2", order))
    store.close()
    assert "0 done, 0 not, 1 settled.\n" == run(shop, "deliver", "--once").output
    assert [] == shop.sandbox.requests


def test_personal_data_is_exported_and_erased(shop: Shop) -> None:
    """The data of a person is exported and erased."""
    order = Charge(Money("1.00", "EUR"), "pm_card_visa", reference="INV-2")
    shop.moorage.hub.payments(subject="ada").charge(order, idempotency_key="INV-2")
    shop.moorage.outbox.put("payments", "charge", order, subject="ada")
    shop.sessions.commit()
    fields = json.loads(run(shop, "subject", "export", "ada").output)
    erase_output = run(shop, "subject", "erase", "ada", "--yes").output
    remaining_export = json.loads(run(shop, "subject", "export", "ada").output)

    assert {"log": 1, "inbox": 0, "outbox": 1} == {
        name: len(field_entries) for name, field_entries in fields.items()
    }
    assert "erased: 1 calls, 0 webhooks, 1 not yet made, 0 credentials.\n" == erase_output
    assert {"log": [], "inbox": [], "outbox": []} == remaining_export


def test_export_lists_credentials_of_a_tenant_and_erase_deletes_them(sql_url: str) -> None:
    """The export lists a tenant's credentials without showing them, and `erase` deletes them."""
    shop = Shop(sql_url, KEYS=KEYS)
    shop.objects.migrate()
    credential_store: Any = shop.objects.stores.credentials
    credential_store.rotate("stripe", "acme", Credentials.bearer("hidden"))
    output = run(shop, "subject", "export", "acme", "--tenant").output
    erase_output = run(shop, "subject", "erase", "acme", "--tenant", "--yes").output
    remaining_owners = credential_store.owners()
    shop.close()

    assert ["stripe"] == json.loads(output)["credentials"]
    assert "hidden" not in output
    assert "1 credentials." in erase_output
    assert [] == remaining_owners


def test_other_commands_use_the_application_configuration_and_store(database_url: str) -> None:
    """Every other command of moorage uses the application's configuration and store."""
    shop = Shop(database_url)
    shop.objects.migrate()
    output = run(shop, "vendors", "--json"), run(shop, "housekeep", "--json")
    shop.close()

    assert [0, 0] == [item.exit_code for item in output]
    assert "vendors" == json.loads(output[0].output)["command"]
    assert json.loads(output[1].output)["ok"]


def test_unknown_command_is_refused_with_exit_status_of_failure(sqlite_url: str) -> None:
    """An unknown command is refused, and the exit status reports a failure."""
    shop = Shop(sqlite_url)
    output = run(shop, "fly")
    shop.close()

    assert 2 == output.exit_code


@pytest.mark.parametrize("keep, left", [(90, 1), (0, 0)])
def test_tidy_deletes_data_that_is_older_than_settings_allow(
    keep: float, left: int, database_url: str
) -> None:
    """`tidy` deletes data that is older than the settings allow, and nothing else."""
    shop = Shop(database_url, KEEP=keep)
    shop.objects.migrate()
    charge(shop)
    shop.deliver()
    run(shop, "deliver", "--once")
    output = run(shop, "tidy").output
    results = shop.moorage.log.summarise(LogQuery()).count, shop.moorage.inbox.find(EntryQuery())
    shop.close()

    assert f"{2 - 2 * left} forgotten.\n" == output
    assert (left, left) == (results[0], len(results[1].items))


def test_copy_of_production_is_disarmed(database_url: str) -> None:
    """On a copy of production, one command deletes the copied pending calls."""
    shop = Shop(database_url, KEYS=KEYS, ENVIRONMENT="staging")
    shop.objects.migrate()
    with shop.app.app_context():
        store = open_storage(shop.objects.stores.state_url or "")
        rearm(store, "production")
        store.close()
        shop.moorage.outbox.put(
            "payments", "charge", Charge(Money("1", "EUR"), "pm_card_visa", reference="INV-1")
        )
        shop.sessions.commit()
    output = run(shop, "neutralize", "--yes")
    shop.close()

    assert 0 == output.exit_code, output.output
    assert "1 calls deleted" in output.output


def test_unknown_payment_is_closed(database_url: str) -> None:
    """A command of moorage closes a payment with an unknown outcome, whose data are encrypted."""
    shop = Shop(database_url, KEYS=KEYS)
    shop.objects.migrate()
    order = Charge(Money("1.00", "EUR"), "pm_card_visa", reference="INV-3")
    shop.sandbox.fail(Lost(), Lost(), Lost())
    with pytest.raises(ConnectionFailed):
        shop.moorage.hub.payments().charge(order, idempotency_key="INV-3")
    payments = run(shop, "payments", "unsettled", "--json")
    closed = run(shop, "payments", "close", "INV-3", "--done")
    replayed = shop.moorage.hub.payments().charge(order, idempotency_key="INV-3").replayed
    shop.close()

    (fields,) = json.loads(payments.output)["result"]["payments"]
    assert ("INV-3", "1.00 EUR") == (fields["reference"], fields["amount"])
    assert "INV-3 is closed as done\n" == closed.output
    assert replayed
