"""The audit trail's chain of hashes, and the verification that it is complete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConfigurationError, InvalidData, Secret
from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.domain.observation.audit import (
    GENESIS,
    LONGEST_VALUES,
    Act,
    AuditHead,
    AuditQuery,
    AuditRecord,
    Fault,
    damaged_trail_error,
    extended_chain,
    hash_of,
    linked_records,
    micros_of,
    seal,
    verify,
)
from tests.support.examples import examples

if TYPE_CHECKING:
    from moorage.domain.state.sealing import KeyRing

NOW = datetime(2026, 7, 1, 3, tzinfo=UTC)
KEYS = generate_keys()
TEXT = st.text(max_size=20)
ACTS = st.builds(
    Act,
    act=st.sampled_from(["circuit.open", "key.resolve", "outbox.drop"]),
    subject=TEXT,
    actor=TEXT,
    reason=TEXT,
    before=st.none() | st.dictionaries(TEXT, st.integers()),
    after=st.none() | st.dictionaries(TEXT, TEXT),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as Hypothesis wants
)


def audited_act(number: int = 0, **changes: Any) -> Act:
    """Return an audited act of the person Ada."""
    fields: dict[str, Any] = {
        "act": "circuit.open",
        "subject": f"service {number}",
        "actor": "ada",
        "at": NOW + timedelta(seconds=number),
    }
    return Act(**{**fields, **changes})


def chain(size: int = 6, *, keys: KeyRing | None = KEYS) -> tuple[list[AuditRecord], AuditHead]:
    """Return an audit chain of some acts, with a seal after each three records."""
    records, head = list[AuditRecord](), AuditHead()
    for number in range(size):
        added_records, head = extended_chain(head, [audited_act(number)], keys=keys, every=3)
        records += added_records
    return records, head


def fault(records: list[AuditRecord], head: AuditHead | None, **options: Any) -> tuple[int, Fault]:
    """Return the first broken link of an audit chain."""
    finding = verify(records, head=head, **options).finding
    assert finding is not None
    return finding.number, finding.fault


def rehash(record: AuditRecord, **changes: Any) -> AuditRecord:
    """Return a copy of a changed audit record whose hash is recomputed to match."""
    changed_record = attrs.evolve(record, **changes)
    return attrs.evolve(changed_record, hash=hash_of(changed_record))


def rewrite_hashes(records: list[AuditRecord], start: int) -> list[AuditRecord]:
    """Return the audit records with new hashes from one position on."""
    finished_records = records[:start]
    for record in records[start:]:
        previous_hash = finished_records[-1].hash if finished_records else GENESIS
        finished_records.append(rehash(record, previous=previous_hash))
    return finished_records


# --- building the chain -----------------------------------------------------------------


def test_each_record_of_audit_trail_has_next_number_and_previous_record_hash() -> None:
    """Each record of the audit trail has the next number and the previous record's hash."""
    records, head = linked_records(AuditHead(), [audited_act(0), audited_act(1)])

    assert [1, 2] == [record.number for record in records]
    assert [GENESIS, records[0].hash] == [record.previous for record in records]
    assert AuditHead(2, records[1].hash) == head
    assert NOW + timedelta(seconds=1) == records[1].time


def test_chain_is_sealed_from_time_to_time() -> None:
    """With seal keys, the audit chain is sealed after a number of unsealed records."""
    sealed_records, head = chain(5)
    unsealed_records, _ = chain(5, keys=None)

    assert [4] == [record.number for record in sealed_records if record.act == "seal"]
    assert (6, 4) == (head.number, head.sealed)
    assert [] == [record for record in unsealed_records if record.act == "seal"]


def test_values_of_credentials_are_masked() -> None:
    """An audit record masks each value whose name may be the name of a credential."""
    recorded_act = audited_act(
        before={"api_key": "canary", "path": "vendors.stripe.credentials"},
        after={"vendors": [{"stripe": {"password": "canary"}}], "rate": 5},
    )

    assert "canary" not in repr(recorded_act)
    assert '{"api_key": "***", "path": "vendors.stripe.credentials"}' == recorded_act.before
    assert '{"rate": 5, "vendors": [{"stripe": {"password": "***"}}]}' == recorded_act.after
    assert "canary" not in str(audited_act(after={"of": Secret("canary")}).after)


def test_long_audit_texts_are_shortened_and_characters_replaced() -> None:
    """Long strings in an audit record are shortened, and unstorable characters replaced."""
    recorded_act = audited_act(
        act="a" * 200,
        subject="s" * 300,
        reason="\0\ud800",
        after={"text": "x" * 9_000},
        before="y" * 9_000,
    )

    assert (100, 255, "??") == (
        len(recorded_act.act),
        len(recorded_act.subject),
        recorded_act.reason,
    )
    assert recorded_act.subject.endswith("...")
    assert len(recorded_act.after or "") <= LONGEST_VALUES
    assert LONGEST_VALUES == len(recorded_act.before or "")


def test_audit_time_without_a_zone_is_refused() -> None:
    """An audit record's time without a time zone is refused."""
    with pytest.raises(InvalidData, match="aware datetime"):
        micros_of(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize(
    "query, matches",
    [
        (AuditQuery(), True),
        (AuditQuery(act="circuit."), True),
        (AuditQuery(act="circuit"), False),
        (AuditQuery(act="circuit.open", subject="service 0", actor="ada"), True),
        (AuditQuery(subject="service 1"), False),
        (AuditQuery(actor="bob"), False),
        (AuditQuery(since=NOW, until=NOW + timedelta(seconds=1)), True),
        (AuditQuery(until=NOW), False),
        (AuditQuery(since=NOW + timedelta(seconds=1)), False),
    ],
)
def test_audit_record_matches_query_if_it_meets_every_condition(
    query: AuditQuery, *, matches: bool
) -> None:
    """An audit record matches a query if it meets all conditions."""
    (record,), _ = linked_records(AuditHead(), [audited_act()])
    assert matches is query.matches(record)


# --- verifying the chain ----------------------------------------------------------------


def test_complete_audit_chain_verifies_without_a_finding() -> None:
    """A complete audit chain verifies without a finding, and the result contains its last seal."""
    records, head = chain()
    result = verify(records, head=head, keys=KEYS, anchor=AuditHead(4, records[3].hash))

    assert result.whole
    assert (8, 8, 0, head) == (result.records, result.sealed, result.unverified, result.head)
    assert verify([], head=AuditHead(), keys=KEYS).whole


def test_seals_of_other_keys_are_counted() -> None:
    """Audit verification counts a seal whose key is missing as unverified, and not as broken."""
    records, head = chain()
    reduced_verification = verify(records, head=head)
    newer_verification = verify(
        records, head=head, keys=KEYS.with_new(Secret(b"k" * 32)).without(1)
    )

    assert (True, 0, 2) == (
        reduced_verification.whole,
        reduced_verification.sealed,
        reduced_verification.unverified,
    )
    assert (True, 0, 2) == (
        newer_verification.whole,
        newer_verification.sealed,
        newer_verification.unverified,
    )


def test_first_broken_link_is_named() -> None:
    """Audit verification names the first damaged record, and the kind of damage."""
    records, head = chain()
    second = records[1]
    cases = {
        (2, Fault.ALTERED): [records[0], attrs.evolve(second, actor="eve"), *records[2:]],
        (2, Fault.REMOVED): [records[0], *records[2:]],
        (1, Fault.REMOVED): records[3:],
        (3, Fault.INSERTED): [*records[:2], second, *records[2:]],
        (2, Fault.REORDERED): [records[0], records[2], second, *records[3:]],
        (8, Fault.CUT_OFF): records[:-1],
        (1, Fault.CUT_OFF): [],
    }
    for expected, damaged_records in cases.items():
        assert expected == fault(damaged_records, head, keys=KEYS)
    messages = {str(verify(case, head=head).finding) for case in cases.values()}
    assert len(cases) == len(messages)


def test_rewritten_audit_records_are_detected() -> None:
    """The next record, a seal or the head shows that hashes of audit records were recomputed."""
    records, head = chain()
    altered_record = rehash(records[1], actor="eve")
    rewriting = rewrite_hashes([records[0], altered_record, *records[2:]], 1)

    assert (2, Fault.ALTERED) == fault([records[0], altered_record, *records[2:]], head)
    assert (4, Fault.FORGED) == fault(rewriting, head, keys=KEYS)
    assert (8, Fault.ALTERED) == fault(rewriting, head)
    assert (1, Fault.ALTERED) == fault([rehash(records[0], previous="f" * 64)], None)


def test_replaced_audit_seal_is_detected() -> None:
    """A replaced audit seal is found, even if the hashes of all records are right."""
    records, _ = chain()
    for change in ({"act": "note"}, {"after": "1:nonsense"}, {"after": None}):
        changed_records = rewrite_hashes([*records[:7], attrs.evolve(records[7], **change)], 7)
        head = AuditHead(8, changed_records[7].hash, 8)
        number, _ = fault(changed_records, head, keys=KEYS)
        assert 8 == number


def test_anchor_record_number_and_hash_reveals_removed_audit_records() -> None:
    """An anchor (a record's number and hash) reveals removed audit records."""
    records, head = chain()
    shorter_head = AuditHead(3, records[2].hash, 0)

    assert verify(records[:3], head=shorter_head, keys=KEYS).whole
    assert (4, Fault.CUT_OFF) == fault(records[:3], shorter_head, anchor=head)
    assert (3, Fault.ALTERED) == fault(records, head, anchor=AuditHead(3, "f" * 64))


def test_records_beyond_the_head_were_inserted() -> None:
    """An audit record after the chain's head is reported as inserted."""
    records, head = chain()
    (added_record,), _ = linked_records(head, [audited_act(9)])

    assert (9, Fault.INSERTED) == fault([*records, added_record], head)


def test_chain_may_grow_while_it_is_read() -> None:
    """Audit records that are added during the verification count as valid."""
    records, head = chain()
    (ninth,), longer_head = linked_records(head, [audited_act(9)])
    _, last = linked_records(longer_head, [audited_act(10)])

    assert verify([*records, ninth], head=head, later=lambda: last).whole
    assert verify([*records, ninth], head=head, later=lambda: longer_head).whole
    assert not verify(records[:7], head=head, later=lambda: longer_head).whole


def test_damage_at_the_end_is_refused() -> None:
    """The error for a damaged audit trail contains the place of the damage, and a remedy."""
    error = damaged_trail_error("/var/audit.db", 7)
    assert isinstance(error, ConfigurationError)
    assert "record 7" in error.message
    assert "moorage audit verify" in error.remedy


def test_older_keys_verify_their_seals() -> None:
    """After a key change, audit seals of the old and the new key are verified."""
    records, head = chain()
    newer_ring = generate_keys(KEYS)
    sealing, head = seal(head, newer_ring, NOW)

    result = verify([*records, sealing], head=head, keys=newer_ring)
    assert (9, 0) == (result.sealed, result.unverified)


CHANGES: dict[str, Any] = {
    "number": st.integers(-3, 20),
    "at": st.integers(0, 2**60),
    "act": TEXT,
    "subject": TEXT,
    "actor": TEXT,
    "reason": TEXT,
    "before": st.none() | TEXT,
    "after": st.none() | TEXT,
    "previous": TEXT,
    "hash": TEXT,
}


@pytest.mark.untraced
@examples(400)
@given(st.lists(ACTS, min_size=1, max_size=8), st.data())
def test_any_single_alteration_is_found(acts: list[Act], data: st.DataObject) -> None:
    """A changed, removed, repeated or moved audit record is detected."""
    records, head = extended_chain(AuditHead(), acts, keys=KEYS, every=4)
    place = data.draw(st.integers(0, len(records) - 1))
    kind = data.draw(st.sampled_from(["change", "remove", "repeat", "move"]))
    changed_records = list(records)
    if kind == "change":
        name = data.draw(st.sampled_from(sorted(CHANGES)))
        value = data.draw(CHANGES[name])
        changed_records[place] = attrs.evolve(changed_records[place], **{name: value})
    elif kind == "remove":
        del changed_records[place]
    elif kind == "repeat":
        changed_records.insert(data.draw(st.integers(0, len(records))), records[place])
    else:
        changed_records.insert(
            data.draw(st.integers(0, len(records) - 1)), changed_records.pop(place)
        )

    assert (changed_records == records) is verify(changed_records, head=head, keys=KEYS).whole


@examples(100)
@given(st.lists(ACTS, min_size=1, max_size=8), st.data())
def test_rewriting_before_a_seal_is_found(acts: list[Act], data: st.DataObject) -> None:
    """A seal shows that somebody changed an audit record and recomputed all later hashes."""
    records, head = linked_records(AuditHead(), acts)
    sealing, head = seal(head, KEYS, NOW)
    records.append(sealing)
    place = data.draw(st.integers(0, len(acts) - 1))
    changed_records = list(records)
    changed_records[place] = attrs.evolve(changed_records[place], actor=data.draw(TEXT))
    changed_records = rewrite_hashes(changed_records, place)
    end = AuditHead(len(changed_records), changed_records[-1].hash, len(changed_records))

    assert (changed_records == records) is verify(changed_records, head=end, keys=KEYS).whole
