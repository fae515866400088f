"""The keys of stored states are unique per owner; related keys are on one Redis node."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from moorage import Service
from moorage.domain.service.plan import Plan
from moorage.domain.state.keys import LONGEST, checked_name, class_of, own_key, state_key, tag_of
from moorage.errors import InvalidData
from tests.domain.state_store import has_remedy

names = st.one_of(
    st.text(max_size=6),
    st.text("a%:{}@;3é-", max_size=4),
    st.sampled_from(["", "a", "a:b", "%3a;", "@a", "{a}", "é", "e\u0301", "A"]),
)
parts = st.tuples(names, names, st.none() | names, st.lists(names, max_size=3))


@given(parts, parts)
def test_no_two_states_share_a_key(
    one: tuple[str, str, str | None, list[str]], other: tuple[str, str, str | None, list[str]]
) -> None:
    """State keys are equal only if their kind, service, tenant and other parts are equal."""
    is_same = state_key(*one[:3], *one[3]) == state_key(*other[:3], *other[3])
    assert (one == other) is is_same


@given(names, st.none() | names, st.lists(st.tuples(names, st.lists(names)), min_size=2))
def test_all_state_keys_of_one_service_and_tenant_share_hash_tag(
    service: str, tenant: str | None, states: list[tuple[str, list[str]]]
) -> None:
    """All state keys of one service and tenant share a hash tag, and are ASCII."""
    keys = [state_key(kind, service, tenant, *key_parts) for kind, key_parts in states]
    for first, second in pairwise(keys):
        assert tag_of(first) == tag_of(second)
    assert all(key.isascii() and key.isprintable() and " " not in key for key in keys)


@given(parts, parts, names, names)
def test_no_two_states_with_an_own_tag_share_a_key(
    one: tuple[str, str, str | None, list[str]],
    other: tuple[str, str, str | None, list[str]],
    name: str,
    other_name: str,
) -> None:
    """Keys with a separate hash tag are equal only if all their parts are equal."""
    key, other_key = (
        own_key(kind, service, tenant, tag_name, *extra)
        for (kind, service, tenant, extra), tag_name in ((one, name), (other, other_name))
    )
    assert ((one, name) == (other, other_name)) is (key == other_key)
    assert tag_of(key) != tag_of(state_key(*other[:3], *other[3]))
    assert class_of(state_key(*one[:3])) == class_of(key)


def test_claims_of_a_service_spread_evenly_over_three_masters() -> None:
    """Idempotency claims are spread over three masters of a Redis cluster, 33 ± 3 % each."""
    plan = Plan(Service("payments"), "acme", None)
    masters = Counter(
        key_slot(f"moorage:{plan.claim_key(f'INV-{number}/1')}".encode()) * 3 // 16_384
        for number in range(9_000)
    )
    assert [0, 1, 2] == sorted(masters)
    assert all(0.30 <= count / 9_000 <= 0.36 for count in masters.values()), masters


def test_each_tenant_keys_have_their_own_hash_tag() -> None:
    """Each tenant's keys have a separate hash tag, as have the keys without a tenant."""
    keys = {state_key("k", "s", None), state_key("k", "s", ""), state_key("k", "s", "s")}
    assert 3 == len({tag_of(key) for key in keys})


def test_ordinary_names_stay_readable_in_a_state_key() -> None:
    """If its names are ordinary, a state key is readable."""
    assert "{@acme-fr:stripe}:limit:charges.new:0" == state_key(
        "limit", "stripe", "acme-fr", "charges.new", "0"
    )
    assert "{:vat}:circuit" == state_key("circuit", "vat", None)


@pytest.mark.parametrize("name", ["a", "Größe 3", "x" * LONGEST, "a:b"])
def test_printable_names_are_accepted(name: str) -> None:
    """A state key may contain any printable name."""
    assert name == checked_name(name, "tenant")


@pytest.mark.parametrize("name", ["", "a\n", "\0", "\ud800", "x" * (LONGEST + 1), None, 3, b"a"])
def test_invalid_names_are_refused(name: object) -> None:
    """A state key cannot be made from a name that is empty, too long or unprintable.

    The error contains the name of the wrong part.
    """
    with pytest.raises(InvalidData) as excinfo:
        checked_name(name, "tenant")
    assert "tenant" == excinfo.value.field
    assert has_remedy(excinfo.value)
