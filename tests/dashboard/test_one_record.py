"""Each action on the operations page is recorded once in the hub's audit trail."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from moorage.cli.commands.dashboard import dashboard as command_function
from moorage.cli.context import Context
from moorage.dashboard import Dashboard, DashboardApp
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.observation.audit import AuditQuery
from moorage.hub.audit import AuditTrail
from moorage.hub.outbox import Outbox
from moorage.wiring.store_urls import open_audit, open_outbox
from tests.dashboard.harness import ANN, SECRET, Harness, Visitor, form_of
from tests.dashboard.test_gate import PrintedText, send

NOW = datetime(2026, 1, 1, tzinfo=UTC)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_entries_of_an_outbox_without_a_trail_are_recorded() -> None:
    """If an outbox has no audit trail, the hub's trail records each of its changed entries."""
    with Harness() as harness:
        harness.put_outbox_entry()
        harness.put_outbox_entry("02")
        bare_outbox = Outbox(harness.outbox_store)
        page = Dashboard(harness.hub, secret=SECRET, outbox=bare_outbox)
        visitor = Visitor(DashboardApp(page, lambda _: ANN))
        assert "is dropped." in visitor.act("/acts/entry-drop?box=outbox&id=01", reason="old").text
        harness.clock.advance(2)
        end_time = harness.clock.utc().isoformat().replace("+", "%2B")
        batch = f"/acts/entries-replay?box=outbox&until={end_time}"
        assert "1 entry due again." in visitor.act(batch, reason="vendor is back").text
        assert [
            ("ann", "outbox.drop", "entry 01", "old"),
            ("ann", "outbox.replay", "entry 02", "vendor is back"),
        ] == harness.trail.records


def test_webhook_is_recorded_with_the_person() -> None:
    """A person's action on a webhook in the inbox is recorded with their name."""
    with Harness() as harness:
        harness.dead_webhook()
        harness.visitor().act("/acts/entry-replay?box=inbox&id=01", reason="mended")
        assert [("ann", "inbox.replay", "entry 01", "mended")] == harness.trail.records


def serve_and_act(
    monkeypatch: pytest.MonkeyPatch, config: Path, box: str, entry: str, audit: str | None
) -> None:
    """On the page of `moorage dashboard`, hold a circuit open and drop an entry."""
    output = PrintedText()
    monkeypatch.setattr("sys.stdout", output)

    def serve() -> None:
        command_function(
            port=0, outbox=box, audit=audit, count=5, context=Context(config=str(config))
        )

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    printed_line = output.parts.get(timeout=120)
    parts = urlsplit(printed_line.split()[-1])
    port: Any = parts.port
    cookie = send(port, f"/?{parts.query}")[1]["Set-Cookie"].partition(";")[0]
    for path in ("/acts/circuit-open?service=vat", f"/acts/entry-drop?box=outbox&id={entry}"):
        form = {**form_of(send(port, path, cookie)[2]), "reason": "a test"}
        status, headers, _ = send(port, path.partition("?")[0], cookie, urlencode(form))
        assert 303 == status, headers
    thread.join()


def make_records(url: str) -> list[tuple[str, str, str]]:
    """Return the action, subject and reason of each audit record, oldest first."""
    with open_audit(url, create=True) as store:
        items = AuditTrail(store).find(AuditQuery()).items
        return [(item.act, item.subject, item.reason) for item in reversed(items)]


def test_command_records_each_act_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`moorage dashboard` records actions in one trail: the configured trail or that of --audit."""
    own_url, other_url = f"sqlite:///{tmp_path}/ours.db", f"sqlite:///{tmp_path}/other.db"
    box = f"sqlite:///{tmp_path}/box.db"
    config = tmp_path / "moorage.toml"
    config.write_text(
        f'[state]\nurl = "sqlite:///{tmp_path}/state.db"\n[audit]\nurl = "{own_url}"\n'
        '[services.vat]\nbase_url = "http://127.0.0.1:9"\n'
    )
    with open_outbox(box) as store:
        store.migrate()
    with open_audit(other_url) as store:
        store.migrate()
    expected: dict[str, list[tuple[str, str, str]]] = {own_url: [], other_url: []}
    for number, (audit, trail) in enumerate(
        ((None, own_url), (own_url, own_url), (other_url, other_url))
    ):
        with open_outbox(box) as store:
            store.add(
                OutboxEntry(id=f"0{number}", target="payments", operation="refund", added_at=NOW)
            )
        serve_and_act(monkeypatch, config, box, f"0{number}", audit)
        expected[trail] += [
            ("circuit.open", "circuit of vat", "a test"),
            ("outbox.drop", f"entry 0{number}", "a test"),
        ]
        assert expected == {url: make_records(url) for url in expected}
