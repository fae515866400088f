"""Acts of people on a hub are recorded in the audit trail before they happen."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import moorage
from moorage import (
    AsyncConnectorManager,
    CircuitBreakerConfig,
    CircuitState,
    ConfigurationError,
    ConnectorManager,
    HubConfiguration,
    Outbox,
    RateLimitConfig,
    Request,
    Service,
    StorageUnavailable,
)
from moorage.adapters.audit.file import FileAudit
from moorage.adapters.entries.memory import AsyncMemoryOutbox, MemoryInbox, MemoryOutbox
from moorage.hub.audit import AuditTrail
from moorage.hub.outbox import AsyncOutbox
from moorage.testing.sandboxes.base import Lost
from tests.entries.shop import CHARGE, Shop
from tests.support.virtual_tasks import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVICE = Service(
    "vat",
    base_url="https://vat.example",
    circuit=CircuitBreakerConfig(),
    limits=[RateLimitConfig.per_second(1)],
)
BY = {"actor": "ada", "reason": "incident 7"}


class AuditedManager:
    """A sync or async manager, and the audit trail that records manual actions on it."""

    def __init__(self, folder: Path, *, is_async: bool) -> None:
        self.trail = AuditTrail(FileAudit(folder / "trail"))
        self.is_async = is_async

    def manager(self) -> Any:
        """Return a manager with the audit trail."""
        kind = AsyncConnectorManager if self.is_async else ConnectorManager
        return kind([SERVICE], audit=self.trail)

    def do(self, method: Callable[..., Any], /, *values: Any, **options: Any) -> Any:
        """Return the result of a synchronous or asynchronous method."""
        answer = method(*values, **options)
        return run_plain(answer) if inspect.iscoroutine(answer) else answer

    def acts(self) -> list[tuple[str, str, str, str]]:
        """Return the recorded acts, oldest first."""
        return [
            (record.act, record.subject, record.actor, record.reason)
            for record in reversed(self.trail.find().items)
        ]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def audited_manager(request: pytest.FixtureRequest, tmp_path: Path) -> AuditedManager:
    """Yield a manager with an audit trail, in sync and in async mode."""
    return AuditedManager(tmp_path, is_async=request.param)


def test_acts_on_services(audited_manager: AuditedManager) -> None:
    """If a person changes a circuit, a limit or a key, the audit record has its earlier state."""
    manager = audited_manager.manager()
    for state in (CircuitState.FORCED_OPEN, CircuitState.DISABLED, CircuitState.CLOSED):
        audited_manager.do(manager.set_circuit, "vat", state, **BY)
    audited_manager.do(manager.reset_limits, "vat", tenant="acme", **BY)
    audited_manager.do(manager.resolve_key, "vat", "INV-1", done=False, **BY)

    assert [
        ("circuit.open", "circuit of vat", "ada", "incident 7"),
        ("circuit.close", "circuit of vat", "ada", "incident 7"),
        ("circuit.reset", "circuit of vat", "ada", "incident 7"),
        ("limits.reset", "limits of vat/acme", "ada", "incident 7"),
        ("key.resolve", "key INV-1 of vat", "ada", "incident 7"),
    ] == audited_manager.acts()
    record = audited_manager.trail.find().items[-2]
    assert {"state": "forced_open"} == json.loads(record.before or "")
    assert {"state": "disabled"} == json.loads(record.after or "")
    assert audited_manager.trail.verify().whole


def test_act_that_cannot_be_recorded_is_not_done(
    audited_manager: AuditedManager, tmp_path: Path
) -> None:
    """If the audit store is down, nobody can set a circuit manually, but calls continue."""
    audited_manager.trail = AuditTrail(FileAudit(tmp_path / "nowhere" / "trail"))
    manager = audited_manager.manager()

    with pytest.raises(StorageUnavailable, match=r"circuit.open of circuit of vat was refused"):
        audited_manager.do(manager.set_circuit, "vat", CircuitState.FORCED_OPEN)

    assert CircuitState.CLOSED is audited_manager.do(manager.circuit_state, "vat").state


def test_foreign_exception_of_a_trail_refuses_the_act(audited_manager: AuditedManager) -> None:
    """If an application's own audit trail raises any exception, the act is refused, not done."""
    trail: Any = _ForeignTrail()
    audited_manager.trail = trail
    manager = audited_manager.manager()
    with pytest.raises(StorageUnavailable, match="audit trail raised OSError"):
        audited_manager.do(manager.set_circuit, "vat", CircuitState.FORCED_OPEN)
    assert CircuitState.CLOSED is audited_manager.do(manager.circuit_state, "vat").state

    with (
        moorage.Hub([], services=[SERVICE], audit=trail) as hub,
        pytest.raises(StorageUnavailable, match="audit trail raised OSError"),
    ):
        hub.reload(HubConfiguration())


class _ForeignTrail:
    """An application's own audit trail, whose store is away."""

    def record(self, *_: object, **__: object) -> None:
        """Raise an exception that is not an error of moorage."""
        raise OSError


def test_act_that_failed_is_recorded_as_such(audited_manager: AuditedManager) -> None:
    """If an act fails, a second audit record has the class of the error."""
    outbox = _outbox(audited_manager, MemoryOutbox(max_entries=1))
    entry = audited_manager.do(outbox.put_request, "vat", Request.post("/x", json={}))
    broken_store = attrs.evolve(outbox._flows.store, swap=_raise_broken)  # noqa: SLF001 - a store that fails
    outbox._flows.store = broken_store  # noqa: SLF001 - a store that fails

    with pytest.raises(StorageUnavailable, match="gone"):
        audited_manager.do(outbox.drop, entry.id, **BY)

    assert ["outbox.drop", "outbox.drop.failed"] == [
        action for action, *_ in audited_manager.acts()
    ]
    failed_record = audited_manager.trail.find().items[0]
    assert {"error": "StorageUnavailable"} == json.loads(failed_record.after or "")


def test_entries_are_recorded(audited_manager: AuditedManager) -> None:
    """Replaying or dropping entries is recorded in the audit trail, with their previous state."""
    outbox = _outbox(audited_manager, MemoryOutbox())
    entry = audited_manager.do(
        outbox.put_request, "vat", Request.post("/x", json={}), tenant="acme"
    )
    audited_manager.do(outbox.drop, entry.id, **BY)
    audited_manager.do(outbox.replay, entry.id, **BY)

    assert [
        ("outbox.drop", f"entry {entry.id}", "ada", "incident 7"),
        ("outbox.replay", f"entry {entry.id}", "ada", "incident 7"),
    ] == audited_manager.acts()
    states = [
        json.loads(record.before or "")["state"] for record in audited_manager.trail.find().items
    ]
    assert ["dropped", "waiting"] == states


def test_with_audit_gives_outbox_audit_trail(
    audited_manager: AuditedManager, tmp_path: Path
) -> None:
    """`with_audit` gives an outbox an audit trail, unless it already has one."""
    other_trail = AuditTrail(FileAudit(tmp_path / "other"))
    kind: Any = AsyncOutbox if audited_manager.is_async else Outbox
    store = MemoryOutbox()
    bare_outbox = kind(AsyncMemoryOutbox(store) if audited_manager.is_async else store)
    entry = audited_manager.do(bare_outbox.put_request, "vat", Request.post("/x", json={}))
    assert bare_outbox is bare_outbox.with_audit(None)
    audited_manager.do(bare_outbox.drop, entry.id, **BY)
    assert [] == audited_manager.acts()
    audited_outbox = bare_outbox.with_audit(audited_manager.trail)
    audited_manager.do(audited_outbox.replay, entry.id, **BY)
    assert audited_outbox is audited_outbox.with_audit(other_trail)
    audited_manager.do(bare_outbox.drop, entry.id, **BY)

    assert [("outbox.replay", f"entry {entry.id}", "ada", "incident 7")] == audited_manager.acts()
    assert () == other_trail.find().items


def _outbox(audited: AuditedManager, store: MemoryOutbox) -> Any:
    if audited.is_async:
        return AsyncOutbox(AsyncMemoryOutbox(store), audit=audited.trail)
    return Outbox(store, audit=audited.trail)


async def _raise_broken(*_: Any) -> Any:
    raise StorageUnavailable("The store is gone.")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_payments_and_webhooks_are_recorded(tmp_path: Path, *, is_async: bool) -> None:
    """Closing or settling payments, and dropping webhooks, is recorded in the audit trail."""
    audited_hub = AuditedManager(tmp_path, is_async=is_async)
    shop = Shop(is_async=is_async, audit=audited_hub.trail)
    for number in (1, 2):
        shop.stripe.fail(Lost())
        with pytest.raises(moorage.ConnectorError):
            shop.do(shop.hub.payments().charge, CHARGE, idempotency_key=f"k{number}")
    shop.advance_clock(3_600)
    shop.do(shop.hub.close_payment, "k1", done=False, **BY)
    shop.do(shop.hub.settle_payment, "k2", **BY)
    inbox = shop.inbox_over(MemoryInbox(shop.clock))
    entry = shop.do(inbox.receive, "stripe", **shop.webhook_of_payment().arguments())
    shop.do(inbox.drop, entry.id, **BY)

    assert [
        ("payment.close", "payment k1", "ada", "incident 7"),
        ("payment.settle", "payment k2", "ada", "incident 7"),
        ("inbox.drop", f"entry {entry.id}", "ada", "incident 7"),
    ] == audited_hub.acts()


def test_reload_records_paths_without_values(
    audited_manager: AuditedManager, tmp_path: Path
) -> None:
    """A reload records the paths that it adds, removes and changes, but no values."""
    file = tmp_path / "moorage.toml"
    table = f'[audit]\nurl = "file://{tmp_path}/trail"\n'
    service = '[services.{}]\nbase_url = "https://{}.example"\ncredentials = "{}"\n'
    file.write_text(table + service.format("vat", "vat", "canary-1"))
    with pytest.warns(match="secret"):
        hub = (moorage.aopen if audited_manager.is_async else moorage.open)(file)
    file.write_text(table + service.format("erp", "erp", "canary-2"))
    audited_manager.do(hub.reload, **BY)
    audited_manager.do(hub.reload)
    audited_manager.do(hub.close)

    assert [
        ("configuration.reload", "configuration", "ada", "incident 7")
    ] == audited_manager.acts()
    (record,) = audited_manager.trail.find().items
    paths = {"added": ["services.erp"], "removed": ["services.vat"]}
    assert paths == json.loads(record.after or "")
    assert "canary" not in (tmp_path / "trail").read_text()


def test_reload_that_cannot_be_recorded_changes_nothing(tmp_path: Path) -> None:
    """If the audit store is unavailable, a reload is refused and changes nothing."""
    dead = AuditTrail(FileAudit(tmp_path / "nowhere" / "trail"))
    with moorage.Hub([], services=[SERVICE], audit=dead) as hub:
        with pytest.raises(StorageUnavailable, match=r"configuration\.reload"):
            hub.reload(HubConfiguration(services=[attrs.evolve(SERVICE, name="erp")]))
        assert "closed" == hub.manager.circuit_state("vat").state.value


def test_running_hub_cannot_change_its_trail(tmp_path: Path) -> None:
    """A reload that changes the audit trail is refused, because this needs a restart."""
    file = tmp_path / "moorage.toml"
    file.write_text(f'[audit]\nurl = "file://{tmp_path}/trail"\n')
    with moorage.open(file) as hub:
        file.write_text(f'[audit]\nurl = "file://{tmp_path}/other"\n')
        with pytest.raises(ConfigurationError, match="cannot change its audit trail"):
            hub.reload()


@pytest.mark.parametrize(
    "table, path",
    [
        ("url = 'redis://localhost'", "audit.url"),
        ("url = 'file:///trail'\nkeys = 'nonsense'", "audit.keys"),
        ("url = 'file:///trail'\nseal_every = 0", "audit.seal_every"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, table: str, path: str) -> None:
    """A wrong setting of the audit trail is refused with its path."""
    file = tmp_path / "moorage.toml"
    file.write_text(f"[audit]\n{table}\n")
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(file)
    assert path in {problem.path for problem in excinfo.value.problems}


def test_port_must_be_synchronous() -> None:
    """An audit port with an asynchronous `record` is refused, and the error names the port."""

    class AsyncAuditPort:
        """An audit port whose `record` is asynchronous."""

        async def record(self, *_: Any, **__: Any) -> None:
            """Do nothing."""

    with pytest.raises(ConfigurationError, match=r"AsyncAuditPort.record is asynchronous"):
        ConnectorManager([SERVICE], audit=AsyncAuditPort())
