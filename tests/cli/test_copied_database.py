"""`moorage rearm` and `moorage neutralize` for a copied database."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from moorage import CopiedStore, CredentialNotFound, Credentials, Request
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.entries.memory import MemoryOutbox
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.adapters.tenants.sqlite import SqliteTenants
from moorage.cli.context import Context
from moorage.cli.host import Host
from moorage.cli.places import opened_async, opened_hub
from moorage.cli.vaults import open_vault
from moorage.contracts.email import EmailMessage
from moorage.domain.state.sealing import KeyRing
from moorage.hub.copied_stores import rearm
from moorage.hub.outbox import EntryQuery, Outbox
from moorage.testing import VendorServer
from tests.support.command import command
from tests.support.configured import configure

STAGING = ("--environment", "staging")
CREDENTIALS_OPTION = ("--credentials", "sqlite:///credentials.db")


@pytest.fixture(autouse=True)
def _copy() -> None:
    """Create a copy of a production database with a credential and a tenant."""
    os.environ["MOORAGE_KEYS"] = generate_keys().text().reveal()
    configure(
        '[state]\nurl = "sqlite:///state.db"\n[services.vat]\nbase_url = "https://vat.example"\n'
        '[tenants_from]\nurl = "sqlite:///tenants.db"\nkeys = "secret://env/MOORAGE_KEYS"\n'
    )
    with SqliteStorage("state.db") as storage:
        rearm(storage, "production")
    open_vault(CREDENTIALS_OPTION[1]).rotate("vat", None, Credentials.bearer("t"))
    tenants().put("acme", {})


def tenants() -> SqliteTenants:
    """Return the tenants of the copied database."""
    return SqliteTenants("tenants.db", AesGcmCipher(KeyRing.from_environment(os.environ)))


def test_neutralize_removes_credentials() -> None:
    """`neutralize` deletes credentials and tenants of a copied store, and shows its owner."""
    result = command(*STAGING, "neutralize", *CREDENTIALS_OPTION, "--yes", "--json")

    assert {
        "environment": "staging",
        "owner": "production",
        "deleted": {"credentials": 1, "tenants": 1},
    } == result.result
    assert {} == tenants().tables("acme")
    with pytest.raises(CredentialNotFound):
        open_vault(CREDENTIALS_OPTION[1]).get("vat", None)
    assert "0 tenants deleted" in command(*STAGING, "neutralize", *CREDENTIALS_OPTION, "--yes").out


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((*STAGING, "neutralize", *CREDENTIALS_OPTION), "with --yes"),
        (
            ("--environment", "production", "neutralize", *CREDENTIALS_OPTION, "--yes"),
            "this environment",
        ),
        (("neutralize", *CREDENTIALS_OPTION, "--yes"), "no name"),
        (("rearm",), "no name"),
    ],
)
def test_neutralize_without_confirmation_deletes_nothing(
    arguments: tuple[str, ...], message: str
) -> None:
    """`moorage neutralize` deletes nothing without confirmation, or from an original store."""
    result = command(*arguments)

    assert 2 == result.code
    assert message in result.err
    assert Credentials.bearer("t") == open_vault(CREDENTIALS_OPTION[1]).get("vat", None)


def test_neutralize_shows_that_configured_credentials_were_kept() -> None:
    """Without --credentials, `neutralize` keeps the configured credentials and says so."""
    file = Path("moorage.toml")
    table = (
        '[credentials_from]\nurl = "sqlite:///credentials.db"\nkeys = "secret://env/MOORAGE_KEYS"\n'
    )
    file.write_text(file.read_text("utf-8") + table, "utf-8")
    result = command(*STAGING, "neutralize", "--yes")

    assert "The credentials in the store of [credentials_from] were kept." in result.out
    assert "were kept" not in command(*STAGING, "neutralize", *CREDENTIALS_OPTION, "--yes").out


def test_neutralize_needs_a_store_of_credentials_or_tenants() -> None:
    """If no store of credentials or tenants is configured, `moorage neutralize` is refused."""
    configure('[state]\nurl = "sqlite:///state.db"\n')
    result = command(*STAGING, "neutralize", "--yes")

    assert 2 == result.code
    assert "has no store that could cause calls" in result.err


def test_neutralize_refuses_an_unused_store() -> None:
    """`moorage neutralize` does not empty a store that no environment has used."""
    configure('[state]\nurl = "sqlite:///new.db"\n')

    assert (
        "belongs to no environment"
        in command(*STAGING, "neutralize", *CREDENTIALS_OPTION, "--yes").err
    )


def test_copied_database_sends_nothing_until_rearmed() -> None:
    """A copied database sends nothing until `moorage rearm` permits it."""
    with VendorServer() as vendor:
        vendor.respond(200)
        configure(
            f'[state]\nurl = "sqlite:///state.db"\n[services.vat]\nbase_url = "{vendor.url}"\n'
        )
        context = Context(environment="staging")
        with opened_hub(context) as hub, pytest.raises(CopiedStore):
            hub.manager.call("vat", Request.get("/"))
        result = command(*STAGING, "rearm")
        with opened_hub(context) as hub:
            assert 200 == hub.manager.call("vat", Request.get("/")).status

    assert (0, "staging may use the store, which belonged to production\n") == (
        result.code,
        result.out,
    )


def test_rearm_works_on_a_separate_store_of_keys() -> None:
    """If idempotency keys have a separate store, `rearm` and `neutralize` use that store."""
    configure(
        '[state]\nurl = "sqlite:///limits.db"\nkeys_url = "sqlite:///state.db"\n[services.vat]\n'
    )
    context = Context(environment="staging")
    with opened_hub(context) as hub, pytest.raises(CopiedStore):
        hub.manager.run("vat", str)

    refusal = command(*STAGING, "neutralize", *CREDENTIALS_OPTION)
    result = command(*STAGING, "rearm")

    assert "the environment production has stored" in refusal.err
    assert "staging may use the store, which belonged to production\n" == result.out
    with opened_hub(context) as hub:
        assert not hub.manager.run("vat", str)


def test_neutralize_empties_the_hosts_tables() -> None:
    """`moorage neutralize` also empties the tables of a program that embeds the command line."""
    outbox = Outbox(MemoryOutbox())
    outbox.put("email", "send_transactional", EmailMessage(to="ada@example.com", text="Hi"))
    host = Host(source=Path("moorage.toml"), stores=lambda: {"calls": outbox})
    result = command(*STAGING, "neutralize", "--yes", "--json", host=host)

    assert {"calls": 1, "tenants": 1} == result.result["deleted"]
    assert () == outbox.find(EntryQuery()).items


async def test_copied_store_refuses_a_pipeline_without_an_environment() -> None:
    """The hub of a pipeline without an environment name refuses another environment's store."""
    async with opened_async(Context()) as (hub, _):
        with pytest.raises(CopiedStore, match="this environment is not named"):
            await hub.manager.run("vat", asyncio.Event().wait)
