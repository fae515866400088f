"""Contract values packed as bytes for a store."""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import InvalidData, Ref, Request, Secret, contracts
from moorage.contracts import value_codec
from moorage.contracts.address import Address
from moorage.contracts.email import Attachment, EmailMessage, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.payments import Charge, Money
from moorage.contracts.payments.states import RefundReason
from moorage.contracts.shipping.parcels import Parcel
from moorage.contracts.shipping.rates import RateRequest
from moorage.contracts.sms import SmsMessage
from moorage.contracts.storage import PutOptions
from moorage.contracts.value_codec import kinds, pack, unpack
from moorage.domain.http.body import BodyStream
from moorage.domain.state.packing import pack_values
from moorage.packing import pack as public

NOW = datetime(2026, 3, 1, 12, 30, 1, 5, tzinfo=timezone(timedelta(hours=2)))
HOME = Address(name="Ada", line1="1 Street", city="Berlin", postal_code="10115", country="DE")
REF = Ref("stripe", "main", "pi_1", {"amount": "1.00"})

VALUES: tuple[Any, ...] = (
    None,
    True,
    -(2**70),
    1.5,
    "ü",
    b"\0\xff",
    Decimal("1.50"),
    NOW,
    date(2026, 3, 1),
    timedelta(days=-1, microseconds=1),
    (),
    (0, "x", (1, (2,))),
    [1, [2], (3,)],
    {"a": (1,), 2: {"b": [None]}},
    frozenset({"a", "b"}),
    Money("149.90", "EUR"),
    REF,
    RefundReason.DUPLICATE,
    Request.post("/rates?x=1", json={"a": 1}, headers={"X-A": "1"}, query={"q": ["1", "2"]}),
    EmailMessage(
        from_="Shop <shop@example.com>",
        to=["ada@example.com", "Bob <bob@example.com>"],
        subject="Hi",
        html="<p>",
        attachments=[Attachment(filename="a.pdf", content=b"%PDF")],
        template=TemplateRef("t1", {"name": "Ada", "sums": [1, 2]}),
        send_at=NOW,
        extra={"sendgrid": {"x": {"y": [True, None]}}},
    ),
    BulkMessage(
        base=EmailMessage(from_="a@example.com", subject="Hi", text="x"),
        recipients=[BulkRecipient(to="ada@example.com", data={"n": "1"})],
    ),
    Charge(Money("9.90", "EUR"), "tok_1", reference="INV-1", metadata={"a": "b"}),
    SmsMessage(to="+4915112345678", text="Hello", sender="+4915112345679"),
    PutOptions(content_type="text/plain", metadata={"a": "b"}),
    RateRequest(sender=HOME, recipient=HOME, parcels=[Parcel(weight="1.5")]),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_round_trip(value: Any) -> None:
    """A packed value is read back as an equal value of the same type, also if it is nested."""
    assert value == unpack(pack(value))
    assert type(value) is type(unpack(pack(value)))
    assert ([value], {"x": value}) == unpack(pack(([value], {"x": value})))


PLAIN = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(),
        st.binary(),
        st.decimals(allow_nan=False),
        st.datetimes(timezones=st.just(UTC)),
        st.timedeltas(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=5), inner, max_size=4),
    ),
    max_leaves=15,
)


@given(PLAIN)
def test_plain_values_round_trip(value: Any) -> None:
    """Nested lists and dicts are packed and read back equal."""
    assert value == unpack(pack(value))


@given(st.binary())
def test_invalid_bytes_are_refused(content: bytes) -> None:
    """Unpacking arbitrary bytes raises no error other than InvalidData."""
    with suppress(InvalidData):
        unpack(content)


@pytest.mark.parametrize(
    "lowered",
    [(99,), (7, "Nobody", "x"), (8, "Charge", "mode", "red"), (8, "Charge", "amount"), ([],), ()],
)
def test_unknown_classes_and_fields_are_refused(lowered: Any) -> None:
    """Packed values with a class, enum member or field unknown to this release are refused."""
    with pytest.raises(InvalidData, match="not an encoded value"):
        unpack(pack_values((lowered,)))


def test_newer_fields_have_defaults() -> None:
    """Values that an earlier release packed are read, with defaults for newer fields."""
    newer_message = (8, "SmsMessage", "to", "+4915112345678", "text", "Hello")
    assert SmsMessage(to="+4915112345678", text="Hello") == unpack(pack_values((newer_message,)))
    mail = (8, "EmailMessage", "subject", "Hi", "text", "Hello", "html", "<p>Hello</p>")
    expected = EmailMessage(subject="Hi", text="Hello", html="<p>Hello</p>")
    assert expected == unpack(pack_values((mail,)))


class SafeText(str):
    """A subclass of str, like those that web frameworks use for safe HTML."""

    __slots__ = ()


@pytest.mark.parametrize(
    "value, expected",
    [
        (SafeText("<p>"), "<p>"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ({1, 2}, frozenset({1, 2})),
    ],
)
def test_subclasses_become_builtins(value: Any, expected: Any) -> None:
    """A subclass of str, bytes or dict is read back as the built-in type."""
    result = unpack(pack(value))
    assert (expected, type(expected)) == (result, type(result))


@attrs.frozen
class ForeignValue:
    """A value that belongs to no contract."""


class ForeignEnum(Enum):
    """An enum that belongs to no contract."""

    A = 1


@pytest.mark.parametrize(
    "value, words",
    [
        (Secret("sk_live_1"), "a secret"),
        ({"a": [Secret("sk_live_1")]}, "a secret"),
        (ForeignValue(), "a ForeignValue"),
        (ForeignEnum.A, "a ForeignEnum"),
        (object(), "an object"),
        (Request.post("/", body=BodyStream.of(lambda: iter([b"x"]))), "a BodyStream"),
    ],
)
def test_unpackable_values_are_refused(value: Any, words: str) -> None:
    """A secret, a stream or a foreign object cannot be packed, and the error names its type."""
    with pytest.raises(InvalidData, match=words) as excinfo:
        public(value)
    assert "sk_live_1" not in repr(excinfo.value)
    assert (excinfo.value.field or "").startswith("value")


def test_too_deep_nesting_is_refused() -> None:
    """A value that contains itself cannot be packed."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidData, match="nested too deeply"):
        pack(value)


_FILES_OF_DATEV = "moorage.contracts.accounting.datev"
_REPORTS = "moorage.contracts.tax_oss"


def test_every_value_can_be_packed() -> None:
    """Each value type of the contracts is packed under a unique name."""
    left_out = {
        "Account",
        "MinorUnits",
        "HubConfiguration",
        "OneOf",
        "Prefer",
        "Route",
        "RoutingRequest",
    }
    left_out |= {"RepeatedKey", "UnknownOutcome", "VendorKeys"}
    left_out |= {"Effect", "Requirements", "Target"}
    names: list[str] = []
    for result in pkgutil.walk_packages(contracts.__path__, "moorage.contracts."):
        if f"{result.name}.".startswith(("moorage.contracts.bank.", _FILES_OF_DATEV, _REPORTS)):
            continue  # no operation takes or returns them, so no store keeps them
        module = importlib.import_module(result.name)
        names += [
            name
            for name, kind in vars(module).items()
            if isinstance(kind, type)
            and kind.__module__ == result.name
            and (attrs.has(kind) or issubclass(kind, Enum))
            and not name.startswith("_")
            and not name.endswith("Capability")
            and result.name != value_codec.__name__
        ]
    existing_types = kinds()
    assert [] == sorted(
        name for name in names if name not in existing_types and name not in left_out
    )
    assert len(set(names)) == len(names)
