"""Receipts marked as the stored result of an earlier call with the same idempotency key."""

from __future__ import annotations

import pytest

from moorage import ConfigurationError, Ref, Result
from moorage.adapters.state.memory import MemoryStorage
from moorage.config.default_state import prepare
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus
from moorage.contracts.replays import as_replay
from moorage.domain.idempotency.unsettled import (
    ReserveLookup,
    SettleOperation,
    SettlingAnswer,
    UnregisterOperation,
    effect_name,
)

RECEIPT = EmailReceipt(ref=Ref("some", "main", "1"), status=EmailStatus.QUEUED)


def test_each_receipt_of_a_batch_is_marked() -> None:
    """Each receipt of a repeated batch is marked as a replay, and is otherwise unchanged."""
    failed_receipt: Result[EmailReceipt] = Result(error=ValueError())
    marked_result, failed_item, plain_item = as_replay([Result(RECEIPT), failed_receipt, 7])

    assert isinstance(marked_result, Result)
    assert marked_result.unwrap().replayed
    assert RECEIPT == marked_result.unwrap()
    assert (failed_receipt, 7, "x") == (failed_item, plain_item, as_replay("x"))


def test_commands_on_an_unregistered_operation_change_nothing() -> None:
    """Commands to settle or unregister an operation that is not registered change nothing."""
    store = MemoryStorage()
    effect_key = ("payments", None, "k")

    assert not store.execute(UnregisterOperation(*effect_key, number=1, is_certain=True))
    assert SettlingAnswer(settled=False) == store.execute(
        SettleOperation(*effect_key, done=True, answer="x")
    )
    assert not store.execute(ReserveLookup(effect_name(*effect_key), pause=1)).ours


def test_user_without_a_home_has_no_default_store() -> None:
    """For a user without a home folder, a store path with `~` is refused."""
    with pytest.raises(ConfigurationError, match="no home folder"):
        prepare("sqlite:///~/state.db")
