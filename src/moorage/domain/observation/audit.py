"""The audit trail: records that form a chain of hashes, sealed with a key at intervals.

Laws:

1. Every record has the hash of the record before it, and its own hash covers that hash and every
   other field. The first record continues from `GENESIS`. Numbers begin at 1 and have no gaps.
2. A seal is a record too: its text is an HMAC of its number and of the previous record's hash.
   Without the key, nobody can change a record before the last seal so that the chain still
   verifies.
3. The head names the last record. It is stored beside the records and changes with each of them, so
   it reveals that records were cut off at the end.
4. `verify` accepts any rows and raises no error: an invalid row is a finding.
5. A record never has the value of a field whose name suggests a credential.

An attacker who can write everything may remove records together with the seals over them, and
correct the head. Only an anchor reveals that: the number and hash of a record, noted elsewhere,
such as the output of `moorage audit seal`.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.secrets.sensitive import MASK, is_sensitive
from moorage.domain.values.durations import count, is_count
from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.text import storable_text
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from moorage.domain.state.sealing import KeyRing

GENESIS: Final = "0" * 64
"""The previous hash of the audit trail's first record."""

LONGEST_ACT: Final = 100
LONGEST_NAME: Final = 255
LONGEST_REASON: Final = 500
LONGEST_VALUES: Final = 4_000
"""The maximum number of characters in an audit record's texts."""

SEAL: Final = "seal"
"""The action name of a record that seals the audit trail."""

SEALER: Final = "moorage"
"""The actor of seals and of actions that no person took."""

_FORMAT: Final = 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PURPOSE: Final = b"moorage: seal of an audit trail\0"
_CUT_MARK: Final = "..."
_SEAL_TEXT: Final = re.compile(r"([1-9][0-9]{0,9}):([0-9a-f]{64})")


def _shorten(value: object, longest: int) -> str:
    text = storable_text(str(value))
    return text if len(text) <= longest else text[: longest - len(_CUT_MARK)] + _CUT_MARK


def _name(value: object) -> str:
    return _shorten(value, LONGEST_NAME)


def _act_text(value: object) -> str:
    return _shorten(value, LONGEST_ACT)


def _reason(value: object) -> str:
    return _shorten(value, LONGEST_REASON)


def _values(value: Mapping[str, Any] | str | None) -> str | None:
    """Return what an action changed, before or after it, as JSON with credentials masked."""
    if value is None:
        return None
    if isinstance(value, str):
        return _shorten(value, LONGEST_VALUES)
    text = json.dumps(mask_credentials(value), sort_keys=True, default=str)
    if len(text) <= LONGEST_VALUES:
        return text
    return json.dumps({"shortened": text[: LONGEST_VALUES // 2]})


def mask_credentials(value: Any) -> Any:
    """Return plain values in which each value whose name suggests a credential is masked."""
    if is_object(value):
        return {
            str(name): MASK if is_sensitive(str(name)) else mask_credentials(item)
            for name, item in value.items()
        }
    if is_list(value):
        return [mask_credentials(item) for item in value]
    return value


@attrs.frozen(kw_only=True)
class Act:
    """A manual action of a person that the audit trail records.

    Strings are shortened to a length that every store accepts.

    Attributes:
        act: the name of the act, such as "circuit.open".
        subject: the object of the action, such as "service vat".
        actor: the person or program that did it.
        at: the time by the local clock (aware, UTC).
        reason: the reason that the actor gave.
        before, after: the state before and after the act: plain values by name, which become JSON
            with a mask in place of what may be a credential.
    """

    act: str = attrs.field(converter=_act_text)
    subject: str = attrs.field(converter=_name)
    actor: str = attrs.field(converter=_name)
    at: datetime
    reason: str = attrs.field(default="", converter=_reason)
    before: str | None = attrs.field(default=None, converter=_values)
    after: str | None = attrs.field(default=None, converter=_values)


@attrs.frozen(kw_only=True)
class AuditRecord:
    """A record of the audit trail as a store keeps it.

    Attributes:
        number: the record's position, from 1.
        at: the time in microseconds since 1970.
        act, subject, actor, reason, before, after: the fields of the `Act`.
        previous: the hash of the record before it.
        hash: the record's own hash.
    """

    number: int
    at: int
    act: str
    subject: str
    actor: str
    reason: str
    before: str | None
    after: str | None
    previous: str
    hash: str

    @property
    def time(self) -> datetime:
        """The time of the recorded action, as an aware datetime."""
        return _EPOCH + self.at * _MICROSECOND


@attrs.frozen
class AuditHead:
    """The number and hash of the latest record in the audit trail's chain.

    Attributes:
        number: the number of the last record; 0 if there is none.
        hash: the hash of that record.
        sealed: the number of the last seal; 0 if there is none.
    """

    number: int = 0
    hash: str = GENESIS
    sealed: int = 0


_LAST_NUMBER: Final = 2**63 - 1
"""The largest number of a record that every store can compare."""


def _is_page(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None:
        count(value, attribute.name, least=0, most=_LAST_NUMBER)


@attrs.frozen(kw_only=True)
class AuditQuery:
    """A filter for audit records: a record must meet every condition.

    Attributes:
        act: the exact act, or the beginning of several that ends with a dot, such as "circuit.".
        subject, actor: the exact value.
        since, until: the time of the act, `until` excluded.
        limit: the number of records on a page.
        after: the `next` of the page before.
    """

    act: str | None = None
    subject: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = attrs.field(default=100, validator=is_count)
    after: int | None = attrs.field(default=None, validator=_is_page)

    def matches(self, record: AuditRecord) -> bool:
        """Return whether an audit record meets the query's conditions, regardless of its page."""
        return (
            (self.act is None or record.act == self.act or self._is_prefix_of(record.act))
            and (self.subject is None or record.subject == self.subject)
            and (self.actor is None or record.actor == self.actor)
            and (self.since is None or record.at >= micros_of(self.since))
            and (self.until is None or record.at < micros_of(self.until))
        )

    def _is_prefix_of(self, act: str) -> bool:
        return self.act is not None and self.act.endswith(".") and act.startswith(self.act)


@attrs.frozen(kw_only=True)
class AuditPage:
    """A page of the audit trail, newest first; `next` leads to the next page, if any."""

    items: tuple[AuditRecord, ...]
    next: int | None = None


def micros_of(moment: datetime) -> int:
    """Return a point in time as microseconds since 1970.

    Raises:
        InvalidData: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise InvalidData(
            "The time of an audit record must be an aware datetime.",
            field="at",
            remedy="Add a time zone, such as datetime.now(UTC).",
        )
    return (moment - _EPOCH) // _MICROSECOND


# --- building the chain ---------------------------------------------------------------------


def canonical(record: AuditRecord) -> bytes:
    """Return the bytes that an audit record's hash covers: a JSON array of its fields."""
    fields = (
        _FORMAT,
        record.number,
        record.at,
        record.act,
        record.subject,
        record.actor,
        record.reason,
        record.before,
        record.after,
        record.previous,
    )
    return json.dumps(fields, separators=(",", ":")).encode()


def hash_of(record: AuditRecord) -> str:
    """Return the hash that an audit record must have."""
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL

    return sha256(canonical(record)).hexdigest()


def linked_records(head: AuditHead, acts: Sequence[Act]) -> tuple[list[AuditRecord], AuditHead]:
    """Return actions as records that continue the chain, and the new end of the chain."""
    records: list[AuditRecord] = []
    for act in acts:
        record = _link_record(head, act)
        records.append(record)
        head = attrs.evolve(head, number=record.number, hash=record.hash)
    return records, head


def seal(head: AuditHead, keys: KeyRing, at: datetime) -> tuple[AuditRecord, AuditHead]:
    """Return a record that seals the audit chain with a key, and the chain's new end."""
    version, _ = keys.keys[0]
    text = f"{version}:{_mac(keys, version, head.number + 1, head.hash)}"
    sealing_act = Act(
        act=SEAL, subject=f"records 1 to {head.number}", actor=SEALER, at=at, after=text
    )
    record = _link_record(head, sealing_act)
    return record, AuditHead(record.number, record.hash, record.number)


def _link_record(head: AuditHead, act: Act) -> AuditRecord:
    record = AuditRecord(
        number=head.number + 1,
        at=micros_of(act.at),
        act=act.act,
        subject=act.subject,
        actor=act.actor,
        reason=act.reason,
        before=act.before,
        after=act.after,
        previous=head.hash,
        hash="",
    )
    return attrs.evolve(record, hash=hash_of(record))


def _mac(keys: KeyRing, version: int, number: int, previous: str) -> str | None:
    """Return the HMAC of a seal with this number and previous hash; None without the key."""
    from hmac import digest  # noqa: PLC0415 - loads OpenSSL

    for key_version, key in keys.keys:
        if key_version == version:
            text = _PURPOSE + f"{number}:{previous}".encode()
            return digest(key.reveal_bytes(), text, "sha256").hex()
    return None


def extended_chain(
    head: AuditHead, acts: Sequence[Act], *, keys: KeyRing | None, every: int
) -> tuple[list[AuditRecord], AuditHead]:
    """Return audit records of actions, followed by a seal if it is due, and the chain's new end.

    Args:
        head: the end of the chain.
        acts: the acts to append, at least one.
        keys: the keys of seals; without them there is no seal.
        every: the number of records between two seals.
    """
    records, end = linked_records(head, acts)
    if keys is not None and end.number - end.sealed >= every:
        sealing, end = seal(end, keys, acts[-1].at)
        records.append(sealing)
    return records, end


def damaged_trail_error(where: str, number: int) -> ConfigurationError:
    """Return the error for an audit trail that does not end at the record its head names."""
    return ConfigurationError(
        f"The audit trail in {where} is damaged, because it does not end with its record {number}.",
        path="audit.url",
        remedy="Find the missing records with `moorage audit verify`. Restore the trail from"
        " a backup, or keep it as evidence and start a new trail.",
    )


# --- verifying it ---------------------------------------------------------------------------


class Fault(StrEnum):
    """A kind of damage that verification finds in an audit trail."""

    ALTERED = "altered"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    CUT_OFF = "cut off"
    FORGED = "forged"


@attrs.frozen
class Finding:
    """The first broken link that verification found in an audit trail.

    Attributes:
        number: the number of the record at which the chain breaks.
        fault: the kind of the damage.
        message: the description of the damage, as a sentence.
    """

    number: int
    fault: Fault
    message: str


@attrs.frozen(kw_only=True)
class Verification:
    """The result of verifying the audit trail.

    Attributes:
        records: the number of records that are in order.
        sealed: the number of the last seal that was verified; 0 if none was.
        unverified: the number of seals whose key is not in the ring.
        head: the last record that is in order, by number and hash, to be noted elsewhere.
        finding: the first broken link; None if the chain is whole.
    """

    records: int
    sealed: int
    unverified: int
    head: AuditHead
    finding: Finding | None = None

    @property
    def whole(self) -> bool:
        """True if verification found no broken link."""
        return self.finding is None


def verify(
    records: Iterable[AuditRecord],
    *,
    head: AuditHead | None = None,
    later: Callable[[], AuditHead] | None = None,
    keys: KeyRing | None = None,
    anchor: AuditHead | None = None,
) -> Verification:
    """Verify the records of an audit trail, and return the first broken link, if any.

    Args:
        records: all records, in the order in which they are stored.
        head: the end that is stored beside them, if the store has one.
        later: reads that end again after all records: the chain may have grown meanwhile.
        keys: the keys of seals; without them seals are not verified.
        anchor: the number and hash of a record that were noted elsewhere.
    """
    chain = _Chain(keys, anchor)
    stored_records = iter(records)
    finding: Finding | None = None
    for record in stored_records:
        finding = chain.add(record, stored_records)
        if finding is not None:
            break
    else:
        if head is not None and later is not None:
            later_head = later()
            head = (
                chain.head if head.number <= chain.head.number < later_head.number else later_head
            )
        finding = _end_finding(chain.head, head, "the head that is stored beside the records")
        finding = (
            finding
            or _records_after_seal(chain.head, anchor)
            or _missing_seal_finding(chain, head, keys)
        )
    return Verification(
        records=chain.head.number,
        sealed=chain.head.sealed,
        unverified=chain.unverified,
        head=chain.head,
        finding=finding,
    )


class _Chain:
    """The part of an audit trail that has been verified so far."""

    def __init__(self, keys: KeyRing | None, anchor: AuditHead | None) -> None:
        self._keys = keys
        self._anchor = anchor
        self.head = AuditHead()
        self.unverified = 0

    def add(self, record: AuditRecord, following_records: Iterator[AuditRecord]) -> Finding | None:
        """Verify the next record of the audit trail; return the problem with it, if any."""
        number = self.head.number + 1
        if hash_of(record) != record.hash:
            return Finding(
                number,
                Fault.ALTERED,
                f"Record {number} was altered: its hash does not match its content.",
            )
        if record.number != number:
            return _misplaced_finding(record.number, number, following_records)
        if record.previous != self.head.hash:
            return _rewritten_finding(number)
        anchor = self._anchor
        if anchor is not None and anchor.number == number and anchor.hash != record.hash:
            return Finding(
                number,
                Fault.ALTERED,
                f"Record {number} was altered: its hash differs from the hash that was noted.",
            )
        seal_number = self.head.sealed
        if record.act == SEAL:
            verdict = self._verdict(record)
            if verdict is False:
                return Finding(
                    number,
                    Fault.FORGED,
                    f"The seal in record {number} is wrong: the records from {seal_number + 1}"
                    f" to {number} were rewritten without the key.",
                )
            self.unverified += verdict is None
            seal_number = number if verdict else seal_number
        self.head = AuditHead(number, record.hash, seal_number)
        return None

    def _verdict(self, record: AuditRecord) -> bool | None:
        """Return whether a seal was made with the right key; None if that key is missing."""
        from hmac import compare_digest  # noqa: PLC0415 - loads OpenSSL

        match = _SEAL_TEXT.fullmatch(record.after or "")
        if match is None:
            return False
        if self._keys is None:
            return None
        expected_mac = _mac(self._keys, int(match[1]), record.number, record.previous)
        return None if expected_mac is None else compare_digest(expected_mac, match[2])


def _misplaced_finding(
    number: int, expected: int, following_records: Iterator[AuditRecord]
) -> Finding:
    if number < expected:
        return Finding(
            expected,
            Fault.INSERTED,
            f"A record with the number {number} was inserted after record {expected - 1}.",
        )
    if any(record.number == expected for record in following_records):
        return Finding(
            expected,
            Fault.REORDERED,
            f"Record {expected} comes after record {number}: the records were reordered.",
        )
    range_end = "" if number == expected + 1 else f" to {number - 1}"
    return Finding(
        expected,
        Fault.REMOVED,
        f"Record {expected}{range_end} was removed: record {number} follows instead.",
    )


def _rewritten_finding(number: int) -> Finding:
    if number == 1:
        return Finding(
            1, Fault.ALTERED, "Record 1 was altered: it names an earlier record, but there is none."
        )
    return Finding(
        number - 1,
        Fault.ALTERED,
        f"Record {number - 1} was altered: its hash differs from the hash in record {number}.",
    )


def _end_finding(end: AuditHead, expected: AuditHead | None, source: str) -> Finding | None:
    if expected is None or (expected.number, expected.hash) == (end.number, end.hash):
        return None
    if expected.number > end.number:
        return _cut_off(end, expected, source)
    if expected.number < end.number:
        return Finding(
            expected.number + 1,
            Fault.INSERTED,
            f"Record {expected.number + 1} was inserted: according to {source}, the chain ends"
            f" with record {expected.number}.",
        )
    return Finding(
        end.number, Fault.ALTERED, f"Record {end.number} was altered: {source} has another hash."
    )


def _records_after_seal(end: AuditHead, anchor: AuditHead | None) -> Finding | None:
    if anchor is None or anchor.number <= end.number:
        return None
    return _cut_off(end, anchor, "what was noted")


def _missing_seal_finding(
    chain: _Chain, head: AuditHead | None, keys: KeyRing | None
) -> Finding | None:
    """Return a problem if the newest seal that the trail's head names is missing."""
    if keys is None or head is None or chain.unverified or head.sealed <= chain.head.sealed:
        return None
    return Finding(
        head.sealed,
        Fault.ALTERED,
        f"Record {head.sealed} was altered: it was a seal, but is not a seal now.",
    )


def _cut_off(end: AuditHead, expected: AuditHead, source: str) -> Finding:
    return Finding(
        end.number + 1,
        Fault.CUT_OFF,
        f"The records from {end.number + 1} on were cut off: according to {source}, the chain"
        f" has {expected.number} records.",
    )
