"""`moorage audit`, run as an operator runs it."""

from __future__ import annotations

import getpass
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.hub.audit import AuditTrail
from moorage.wiring.store_urls import open_audit, open_outbox
from tests.support.command import command, run_typed

USER = getpass.getuser()


@pytest.fixture
def trail() -> Path:
    """Write a configuration with an audit trail, and return the trail's file."""
    os.environ["AUDIT_KEYS"] = generate_keys().text().reveal()
    file = Path.cwd() / "audit.jsonl"
    Path("moorage.toml").write_text(
        f"""
[state]
url = "sqlite:///state.db"
[audit]
url = "file://{file}"
keys = "secret://env/AUDIT_KEYS"
[services.vat]
base_url = "https://vat.example"
circuit = {{ failures = 3 }}
"""
    )
    return file


def audited_acts(*words: str) -> list[tuple[str, str]]:
    """Return the action and subject of each record that `moorage audit list` shows."""
    records: list[dict[str, Any]] = command("audit", "list", *words, "--json").result["records"]
    return [(record["act"], record["subject"]) for record in records]


def test_actions_are_recorded_with_user_and_reason(trail: Path) -> None:
    """Actions on the command line are recorded with the system user and the given reason."""
    assert 0 == command("circuit", "open", "vat", "--reason", "incident 7").code
    assert 0 == command("circuit", "reset", "vat").code

    assert [
        ("circuit.reset", "circuit of vat"),
        ("circuit.open", "circuit of vat"),
    ] == audited_acts()
    assert [("circuit.open", "circuit of vat")] == audited_acts(
        "--act", "circuit.open", "--actor", USER
    )
    assert [] == audited_acts("--until", "2020-01-01T00:00:00")
    assert 2 == len(
        audited_acts("--since", "2020-01-01T00:00:00+00:00", "--subject", "circuit of vat")
    )
    page = command("audit", "list", "--limit", "1")
    assert "There are more: --after 2" in page.out
    assert [("circuit.open", "circuit of vat")] == audited_acts("--limit", "1", "--after", "2")
    text = command("audit", "list").out
    assert "incident 7" in text
    assert USER in text
    assert trail.exists()


def test_trail_is_sealed_and_verified(trail: Path) -> None:
    """`audit verify` accepts an unchanged trail.

    For a changed record it shows the record and exits with 1.
    """
    command("circuit", "open", "vat")
    seal_result = command("audit", "seal", "--json").result
    command("circuit", "reset", "vat")
    verify_command = command("audit", "verify", "--anchor", seal_result["anchor"], "--json")

    assert 0 == verify_command.code
    assert (True, 3, 2, 0) == tuple(
        verify_command.result[name] for name in ("whole", "records", "sealed", "unverified_seals")
    )
    assert "is intact: 3 records, sealed up to 2" in command("audit", "verify").out
    assert "Anchor: 4:" in command("audit", "seal").out

    lines = trail.read_text().splitlines(keepends=True)
    fields = json.loads(lines[0])
    trail.write_text("".join([json.dumps({**fields, "actor": "eve"}) + "\n", *lines[1:]]))
    broken_trail = command("audit", "verify", "--json")
    assert 1 == broken_trail.code
    assert {"number": 1, "fault": "altered"} == {
        name: broken_trail.document["result"]["finding"][name] for name in ("number", "fault")
    }
    assert "Record 1 was altered" in command("audit", "verify").out


def test_seals_without_their_key_are_counted(trail: Path) -> None:
    """`audit verify` does not check seals whose key is missing, and prints how many there are."""
    command("audit", "seal")
    text = Path("moorage.toml").read_text()
    Path("moorage.toml").write_text(text.replace('keys = "secret://env/AUDIT_KEYS"\n', ""))

    assert "1 seals were not verified" in command("audit", "verify").out
    assert 2 == command("audit", "seal").code
    assert trail.exists()


def test_wrong_anchor_is_refused(trail: Path) -> None:
    """An audit anchor that is not a record number and a hash is refused."""
    assert 2 == command("audit", "verify", "--anchor", "nonsense").code
    assert not trail.exists()


def test_trail_must_be_configured() -> None:
    """Without an audit trail in the configuration, `moorage audit` prints how to configure one."""
    Path("moorage.toml").write_text("")
    result = command("audit", "list")
    assert 2 == result.code
    assert "Add a table [audit]" in result.err


def test_entries_and_credentials_are_recorded(trail: Path) -> None:
    """The audit trail records dropped calls and changed credentials, but no secrets."""
    os.environ["MOORAGE_KEYS"] = generate_keys().text().reveal()
    from moorage import Outbox, Request  # noqa: PLC0415 - one test only

    with open_outbox("sqlite:///outbox.db", create=True) as store:
        entry = Outbox(store).put_request("vat", Request.post("/x", json={}))
    assert 0 == command("outbox", "drop", entry.id, "--store", "sqlite:///outbox.db").code
    store_options = ["--credentials", "sqlite:///credentials.db"]
    assert (
        0 == run_typed("hunter2\n", "credentials", "set", "vat", "--migrate", *store_options).code
    )
    assert 0 == command("credentials", "rotate", *store_options).code
    assert 0 == command("credentials", "delete", "vat", *store_options).code

    assert [
        ("credentials.delete", "credentials of vat"),
        ("credentials.rotate", "all credentials"),
        ("credentials.set", "credentials of vat"),
        ("outbox.drop", f"entry {entry.id}"),
    ] == audited_acts()
    assert "hunter2" not in trail.read_text()


def test_dead_store_refuses_the_act(trail: Path) -> None:
    """If the audit trail cannot record an action, the action is refused with the reason."""
    head = trail.with_name(f"{trail.name}.head")
    head.mkdir()
    result = command("circuit", "open", "vat")
    assert 1 == result.code
    assert "circuit.open of circuit of vat was refused" in result.err
    head.rmdir()
    assert "closed" in command("status").out


def test_wrong_configuration_refuses_credentials(trail: Path) -> None:
    """Actions on credentials are refused while the configuration cannot be read."""
    Path("moorage.toml").write_text("[audit]\nurl = 'redis://localhost'\nother = 1\n")
    os.environ["MOORAGE_KEYS"] = generate_keys().text().reveal()
    store_options = ["--credentials", "sqlite:///credentials.db"]
    assert (
        2 == run_typed("hunter2\n", "credentials", "set", "vat", "--migrate", *store_options).code
    )
    with closing(open_audit(f"file://{trail}")) as store:
        assert 0 == AuditTrail(store).verify().records


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize("number", ["-1", "9223372036854775808"])
def test_invalid_first_record_of_a_page_is_refused(number: str) -> None:
    """A number that is negative or too large is refused as the beginning of a page of records."""
    result = command("audit", "list", "--after", number)

    assert (2, True) == (result.code, "after" in result.err)
