"""Storing a vendor's final error response, and returning it again."""

from __future__ import annotations

from datetime import UTC, datetime

from moorage import PaymentDeclined, Response, VendorRejected
from moorage.domain.idempotency.refusals import pack_refusal, unpack_refusal
from moorage.domain.state.packing import pack_values, unpack_values


class CardLost(PaymentDeclined):
    """An application's own error class for a rejection."""


def full_refusal() -> CardLost:
    """Return the error for a rejection, with all of its fields set."""
    error = CardLost(
        "the card was lost.",
        status=402,
        vendor_code="lost_card",
        vendor_message="card lost",
        response=Response(402, body=b"secret"),
        service="pay",
        operation="charge",
        attempts=2,
        retry_at=datetime(2026, 11, 20, tzinfo=UTC),
        request_id="01J",
    )
    error.add_note("keep this")
    return error


def test_stored_refusal_is_restored_completely() -> None:
    """A stored error is restored with everything that a caller can see."""
    error = full_refusal()
    returned_error = unpack_refusal(pack_refusal(error))
    assert type(returned_error) is CardLost
    assert (str(returned_error), returned_error.args) == (str(error), error.args)
    error_fields = {name: value for name, value in vars(error).items() if name != "response"}
    assert vars(returned_error) == error_fields


def test_the_vendors_whole_answer_is_not_kept() -> None:
    """A stored error does not contain the vendor's response, because that may echo a secret."""
    packed_bytes = pack_refusal(full_refusal())
    returned_error = unpack_refusal(packed_bytes)
    assert isinstance(returned_error, CardLost)
    assert returned_error.response is None
    assert b"secret" not in packed_bytes


def test_each_unpacked_error_is_new() -> None:
    """A note added to one restored error does not appear in another."""
    packed_bytes = pack_refusal(full_refusal())
    unpack_refusal(packed_bytes).add_note("mine")
    assert unpack_refusal(packed_bytes).__notes__ == ["keep this"]


def test_unknown_error_class_is_restored_as_its_base() -> None:
    """A stored error of an unknown class is restored as its nearest known base class."""
    names, args, fields = unpack_values(pack_refusal(full_refusal()))
    renamed_classes = ("shop.CardEaten", *names[1:])
    assert type(unpack_refusal(pack_values((renamed_classes, args, fields)))) is PaymentDeclined


def test_unstorable_field_is_omitted() -> None:
    """An error's field that cannot be stored is left out."""
    error = VendorRejected("no.", status=400)
    error.socket = object()  # type: ignore[attr-defined]  # an attribute that cannot be stored
    returned_error = unpack_refusal(pack_refusal(error))
    assert not hasattr(returned_error, "socket")
    assert returned_error.message == "no."


def test_unstorable_arguments_become_the_message() -> None:
    """If an error's arguments cannot be stored, the error's message replaces them."""
    error = VendorRejected("no.")
    error.args = ("no.", object())
    assert unpack_refusal(pack_refusal(error)).args == ("no.",)


def test_arguments_that_are_plain_values_stay() -> None:
    """An error's arguments that can be stored are restored."""
    error = VendorRejected("no.")
    error.args = ("no.", 7)
    assert unpack_refusal(pack_refusal(error)).args == ("no.", 7)
