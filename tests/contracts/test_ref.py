"""References to a vendor's resources: conversion to text and back, and ids that are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import InvalidData, Ref

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)
IDS = TEXTS.filter(lambda text: text not in {".", ".."})


@given(vendor=NAMES, account=NAMES, existing=IDS, related=st.dictionaries(IDS, IDS, max_size=3))
def test_reference_round_trip(
    vendor: str, account: str, existing: str, related: dict[str, str]
) -> None:
    """A reference written as text is read back unchanged."""
    ref = Ref(vendor, account, existing, related)

    assert ref == Ref.parse(str(ref))
    assert str(ref).isascii()


def test_usual_ids_are_readable() -> None:
    """A usual id appears unchanged in its reference."""
    assert "stripe:main:pi_3N/x" == str(Ref("stripe", "main", "pi_3N/x"))
    assert "paypal:main:O-1?capture=C-2" == str(Ref("paypal", "main", "O-1", {"capture": "C-2"}))


def test_further_ids_of_a_reference_are_found_by_name() -> None:
    """Further ids in a reference can be added, found by name, and removed."""
    ref = Ref("paypal", "main", "O-1").with_related(capture="C-2", refund=None)

    assert "C-2" == ref.other("capture")
    assert ref.other("refund") is None
    assert Ref("paypal", "main", "O-1") == ref.with_related(capture=None)


def test_reference_is_parsed_once() -> None:
    """Parsing a value that is already a reference returns the same object."""
    ref = Ref("stripe", "main", "pi_1")

    assert ref is Ref.parse(ref)


@pytest.mark.parametrize(
    "text", ["", "stripe", "stripe:main", "a:b:c:d", "stripe:main:", "Stripe:main:1", ":main:1", 7]
)
def test_invalid_references_are_refused(text: str) -> None:
    """A text that is not a reference is refused."""
    with pytest.raises(InvalidData):
        Ref.parse(text)


def test_reference_with_a_too_long_id_is_refused() -> None:
    """A reference with an id that is longer than any vendor's is refused."""
    with pytest.raises(InvalidData, match="too long"):
        Ref("stripe", "main", "x" * 2_001)


@pytest.mark.parametrize("half", ["\ud800", "pi_\udfff1"], ids=ascii)
def test_reference_with_half_a_surrogate_pair_is_refused(half: str) -> None:
    """A reference with half a surrogate pair in its id is refused."""
    with pytest.raises(InvalidData, match="invalid"):
        Ref("stripe", "main", half)


@pytest.mark.parametrize("step", [".", "..", "%2e%2E"])
def test_path_traversal_ids_are_refused(step: str) -> None:
    """A reference with an id that would change the path of a URL is refused."""
    with pytest.raises(InvalidData, match="invalid"):
        Ref.parse(f"stripe:main:{step}")


@pytest.mark.parametrize("related", [7, "x", {"order": None}, {1: "o-1"}, {"order": "\udc80"}])
def test_related_ids_must_be_texts(related: Any) -> None:
    """Related ids of another type are refused, instead of failing when the text is made."""
    with pytest.raises(InvalidData, match="related ids of a reference") as excinfo:
        Ref("stripe", "main", "ch_1", related)

    assert excinfo.value.field == "related"
