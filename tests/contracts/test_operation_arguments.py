"""Operations refuse arguments of wrong types before they use them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import InvalidData
from moorage.contracts.checksum import ChecksumAlgorithm
from moorage.contracts.email import Disposition
from moorage.contracts.email_outcomes import Granularity
from moorage.contracts.payments import ThreeDs
from moorage.contracts.routes import Prefer
from moorage.contracts.shipping.parcels import Contents, NonDelivery
from moorage.contracts.shipping.rates import LabelFormat, LabelSize, RateCriterion, Signature
from moorage.contracts.shipping.units import LengthUnit, WeightUnit
from moorage.contracts.storage import Visibility
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from tests.contracts.vendor_sets import vendor_set, vendor_sets

if TYPE_CHECKING:
    from pathlib import Path

# Repeats lines that other tests cover individually.
pytestmark = pytest.mark.untraced

WORDS = [
    ChecksumAlgorithm,
    Contents,
    Disposition,
    Granularity,
    LabelFormat,
    LabelSize,
    LengthUnit,
    NonDelivery,
    Prefer,
    RateCriterion,
    Signature,
    ThreeDs,
    Visibility,
    WeightUnit,
]
OPERATIONS = [
    ("sms", "send", "message", {}),
    ("email", "send_transactional", "message", {}),
    ("email", "send_bulk", "bulk", {}),
    ("payments", "create_intent", "charge", {"idempotency_key": "k"}),
    ("payments", "authorize", "charge", {"idempotency_key": "k"}),
    ("payments", "charge", "charge", {"idempotency_key": "k"}),
    ("shipping", "get_rates", "request", {}),
    ("shipping", "create_shipment", "ref", {"idempotency_key": "k"}),
    ("storage", "upload", "key", {"source": b"x"}),
]


@pytest.mark.parametrize("contract, operation, field, options", OPERATIONS)
@pytest.mark.parametrize("value", [None, 7, {"to": "x"}], ids=["nothing", "a number", "a dict"])
def test_values_of_other_types_are_refused(
    tmp_path: Path,
    contract: str,
    operation: str,
    field: str,
    options: dict[str, Any],
    *,
    value: Any,
) -> None:
    """An argument of a wrong type is refused in sync and async mode, and nothing is sent."""
    own_set = vendor_set(vendor_sets()[0], tmp_path)
    plain_hub = moorage.open(own_set.configuration, http=SandboxHttpClient(*own_set.sandboxes))
    async_hub = moorage.aopen(
        own_set.configuration, http=AsyncSandboxHttpClient(*own_set.sandboxes)
    )

    with pytest.raises(InvalidData) as excinfo:
        getattr(getattr(plain_hub, contract)(), operation)(value, **options)
    assert field == excinfo.value.field
    with pytest.raises(InvalidData) as excinfo:
        asyncio.run(getattr(getattr(async_hub, contract)(), operation)(value, **options))
    assert field == excinfo.value.field

    own_set.close()
    assert [] == [request for sandbox in own_set.sandboxes for request in sandbox.requests]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words.__name__)
def test_unknown_choice_is_refused(words: Any) -> None:
    """An unknown choice for an argument is refused with the list of all choices."""
    for word in words:
        assert word is words(word.value)
    for wrong_word in ("bogus", 7, None):
        with pytest.raises(InvalidData) as excinfo:
            words(wrong_word)
        assert all(word.value in excinfo.value.remedy for word in words)
