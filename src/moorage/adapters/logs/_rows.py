"""The entries of the integration log as table rows."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from math import isfinite
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.adapters.tables._table import micros, moment
from moorage.domain.observation.call_content import LONGEST_CONTENT
from moorage.domain.observation.call_events import LONGEST_MESSAGE, trace_of
from moorage.domain.observation.integration_log import (
    CONTENT_FIELDS,
    IntegrationLog,
    IntegrationStatus,
    field_values,
    success_entry,
)
from moorage.domain.observation.late_fields import facts_of
from moorage.domain.values.text import column_text
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from moorage.adapters.tables._table import Value
    from moorage.domain.http.requests import HttpMethod
    from moorage.domain.observation.call_events import CalledPlan, CallFacts, SuccessFacts
    from moorage.domain.observation.call_identity import CallIdentity

COLUMNS: Final = tuple(attrs.fields_dict(IntegrationLog))
NOT_NULL: Final = frozenset({"id", "service", "status", "started_at", "duration", "attempts"})
NUMBERS: Final = frozenset({"started_at", "attempts", "http_status"})
MAX_NUMBER: Final = 2**63 - 1

TEXT_LENGTH: Final = 255
"""The number of characters that most columns of texts have room for."""

_TEXT_LENGTHS: Final = {
    "error_message": LONGEST_MESSAGE + 1,
    **dict.fromkeys(CONTENT_FIELDS, LONGEST_CONTENT),
}

MOST_PARAMETERS: Final = 999
"""The number of parameters that a statement may have in every release of SQLite."""

_MOST_ROWS: Final = 128

_GROUPS: Final = (
    ("operation", "tenant"),
    ("http_status", "method", "route"),
    ("error", "error_message", "vendor_code"),
    ("idempotency_key", "region", "subject", "vendor", "account", "trace_id"),
    CONTENT_FIELDS,
)
"""The optional columns, those together that most calls have or lack together."""

_OPTIONAL: Final = frozenset(chain.from_iterable(_GROUPS))
_SUCCESS: Final = IntegrationStatus.SUCCESS.value

Encoder: TypeAlias = "tuple[int, Callable[[Any], Value], bool]"
"""The position of a field in an entry, what converts its value, and whether it may be None."""


def text_length(name: str) -> int:
    """Return the maximum length of a text column."""
    return _TEXT_LENGTHS.get(name, TEXT_LENGTH)


def encoders(columns: Iterable[str]) -> tuple[Encoder, ...]:
    """Return the functions that encode the columns' values, in column order."""
    return tuple((COLUMNS.index(name), _ENCODERS[name], name not in NOT_NULL) for name in columns)


def row_of(
    item: IntegrationLog | SuccessFacts, encoders: Iterable[Encoder], *, complete: bool = False
) -> Sequence[Value]:
    """Return the values of a log entry, in column order.

    Args:
        item: the log entry, or the facts of a successful call.
        encoders: the encoders of the table's columns.
        complete: whether the columns are `COLUMNS`.

    Raises:
        InvalidData: the entry has a value that no database can store.
    """
    try:
        if complete and (success := _plain_success(item)) is not None:
            return _success_row(*success)
        values = field_values(success_entry(item) if isinstance(item, tuple) else item)
        return [
            None if (value := values[position]) is None and is_nullable else encode(value)
            for position, encode, is_nullable in encoders
        ]
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise InvalidData(
            "An entry of the integration log contains values that databases cannot store.",
            field="entry",
            remedy="Store only entries that moorage has created.",
        ) from None


_PlainSuccess: TypeAlias = tuple[
    "CallIdentity",
    "CalledPlan",
    int,
    int | None,
    str | None,
    "HttpMethod | None",
    str | None,
    int,
    str | None,
]
"""The facts of a success without long texts, then the number of its attempts and its key."""


def _plain_success(item: IntegrationLog | SuccessFacts) -> _PlainSuccess | None:
    """Return a successful call's data if its entry has no special details; otherwise None.

    Most entries are successes. Their rows are made without computing the fields of an entry first,
    which saves most of the work.
    """
    if isinstance(item, tuple):
        return *item[:-1], 1, None  # a log with content excludes the fast path
    facts: CallFacts | None = facts_of(item)
    if facts is None:
        return None
    identity, plan, now, attempts, error, status, vendor_code, key = facts[:8]
    if error is not None or vendor_code is not None or identity.content is not None:
        return None
    if True in facts[8:13]:
        return None
    return identity, plan, now, status, facts[13], facts[16], facts[17], attempts, key


def _success_row(  # noqa: PLR0917 - unpacking a tuple of them would cost more
    identity: CallIdentity,
    plan: CalledPlan,
    now: int,
    status: int | None,
    subject: str | None,
    method: HttpMethod | None,
    traceparent: str | None,
    attempts: int,
    key: str | None,
) -> tuple[Value, ...]:
    """Return the table row of a successful call without special details."""
    service, operation, tenant, region, route = _texts_of(plan)  # type: ignore[arg-type]  # plans compare by identity
    contract, vendor, account = identity.contract, None, None
    if contract is not None:
        operation, vendor = _text(contract.operation), _text(contract.vendor)
        account = _text(contract.account)
    key = identity.idempotency_key or key
    trace_id = identity.trace_id if traceparent is None else trace_of(identity, traceparent)
    return (
        column_text(identity.request_id, TEXT_LENGTH),
        service,
        _SUCCESS,
        identity.wall // 1_000,
        (now - identity.started) / 1e9,
        attempts,
        operation,
        tenant,
        None,
        None if status is None else _number(status),
        None,
        None if key is None else column_text(key, TEXT_LENGTH),
        region,
        None if subject is None else column_text(subject, TEXT_LENGTH),
        vendor,
        account,
        None if trace_id is None else column_text(trace_id, TEXT_LENGTH),
        None if method is None else method.value,
        route,
        None,
        None,
        None,
    )


@attrs.frozen
class InsertedRows:
    """Rows that one statement inserts.

    Attributes:
        columns: the columns that have a value in some of them.
        values: the values of these columns, row by row.
        count: the number of rows.
    """

    columns: tuple[str, ...]
    values: tuple[Value, ...]
    count: int


def insertions(columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> Iterator[InsertedRows]:
    """Split rows into groups, each for one INSERT statement.

    Columns that are NULL in all rows of a group are left out. A statement is prepared for
    each set of columns and each number of rows, so there are few such sets, and the numbers are
    powers of two.
    """
    start = 0
    while chunk := rows[start : start + _MOST_ROWS]:
        values = list(zip(*chunk, strict=True))
        filled = {
            name
            for name, column in zip(columns, values, strict=True)
            if name in _OPTIONAL and column.count(None) < len(column)
        }
        left_out = {name for group in _GROUPS if filled.isdisjoint(group) for name in group}
        positions = [position for position, name in enumerate(columns) if name not in left_out]
        names = tuple(columns[position] for position in positions)
        most_rows = MOST_PARAMETERS // len(names)
        size = 1 << min(most_rows, len(chunk)).bit_length() - 1
        chosen_rows = zip(*(values[position][:size] for position in positions), strict=True)
        yield InsertedRows(names, tuple(chain.from_iterable(chosen_rows)), size)
        start += size


def entry_of_row(row: Mapping[str, Any]) -> IntegrationLog:
    """Return the log entry of a row."""
    fields = {name: value for name, value in row.items() if name != "number"}
    fields["status"] = IntegrationStatus(fields["status"])
    fields["started_at"] = moment(fields["started_at"])
    return IntegrationLog(**fields)


@lru_cache(maxsize=1_000)
def _text(text: str) -> str:
    """Convert a string that many entries share to its column value."""
    return column_text(text, TEXT_LENGTH)


@lru_cache(maxsize=1_000)
def _texts_of(plan: CalledPlan) -> tuple[Any, ...]:
    """Return a plan's service, operation, tenant, region and route as column values."""
    texts = (plan.service.name, plan.operation, plan.tenant, plan.region, plan.route)
    return tuple(None if text is None else column_text(text, TEXT_LENGTH) for text in texts)


def _number(value: Any) -> int:
    number = int(value)
    if abs(number) > MAX_NUMBER:
        raise OverflowError
    return number


def _finite_number(value: Any) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError
    return number


def _encoder(name: str) -> Callable[[Any], Value]:
    """Return the function that encodes the values of a field."""
    if name in NUMBERS:
        return _number
    length = text_length(name)
    return lambda text: column_text(text, length)


_ENCODERS: Final[Mapping[str, Callable[[Any], Value]]] = {
    **{name: _encoder(name) for name in COLUMNS},
    "status": attrgetter("value"),
    "started_at": lambda time: _number(micros(time)),
    "duration": _finite_number,
}
