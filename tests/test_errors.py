"""The hierarchy of errors: messages, fields, pickling, and hidden values."""

import copy
import pickle
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from moorage import errors
from moorage.domain.http.requests import Headers, Response
from moorage.domain.idempotency.refusals import pack_refusal, unpack_refusal
from moorage.errors import ConnectorError
from moorage.wiring.core_assembly import sync_core
from moorage.wiring.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Callable

BRANCH = re.compile(r"^([│├└─ ]*)(\w+)(?: {2,}\S.*)?$")
SOON = datetime(2031, 5, 6, 7, 8, 9, 10_000, tzinfo=UTC)


def error_tree() -> dict[str, str | None]:
    """Return each error class in the tree of the module docstring, with its parent."""
    assert errors.__doc__
    tree = errors.__doc__.split("\n\n")[1]
    ancestors: list[str] = []
    fields: dict[str, str | None] = {}
    for line in tree.splitlines():
        branch = BRANCH.fullmatch(line)
        assert branch, line
        depth = len(branch[1]) // 4
        del ancestors[depth:]
        fields[branch[2]] = ancestors[-1] if ancestors else None
        ancestors.append(branch[2])
    return fields


def public_base(kind: type[ConnectorError]) -> str | None:
    """Return the nearest public base class of an error class."""
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


class VendorDecline(errors.PaymentDeclined):
    """An error class of a vendor's adapter, with its own field and constructor."""

    remedy = "Ask for another card."

    def __init__(self, card: str) -> None:
        super().__init__(f"card {card} was declined", vendor_code="card_declined")
        self.card = card


def test_tree_is_as_drawn() -> None:
    """The tree in the docstring shows every error class under its parent, and no other class."""
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, BaseException):
            assert issubclass(value, ConnectorError)
    assert {kind.__name__: public_base(kind) for kind in KINDS} == error_tree()


@ALL
def test_message_has_event_and_remedy(kind: type[ConnectorError]) -> None:
    """An error's text contains what happened and what to do."""
    error = kind("the till is empty", service="bank", operation="pay")

    assert f"bank.pay: the till is empty. {kind.remedy}" == str(error)
    assert f"<{kind.__name__} {str(error)!r}>" == repr(error)
    assert re.fullmatch(r"[A-Z][^.]+\.", kind.remedy)


@ALL
def test_every_class_has_a_docstring(kind: type[ConnectorError]) -> None:
    """Every error class has a docstring that says what happened."""
    assert kind.__doc__
    assert kind.__doc__ != ConnectorError.__doc__ or kind is ConnectorError


@ALL
def test_errors_can_be_pickled(kind: type[ConnectorError]) -> None:
    """A pickled error keeps its class, text, fields and notes."""
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
        unpickled_error = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own

        assert kind is type(unpickled_error)
        assert vars(error) | {"response": None} == vars(unpickled_error) | {"response": None}
        assert (error.args, str(error)) == (unpickled_error.args, str(unpickled_error))


def test_subclasses_can_be_pickled() -> None:
    """Subclasses of errors can be pickled and copied, with any constructor."""
    error = VendorDecline("4242")

    for copied_error in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301 - our own
        assert VendorDecline is type(copied_error)
        assert ("4242", "card_declined") == (copied_error.card, copied_error.vendor_code)
        assert "card 4242 was declined. Ask for another card." == str(copied_error)


@pytest.mark.parametrize(
    "kind", [errors.VendorRejected, errors.VendorFailed, errors.AuthenticationFailed]
)
def test_response_is_not_pickled(kind: type[errors.VendorFailed]) -> None:
    """Pickling an error drops the vendor's response, which may contain a secret."""
    answer = Response(418, Headers({"X-Echo": "hunter2"}), b"hunter2")
    error = kind("no tea", status=418, vendor_code="teapot", vendor_message="I'm a teapot")
    error.response = answer
    error.__cause__ = ValueError("hunter2")

    sent_bytes = pickle.dumps(error)
    unpickled_error = pickle.loads(sent_bytes)  # noqa: S301 - our own

    assert b"hunter2" not in sent_bytes
    assert (418, "teapot", "I'm a teapot") == (
        unpickled_error.status,
        unpickled_error.vendor_code,
        unpickled_error.vendor_message,
    )
    assert unpickled_error.response is None
    assert answer is copy.copy(error).response
    assert "hunter2" not in repr(error)


@ALL
def test_copies_share_no_notes(kind: type[ConnectorError]) -> None:
    """A note added to a copied or stored error does not appear on the original."""
    error = kind("the till is empty")
    error.add_note("first")
    build, arguments = error.__reduce__()
    twins: list[Any] = [copy.copy(error), build(*arguments), build(*arguments)]

    error.add_note("mine")
    for copied_error in twins:
        copied_error.add_note("another")

    assert ["first", "mine"] == error.__notes__
    assert [["first", "another"]] * 3 == [twin.__notes__ for twin in twins]


def test_message_has_service_time_and_attempts() -> None:
    """An error's text has the service, the retry time and the number of attempts."""
    error = errors.RateLimitExceeded("too fast!", service="vat", retry_at=SOON, attempts=2)

    assert (
        "vat: too fast! Try again at 2031-05-06T07:08:09.010+00:00. 2 attempts were made. "
        "Reduce the rate of calls, or wait until `retry_at`, if the error states it."
    ) == str(error)


def test_time_without_a_zone_is_in_utc() -> None:
    """A retry time without a time zone counts as UTC."""
    error = errors.RateLimitExceeded("too fast!", retry_at=SOON.replace(tzinfo=None))
    assert SOON == error.retry_at

    error.retry_at = datetime(2031, 5, 6)  # noqa: DTZ001 - on purpose
    assert datetime(2031, 5, 6, tzinfo=UTC) == error.retry_at == copy.copy(error).retry_at


def test_configuration_errors_have_a_path() -> None:
    """A configuration error names its path, if it has one."""
    error = errors.ConfigurationError("no such vendor.", path="payments.vendor")

    assert "payments.vendor: no such vendor. Correct the configuration." == str(error)
    assert "wrong. Correct the configuration." == str(errors.ConfigurationError("wrong"))


def test_remedy_can_be_replaced() -> None:
    """Code that raises an error can pass a better remedy."""
    assert "broken. Kick it." == str(errors.VendorFailed("broken", remedy="Kick it."))


@ALL
def test_retryable_can_be_overridden(kind: type[ConnectorError]) -> None:
    """Each error class is retryable or not, and a single error can override that."""
    assert kind.retryable is kind("?").retryable
    assert [True, False] == [kind("?", retryable=result).retryable for result in (True, False)]


def test_fields_have_safe_defaults() -> None:
    """The default of each error field is the cautious value."""
    assert errors.ConnectionFailed("?").may_have_been_processed
    assert not errors.DeadlineExceeded("?").may_have_been_processed
    assert not errors.RateLimitExceeded("?").by_vendor
    unknown_error = errors.OutcomeUnknown("?", idempotency_key="k", lookup="the invoice")
    assert ("k", "the invoice") == (unknown_error.idempotency_key, unknown_error.lookup)
    assert "amount" == errors.InvalidData("?", field="amount").field
    assert (None, 0, None, False) == (
        unknown_error.service,
        unknown_error.attempts,
        unknown_error.retry_at,
        unknown_error.replayed,
    )


def test_correlation_id_is_made_when_it_is_read() -> None:
    """A correlation id that is created on demand is created once; copies and pickles keep it."""
    numbers: list[int] = []

    def make_id(number: int) -> str:
        numbers.append(number)
        return f"id-{number}"

    readers: list[Callable[[ConnectorError], str | None]] = [
        lambda error: error.request_id,
        lambda error: copy.copy(error).request_id,
        lambda error: pickle.loads(pickle.dumps(error)).request_id,  # noqa: S301 - pickled in this line
        lambda error: unpack_refusal(pack_refusal(error)).request_id,
    ]
    for read in readers:
        numbers.clear()
        error = errors.CircuitBreakerOpen("It is open.")
        assert error.request_id is None
        error.derive_request_id(make_id, 7)
        assert [] == numbers
        assert ("id-7", "id-7") == (read(error), read(error))
        assert [7] == numbers
        assert "id-7" == error.request_id
        error.request_id = "another"
        assert "another" == error.request_id


def test_long_names_and_messages_do_not_make_a_long_text() -> None:
    """The text of an error is shortened, but its attributes are complete."""
    name = "n" * 100_000
    error = errors.ConnectionFailed(f"{name} ends", service=name, operation=name, remedy=name)

    assert len(str(error)) < 10_000
    assert len(repr(error)) < 10_000
    assert " … " in str(error)
    assert (f"{name} ends", name) == (error.message, error.remedy)


def test_retry_time_beyond_the_calendar_is_shown_as_its_last_time() -> None:
    """A retry time too far away for any calendar is shown as the calendar's last time."""
    core = sync_core(Ports()).core
    error = errors.RateLimitExceeded("wait.")
    error.due = core.moment, 10**30

    assert "Try again at 9999-12-31" in str(error)
