"""Statements that each vendor must make about idempotency keys and unknown outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

import moorage
from moorage import Account, AsyncHub, ConfigurationError, Hub, InvalidData, Service
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.contracts.catalog import contract
from moorage.contracts.declaration import Effect
from moorage.contracts.effects import check_vendor, moves_money
from moorage.contracts.payments import MOVING
from moorage.contracts.vendor import RepeatedKey, UnknownOutcome, Vendor, VendorKeys
from moorage.wiring.installed_vendors import vendor_class, vendor_names
from tests.contracts.external_sms_vendor import TextMessageVendor

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = VendorKeys(
    memory=3_600,
    repeat=RepeatedKey.REPLAYED,
    documentation="https://bank.example/keys",
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class Bank(Vendor):
    """A payment vendor from another package that does not declare that it moves money."""

    name: ClassVar[str] = "bank"
    kinds: ClassVar[tuple[str, ...]] = ("payments",)
    capabilities: ClassVar[frozenset[str]] = frozenset({"authorize", "void"})
    idempotency: ClassVar[VendorKeys | None] = KEYS
    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = dict.fromkeys(
        ("authorize", "charge", "capture", "void", "refund"), UnknownOutcome.ASKED_AGAIN
    )

    settings: Mapping[str, Any] = attrs.field(factory=dict)

    def services(self) -> Mapping[str, Service]:
        """Return the services for the API and for tokens."""
        options: dict[str, Any] = {**KEYS.settings, **self.settings}
        return {"": Service("bank", "https://bank.example", **options), "tokens": Service("tokens")}

    async def authorize(self, *_: Any, **__: Any) -> None:
        """Do nothing; the methods that capture and void payments do the same."""

    capture = authorize
    void = authorize


class KeylessBank(Bank):
    """A payment vendor that declares nothing about idempotency keys."""

    idempotency = None
    unknown_outcomes = dict.fromkeys(Bank.unknown_outcomes, UnknownOutcome.LOOKED_UP)


class UndeclaredLookupBank(Bank):
    """A payment vendor that does not declare how refunds and voids are looked up."""

    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = dict.fromkeys(
        ("authorize", "charge", "capture"), UnknownOutcome.ASKED_AGAIN
    )


class UndeclaredKeysBank(Bank):
    """A payment vendor that sends idempotency keys without declaring how it treats them."""

    idempotency = None


def open_hub(hub: type[Hub | AsyncHub], vendor: Vendor, **settings: Any) -> Hub | AsyncHub:
    """Open a hub with one account, and with a store that would lose its keys in a crash."""
    state: Any = MemoryStorage() if hub is Hub else AsyncMemoryStorage()
    return hub([Account("main", vendor, settings=settings)], state=state)


hubs = pytest.mark.parametrize("hub", [Hub, AsyncHub])


@hubs
@pytest.mark.parametrize("settings", [{}, {"moves_money": False}, {"volatile_keys": True}])
def test_payments_always_move_money(hub: type[Hub | AsyncHub], settings: dict[str, Any]) -> None:
    """A payment vendor needs a store that survives a crash, whatever the vendor declares."""
    with pytest.raises(ConfigurationError) as excinfo:
        open_hub(hub, Bank(settings=settings))

    assert "vendors.main.moves_money" == excinfo.value.path


@hubs
def test_account_cannot_deny_that_money_moves(hub: type[Hub | AsyncHub]) -> None:
    """An account's settings cannot declare that a payment vendor moves no money."""
    with pytest.raises(ConfigurationError) as excinfo:
        open_hub(hub, Bank(), moves_money=False)

    assert "vendors.main.moves_money" == excinfo.value.path
    assert "volatile_keys" in excinfo.value.remedy


@hubs
def test_account_may_accept_the_risk(hub: type[Hub | AsyncHub]) -> None:
    """With `volatile_keys` an account accepts that payment keys are kept in memory only."""
    opened_hub = open_hub(hub, Bank(), volatile_keys=True)

    assert "main" == opened_hub.account("main").name


@pytest.mark.parametrize(
    "vendor, path, word",
    [
        (KeylessBank(), "vendors.main.idempotency", "does not state how long"),
        (UndeclaredLookupBank(), "vendors.main.unknown_outcomes", "void, refund"),
        (UndeclaredKeysBank(), "vendors.main.idempotency", "how it treats idempotency keys"),
        (
            Bank(settings={"idempotency_memory": 7_200}),
            "vendors.main.idempotency_memory",
            "relies on idempotency keys for 7200 seconds",
        ),
    ],
    ids=["silent", "vague", "keyless", "longer"],
)
@hubs
def test_vendor_without_a_required_statement_is_refused(
    hub: type[Hub | AsyncHub], vendor: Bank, path: str, word: str
) -> None:
    """A vendor without a required statement is refused."""
    with pytest.raises(ConfigurationError, match=word) as excinfo:
        open_hub(hub, vendor, volatile_keys=True)

    assert path == excinfo.value.path


def test_accounts_may_override_the_memory_of_keys() -> None:
    """An account's settings can change the lifetime of its vendor's keys."""
    for memory in (60, 86_400):
        with Hub([Account("pigeon", TextMessageVendor(), settings={"idempotency_memory": memory})]):
            pass


@pytest.mark.parametrize("name", vendor_names())
def test_every_vendor_makes_its_statements(name: str) -> None:
    """Built-in vendors are valid, and state unknown outcomes only for operations with effects."""
    vendor = vendor_class(name)

    check_vendor(vendor)

    assert moves_money(vendor) == ("payments" in vendor.kinds)
    effects = {
        operation
        for kind in vendor.kinds
        for operation, effect in contract(kind).operation_effects().items()
        if effect is not Effect.NONE
    }
    assert set(vendor.unknown_outcomes) <= (set(MOVING) if moves_money(vendor) else effects)


@pytest.mark.parametrize(
    "fields, path",
    [
        ({"documentation": []}, "idempotency.documentation"),
        ({"documentation": ["see the manual"]}, "idempotency.documentation"),
        ({"memory": 0}, "memory"),
    ],
)
def test_statements_are_checked(fields: dict[str, Any], path: str) -> None:
    """A vendor declares how long it remembers keys, and names its documentation for this."""
    with pytest.raises((ConfigurationError, InvalidData)) as excinfo:
        attrs.evolve(KEYS, **fields)

    assert path in str(vars(excinfo.value))


@pytest.mark.parametrize(
    "repeat, replays",
    [(RepeatedKey.REPLAYED, True), (RepeatedKey.REFUSED, False), (RepeatedKey.CONFLICT, False)],
)
def test_settings_follow_from_the_statement(repeat: RepeatedKey, replays: bool) -> None:
    """The settings of a vendor's services are derived from its statements."""
    settings = attrs.evolve(KEYS, repeat=repeat).settings

    assert replays == Service("bank", **settings).idempotency_replays
    assert ("Idempotency-Key", 3_600) == (
        settings["idempotency_header"],
        settings["idempotency_memory"],
    )


def test_incomplete_vendor_of_another_package(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor with incomplete statements is refused; the error has the vendor's name."""
    metadata_folder = tmp_path / "bank-1.0.dist-info"
    metadata_folder.mkdir()
    (metadata_folder / "METADATA").write_text("Metadata-Version: 2.1\nName: bank\nVersion: 1.0\n")
    (metadata_folder / "entry_points.txt").write_text(
        "[moorage.vendors]\nvague = tests.contracts.test_vendor_statements:UndeclaredLookupBank\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ConfigurationError, match="unknown outcome: void, refund") as excinfo:
        moorage.open({"vendors": {"vague": {}}})

    assert "vendors.vague.kind" == excinfo.value.path
