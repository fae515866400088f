"""Everything that can go wrong: one tree, whose errors tell, travel and keep their mouths shut."""

import copy
import pickle
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import errors
from moorage.domain.http.requests import Headers, Response
from moorage.errors import ConnectorError

BRANCH = re.compile(r"^([│├└─ ]*)(\w+)(?: {2,}\S.*)?$")
SOON = datetime(2031, 5, 6, 7, 8, 9, 10_000, tzinfo=UTC)


def drawn() -> dict[str, str | None]:
    """Each class in the tree at the top of the file, with the one it hangs from."""
    assert errors.__doc__
    tree = errors.__doc__.split("\n\n")[1]
    above: list[str] = []
    fields: dict[str, str | None] = {}
    for line in tree.splitlines():
        branch = BRANCH.fullmatch(line)
        assert branch, line
        depth = len(branch[1]) // 4
        del above[depth:]
        fields[branch[2]] = above[-1] if above else None
        above.append(branch[2])
    return fields


def public(kind: type[ConnectorError]) -> str | None:
    """The nearest public class above."""
    for base in kind.__mro__[1:]:
        if issubclass(base, ConnectorError) and not base.__name__.startswith("_"):
            return base.__name__
    return None


KINDS: list[type[ConnectorError]] = sorted(
    (
        value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, ConnectorError) and name[0] != "_"
    ),
    key=lambda kind: kind.__name__,
)
ALL = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


class Declined(errors.PaymentDeclined):
    """A kind that a vendor's adapter has added, with a field and a constructor of its own."""

    remedy = "Ask for another card."

    def __init__(self, card: str) -> None:
        super().__init__(f"card {card} was declined", vendor_code="card_declined")
        self.card = card


def test_the_tree_is_as_drawn() -> None:
    """Every class hangs where the docstring draws it, and the docstring draws no other."""
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, BaseException):
            assert issubclass(value, ConnectorError)
    assert {kind.__name__: public(kind) for kind in KINDS} == drawn()


@ALL
def test_says_what_happened_and_what_to_do(kind: type[ConnectorError]) -> None:
    """An error reads as a sentence about what happened and one about what to do."""
    error = kind("the till is empty", service="bank", operation="pay")

    assert f"bank.pay: the till is empty. {kind.remedy}" == str(error)
    assert f"<{kind.__name__} {str(error)!r}>" == repr(error)
    assert re.fullmatch(r"[A-Z][^.]+\.", kind.remedy)


@ALL
def test_explains_itself(kind: type[ConnectorError]) -> None:
    """Every class says in its docstring what has happened."""
    assert kind.__doc__
    assert kind.__doc__ != ConnectorError.__doc__ or kind is ConnectorError


@ALL
def test_travels_between_processes(kind: type[ConnectorError]) -> None:
    """A pickled error arrives with its class, words, fields and notes."""
    error = kind(
        "the till is empty.",
        remedy="Fill it.",
        service="bank",
        operation="pay",
        retryable=not kind.retryable,
        retry_at=SOON,
        attempts=3,
        request_id="01ABC",
    )
    error.replayed = True
    error.add_note("seen in Lyon")

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        arrived = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own

        assert kind is type(arrived)
        assert vars(error) | {"response": None} == vars(arrived) | {"response": None}
        assert (error.args, str(error)) == (arrived.args, str(arrived))


def test_a_subclass_travels() -> None:
    """A subclass pickles and copies, whatever its constructor asks for."""
    error = Declined("4242")

    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301 - our own
        assert Declined is type(twin)
        assert ("4242", "card_declined") == (twin.card, twin.vendor_code)
        assert "card 4242 was declined. Ask for another card." == str(twin)


@pytest.mark.parametrize(
    "kind", [errors.VendorRejected, errors.VendorFailed, errors.AuthenticationFailed]
)
def test_an_answer_does_not_travel(kind: type[errors.VendorFailed]) -> None:
    """A vendor's whole answer, which may echo a secret, is in no pickle; its code and words are."""
    answer = Response(418, Headers({"X-Echo": "hunter2"}), b"hunter2")
    error = kind("no tea", status=418, vendor_code="teapot", vendor_message="I'm a teapot")
    error.response = answer
    error.__cause__ = ValueError("hunter2")

    sent = pickle.dumps(error)
    arrived = pickle.loads(sent)  # noqa: S301 - our own

    assert b"hunter2" not in sent
    assert (418, "teapot", "I'm a teapot") == (
        arrived.status,
        arrived.vendor_code,
        arrived.vendor_message,
    )
    assert arrived.response is None
    assert answer is copy.copy(error).response
    assert "hunter2" not in repr(error)


@ALL
def test_copies_share_no_notes(kind: type[ConnectorError]) -> None:
    """A note on a copy, or on an error that was stored, appears on no other."""
    error = kind("the till is empty")
    error.add_note("first")
    build, arguments = error.__reduce__()
    twins: list[Any] = [copy.copy(error), build(*arguments), build(*arguments)]

    error.add_note("mine")
    for twin in twins:
        twin.add_note("another")

    assert ["first", "mine"] == error.__notes__
    assert [["first", "another"]] * 3 == [twin.__notes__ for twin in twins]


def test_says_where_when_and_how_often() -> None:
    """An error names the service, the time to come back, and the attempts if they were several."""
    error = errors.RateLimitExceeded("too fast!", service="vat", retry_at=SOON, attempts=2)

    assert (
        "vat: too fast! Come back at 2031-05-06T07:08:09.010+00:00. 2 attempts were made. "
        "Slow down, or wait until the time given."
    ) == str(error)


def test_a_time_without_a_zone_is_in_utc() -> None:
    """A time to come back can always be compared with others, however it was given."""
    error = errors.RateLimitExceeded("too fast!", retry_at=SOON.replace(tzinfo=None))
    assert SOON == error.retry_at

    error.retry_at = datetime(2031, 5, 6)  # noqa: DTZ001 - on purpose
    assert datetime(2031, 5, 6, tzinfo=UTC) == error.retry_at == copy.copy(error).retry_at


def test_says_where_in_the_configuration() -> None:
    """A mistake in the configuration is named by its path, if it has one."""
    error = errors.ConfigurationError("no such vendor.", path="payments.vendor")

    assert "payments.vendor: no such vendor. Correct the configuration." == str(error)
    assert "wrong. Correct the configuration." == str(errors.ConfigurationError("wrong"))


def test_a_remedy_may_be_better_than_the_usual() -> None:
    """Whoever raises an error may know better what to do about it."""
    assert "broken. Kick it." == str(errors.VendorFailed("broken", remedy="Kick it."))


@ALL
def test_retryable_unless_told_otherwise(kind: type[ConnectorError]) -> None:
    """Whether trying again may help is known of each class, and may be known better of one."""
    assert kind.retryable is kind("?").retryable
    assert [True, False] == [kind("?", retryable=result).retryable for result in (True, False)]


def test_fields_have_safe_defaults() -> None:
    """What an error does not know, it does not claim."""
    assert errors.ConnectionFailed("?").may_have_been_processed
    assert not errors.DeadlineExceeded("?").may_have_been_processed
    assert not errors.RateLimitExceeded("?").by_vendor
    unknown = errors.OutcomeUnknown("?", idempotency_key="k", lookup="the invoice")
    assert ("k", "the invoice") == (unknown.idempotency_key, unknown.lookup)
    assert "amount" == errors.InvalidData("?", field="amount").field
    assert (None, 0, None, False) == (
        unknown.service,
        unknown.attempts,
        unknown.retry_at,
        unknown.replayed,
    )
