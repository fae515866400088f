"""A mark on receipts that repeat the stored result of an earlier call with the same key."""

from __future__ import annotations

from typing import Any, TypeGuard, TypeVar

from moorage.domain.values.frozen_values import evolve, field, has_fields
from moorage.domain.values.json_text import is_list
from moorage.domain.values.result import Result

R = TypeVar("R")


def replay_field() -> Any:
    """The field that marks a receipt as replayed, which comparisons of receipts ignore."""
    return field(default=False, eq=False, kw_only=True)


def as_replay(receipt: R) -> R:
    """Mark a receipt, or each receipt of a batch, as the stored result of an earlier call."""
    if is_list(receipt):
        return [_mark_replay(item) for item in receipt]  # type: ignore[return-value]  # a list as before
    marked_receipt: Any = receipt
    if has_fields(type(receipt)) and hasattr(receipt, "replayed"):
        marked_receipt = evolve(marked_receipt, replayed=True)
    return marked_receipt  # type: ignore[no-any-return]  # of the same class


def _mark_replay(item: Any) -> Any:
    return evolve(item, value=as_replay(item.value)) if _is_result(item) else item


def _is_result(item: object) -> TypeGuard[Result[Any]]:
    return isinstance(item, Result)
