"""The tree of all errors that moorage raises.

ConnectorError
├── ConfigurationError              wrong before anything was sent
│   └── DescriptionRefused          an OpenAPI description has parts that cannot be mapped
├── ConnectionFailed                could not reach the vendor, or was cut off
│   ├── AttemptTimeout              one attempt took longer than it may
│   ├── LocalFailure                our own side could not send; the vendor is not to blame
│   ├── DestinationRefused          the URL leads where it must not; nothing was sent
│   ├── HostKeyRefused              the machine is not the known one; nothing was sent
│   └── TransactionConflict         the database undid a transaction in favour of another one
├── DeadlineExceeded                the whole call took longer than it may
├── AuthenticationFailed            the vendor refused who we say we are
├── CredentialNotFound              no credential is stored for this service
├── CredentialRefreshFailed         a credential could not be renewed
│   └── AuthorizationRequired       a person must give consent again
├── RateLimitExceeded               our limit or the vendor's
├── BulkheadFull                    too many of our own calls are already under way
│   └── PoolExhausted               every connection of a pool is in use
├── CircuitBreakerOpen              the vendor is failing; calls are held back
├── RetryBudgetExhausted            retries would make an outage worse
├── NotCached                       only a kept answer was asked for, and there is none
├── IdempotencyConflict             one key, two different payloads
├── IdempotencyInProgress           another caller is working on the same key
├── StepRunning                     a step goes on, and the caller did not want to wait longer
├── TenantRecordsExhausted          a tenant's stored keys are at their bound
├── OutcomeUnknown                  sent, answer lost, must not be repeated blindly
├── VendorRejected                  the vendor understood and said no
│   ├── InvalidRequest
│   ├── PaymentDeclined
│   ├── FileNotFound
│   ├── AlreadyExists               the vendor has such an object, made by somebody else
│   ├── ChangedMeanwhile            somebody changed the object since it was read
│   ├── ChangesExpired              the vendor no longer knows what was read before
│   ├── ConsentRequired             the owner of a bank account has not agreed, or no longer does
│   ├── DeviceGone                  the device or browser takes no more notifications
│   ├── MessageUnroutable           no queue takes the message
│   ├── SchemaIncompatible          a new schema would break the promise of its subject
│   ├── SchemaNotFound              the registry has no such schema, subject or version
│   └── TopicNotFound               the broker has no such topic, stream, queue or exchange
├── VendorFailed                    the vendor broke, or answered nonsense
├── WebhookRejected                 a webhook that must not be believed
├── StorageUnavailable              our own shared state cannot be reached
│   └── StateUnavailable            one stored state cannot be used, the others can
├── UnsupportedByVendor             the vendor has no such capability
├── HeldBack                        nothing of the kind is sent from here
│   ├── DryRun                      this is a rehearsal
│   ├── RecipientRefused            somebody must not be written to
│   └── CopiedStore                 the store belongs to another environment
└── InvalidData                     a value that cannot be what it claims to be

Every error says what happened, to which service, and what to do about it. Each class is plain, and
pickles with its fields and notes. The vendor's words are kept apart from ours. The vendor's whole
answer is left out of pickles, because an answer may echo a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from moorage.domain.http.requests import Response


E = TypeVar("E", bound="ConnectorError")

_LONGEST_NAME: Final = 500
_LONGEST_SENTENCE: Final = 4_000
"""The longest message and the longest remedy in the text of an error, in characters."""

_SHOWN_PROBLEMS: Final = 100
"""The number of problems in the text of an error; the others are in its `problems`."""


def _rebuild_error(kind: type[E], args: tuple[Any, ...], fields: dict[str, Any]) -> E:
    error = kind.__new__(kind, *args)
    error.__dict__.update(_own_fields(fields))
    return error


def _own_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return an error's fields with a copied list of notes, so that no other error shares it."""
    notes = fields.get("__notes__")
    return fields if notes is None else {**fields, "__notes__": [*notes]}


def _shortened(text: str, most: int = _LONGEST_SENTENCE) -> str:
    """Return the text, or the beginning and the end of a text of more than `most` characters."""
    if len(text) <= most:
        return text
    half_length = most // 2
    return f"{text[:half_length]} … {text[-half_length:]}"


class ConnectorError(Exception):
    """The base class of all errors: a call to an external system did not succeed.

    Attributes:
        remedy: what to do about it, as one sentence.
        service: the service that was called, if one was.
        operation: the operation of a contract, such as "payments.charge", or the endpoint that was
            called, if it has a name.
        region: where it was called last, if the service is in several.
        vendor, account: the vendor and the account, if the call was an operation of a contract.
        idempotency_key: the key that the caller gave.
        retryable: whether the same call may succeed later.
        may_have_been_processed: whether the vendor may have processed an attempt; False if it is
            certain that nothing was done.
        due: what `retry_at` is made of when somebody asks: itself, or a function and its argument.
        attempts: how many attempts reached for the vendor.
        vendor_retry_after: seconds that the vendor asked to wait; `retry_at` may be earlier, since
            no vendor can ask for more than the service's `max_pause`.
        replayed: whether this error was stored for an earlier call with the same key.
    """

    service: str | None = None
    operation: str | None = None
    region: str | None = None
    vendor: str | None = None
    account: str | None = None
    idempotency_key: str | None = None
    retryable: bool = False
    may_have_been_processed: bool = False
    attempts: int = 0
    _request_id: str | tuple[Callable[[Any], str], Any] | None = None
    vendor_retry_after: float | None = None
    replayed: bool = False
    _signature: int = 0
    due: datetime | tuple[Callable[[int], datetime], int] | None = None
    remedy: str = "See the cause of this error."

    def __init__(
        self,
        message: str,
        *,
        remedy: str | None = None,
        service: str | None = None,
        operation: str | None = None,
        retryable: bool | None = None,
        retry_at: datetime | None = None,
        attempts: int = 0,
        request_id: str | None = None,
    ) -> None:
        # Arguments that are not passed have the class's defaults, because an open circuit refuses
        # many calls a second.
        self.args = (message,)
        if remedy is not None:
            self.remedy = remedy
        if service is not None:
            self.service = service
        if operation is not None:
            self.operation = operation
        if retryable is not None:
            self.retryable = retryable
        if retry_at is not None:
            self.due = retry_at
        if attempts:
            self.attempts = attempts
        if request_id is not None:
            self._request_id = request_id

    @property
    def request_id(self) -> str | None:
        """The correlation id of the call."""
        known_text = self._request_id
        if isinstance(known_text, tuple):
            # An open circuit refuses many calls a second, and few of their callers read the id.
            text_function, argument = known_text
            self._request_id = known_text = text_function(argument)
        return known_text

    @request_id.setter
    def request_id(self, request_id: str | None) -> None:
        self._request_id = request_id

    def derive_request_id(self, make: Callable[[Any], str], argument: object) -> None:
        """Set the function and argument that compute the correlation id when it is first read."""
        self._request_id = make, argument

    @property
    def message(self) -> str:
        """The sentence that describes what happened."""
        return str(self.args[0])

    @property
    def retry_at(self) -> datetime | None:
        """The time from which a retry makes sense, with a time zone, if it is known."""
        due_time = self.due
        if isinstance(due_time, tuple):
            # Few refused callers read the retry time, and computing a date takes longer than the
            # refusal.
            moment, number = due_time
            self.due = due_time = moment(number)
        elif due_time is not None and due_time.tzinfo is None:
            from datetime import UTC  # noqa: PLC0415 - hardly anybody leaves the zone out

            self.due = due_time = due_time.replace(tzinfo=UTC)
        return due_time

    @retry_at.setter
    def retry_at(self, moment: datetime | None) -> None:
        self.due = moment

    def __str__(self) -> str:
        location = ".".join(part for part in (self.service, self.operation) if part)
        if self.region is not None:
            location += f" in {self.region}"
        message = _shortened(self.message)
        sentences = [f"{_shortened(location, _LONGEST_NAME)}: {message}" if location else message]
        if not sentences[0].endswith((".", "!", "?")):
            sentences[0] += "."
        if self.retry_at is not None:
            sentences.append(f"Try again at {self.retry_at.isoformat(timespec='milliseconds')}.")
        if self.attempts > 1:
            sentences.append(f"{self.attempts} attempts were made.")
        sentences.append(_shortened(self.remedy))
        return " ".join(sentences)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self)!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: value for name, value in self._fields().items() if name != "response"}
        return _rebuild_error, (type(self), self.args, _own_fields(fields))

    def __copy__(self) -> Self:
        return _rebuild_error(type(self), self.args, self._fields())

    def _fields(self) -> dict[str, Any]:
        fields = vars(self)
        if self.retry_at is not None:
            fields["due"] = self.retry_at
        if self.request_id is not None:
            fields["_request_id"] = self.request_id
        return fields


class _ErrorWithAnswer(ConnectorError):
    """The base class of errors that may contain a vendor's code, message and response."""

    response: Response | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        vendor_code: str | None = None,
        vendor_message: str | None = None,
        response: Response | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.status = status
        self.vendor_code = vendor_code
        self.vendor_message = vendor_message
        self.response = response


class Problem(NamedTuple):
    """One problem in a configuration. It never contains a secret.

    Attributes:
        path: where it stands, such as `vendors.stripe.timeout`.
        found: what stands there, as one sentence.
        remedy: what is expected there, and what to do about it.
        nearest: the name that was probably meant, if one is near.
        origin: where it comes from, if not from the source itself: an environment variable or an
            overlay.
        line: the line of the file on which it stands, or the table around it; None if unknown.
    """

    path: str
    found: str
    remedy: str
    nearest: str | None = None
    origin: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        sentence = self.found if self.found.endswith((".", "!", "?")) else f"{self.found}."
        places = [f"from {self.origin}"] if self.origin is not None else []
        places += [f"line {self.line}"] if self.line is not None else []
        whence = f" ({', '.join(places)})" if places else ""
        return f"{self.path}{whence}: {sentence} {self.remedy}"


def _list_of(count: str, problems: Sequence[Problem]) -> str:
    """Return the text of an error for a number of problems; it lists only the first problems."""
    lines = [f"  {problem}" for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        lines.append(f"  {len(problems) - _SHOWN_PROBLEMS} more are in `problems`.")
    return "\n".join([count, *lines])


class ConfigurationError(ConnectorError):
    """The configuration is wrong, and nothing was sent; `path` is the path of the wrong setting.

    `problems` are all that are known, of which `path`, the message and the remedy are the first.
    """

    remedy = "Correct the configuration."
    _source: str | None = None

    def __init__(self, message: str, *, path: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.path = path
        self._others: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, problems: Sequence[Problem], *, source: str | None = None) -> Self:
        """Return one error that reports all of these problems; at least one is required.

        Args:
            problems: what is wrong.
            source: the file in which it is wrong, for the error's text.
        """
        first_text, *other_texts = problems
        error = cls(first_text.found, path=first_text.path, remedy=first_text.remedy)
        is_detailed = bool(other_texts) or first_text[3:] != (None, None, None)
        error._others = tuple(problems) if is_detailed else ()
        if source is not None:
            error._source = source
        return error

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems that this error reports, as objects."""
        return self._others or (Problem(self.path or "", self.message, self.remedy),)

    def __str__(self) -> str:
        if len(self._others) > 1:
            place = self._source or "the configuration"
            return _list_of(f"{len(self._others)} problems in {place}:", self._others)
        text = str(self._others[0]) if self._others else super().__str__()
        if self.path and not self._others:
            text = f"{self.path}: {text}"
        return text if self._source is None else f"{self._source}: {text}"


class DescriptionRefused(ConfigurationError):
    """Parts of an OpenAPI description are not supported.

    The path of each problem is the JSON pointer of a part, such as `#/paths/~1orders/get`.
    """

    remedy = "Correct the description, or omit the operation."

    def __str__(self) -> str:
        problems = self.problems
        if len(problems) == 1:
            return super().__str__()
        count = f"{len(problems)} parts of the OpenAPI description cannot be mapped:"
        return _list_of(count, problems)


class ConnectionFailed(ConnectorError):
    """The vendor could not be reached, or the connection broke.

    `may_have_been_processed` is False only if it is certain that no byte of the request reached the
    vendor.
    """

    retryable = True
    remedy = "Check the network and the vendor's status page, then try again."

    def __init__(
        self, message: str, *, may_have_been_processed: bool = True, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.may_have_been_processed = may_have_been_processed


class AttemptTimeout(ConnectionFailed):
    """One attempt exceeded its time limit."""

    remedy = "Raise the timeout if the vendor is known to be slow, or try again."


class LocalFailure(ConnectionFailed):
    """The request could not be sent for a reason on this machine, not at the vendor.

    The client is closed or belongs to another process or event loop, the source of the request's
    body failed, or the machine has no sockets left.
    """

    retryable = False
    remedy = "See the cause of this error, which is a problem in this program or on this machine."

    def __init__(
        self, message: str, *, may_have_been_processed: bool = False, **fields: Any
    ) -> None:
        super().__init__(message, may_have_been_processed=may_have_been_processed, **fields)


class DestinationRefused(ConnectionFailed):
    """A URL that another party chose leads to a forbidden address; nothing was sent."""

    retryable = False
    remedy = "Treat the URL as an attack or a mistake; or allow its host or network in the guard."

    def __init__(
        self, message: str, *, may_have_been_processed: bool = False, **fields: Any
    ) -> None:
        super().__init__(message, may_have_been_processed=may_have_been_processed, **fields)


class HostKeyRefused(ConnectionFailed):
    """A machine showed an unknown or unexpected host key; nothing was sent."""

    retryable = False
    remedy = "Get the host key from the machine's operator, and add it to the known-hosts file."

    def __init__(
        self, message: str, *, may_have_been_processed: bool = False, **fields: Any
    ) -> None:
        super().__init__(message, may_have_been_processed=may_have_been_processed, **fields)


class TransactionConflict(ConnectionFailed):
    """The database rolled a transaction back because of a deadlock or concurrent changes.

    Nothing of it remains, so the same transaction may be performed again.
    """

    remedy = "Repeat the transaction, and change rows in the same order everywhere."

    def __init__(
        self, message: str, *, may_have_been_processed: bool = False, **fields: Any
    ) -> None:
        super().__init__(message, may_have_been_processed=may_have_been_processed, **fields)


class DeadlineExceeded(ConnectorError):
    """The whole call, with all waits and attempts, cannot finish before its deadline.

    `may_have_been_processed` is True if the deadline interrupted an attempt that had been sent.
    """

    retryable = True
    remedy = "Allow the call more time, or try again when the vendor is less busy."

    def __init__(
        self, message: str, *, may_have_been_processed: bool = False, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.may_have_been_processed = may_have_been_processed


class AuthenticationFailed(_ErrorWithAnswer):
    """The vendor refused the credentials, or they lack the permission for this operation."""

    remedy = "Check that the credential is current and has the permissions this call needs."


class CredentialNotFound(ConnectorError):
    """No credentials are stored for this service and tenant."""

    remedy = "Store a credential for this service, or correct the service's name."


class CredentialRefreshFailed(ConnectorError):
    """Credentials could not be renewed; credentials that are still valid remain in use."""

    remedy = "Authorise the application at the vendor again if this persists."


class AuthorizationRequired(CredentialRefreshFailed):
    """The OAuth grant has ended: no token can be renewed until a person consents again."""

    remedy = "Ask a person to authorise the application again, then store the new tokens."


class RateLimitExceeded(_ErrorWithAnswer):
    """A rate limit was reached: the configured one, or the vendor's if `by_vendor` is true."""

    retryable = True
    remedy = "Reduce the rate of calls, or wait until `retry_at`, if the error states it."

    def __init__(self, message: str, *, by_vendor: bool = False, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.by_vendor = by_vendor


class BulkheadFull(ConnectorError):
    """All slots for concurrent calls are taken, and the queue is full."""

    retryable = True
    remedy = (
        "Try again shortly, allow more concurrent calls to this service, or let calls wait"
        " with `max_waiting`."
    )


class PoolHolder(NamedTuple):
    """An operation that uses a connection of a pool.

    Attributes:
        operation: the name of the operation.
        seconds: the time since it got the connection.
    """

    operation: str
    seconds: float


class PoolExhausted(BulkheadFull):
    """All connections of a pool were in use for as long as the caller could wait.

    Attributes:
        holders: the operations that have a connection, the longest first.
    """

    remedy = "Shorten the operations that hold connections, enlarge the pool, or try again."

    def __init__(self, message: str, *, holders: Sequence[PoolHolder] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.holders = tuple(holders)


class CircuitBreakerOpen(ConnectorError):
    """The vendor has been failing, so calls are refused until it has had time to recover."""

    retryable = True
    remedy = "Wait until the given time; then a probe calls the vendor again."


class RetryBudgetExhausted(ConnectorError):
    """The retry budget is used up, because further retries would prolong the outage."""

    retryable = True
    remedy = "Try again when the vendor answers normally."


class NotCached(ConnectorError):
    """The request allows only a cached response (`only-if-cached`), and no usable one is cached."""

    remedy = "Send the request without only-if-cached, or accept an older response with max-stale."


class IdempotencyConflict(ConnectorError):
    """This idempotency key was used before with a different payload."""

    remedy = "Use a new key for a new payload, or repeat the first payload unchanged."


class IdempotencyInProgress(ConnectorError):
    """Another caller is working on the same idempotency key."""

    retryable = True
    remedy = "Repeat the call later with the same key to get the answer of the first call."


class StepRunning(ConnectorError):
    """A step is still running, but its caller has stopped waiting.

    `retry_at` is the time at which to ask again, with the same key.
    """

    retryable = True
    remedy = "Repeat the call with the same key; it follows the run, or returns its result."


class TenantRecordsExhausted(ConnectorError):
    """A tenant has reached the limit of its idempotency records; nothing was sent.

    Keys that are stored already continue to work, and other tenants are not affected. `tenant` is
    the tenant, `used` the number of its records, and `bound` their maximum number. `retry_at` is
    the time at which the next of them end.
    """

    retryable = True
    remedy = (
        "Repeat the call later, let the tenant use fewer keys, shorten `idempotency_ttl` of its"
        " services, or raise `records_per_tenant`."
    )

    def __init__(
        self,
        message: str,
        *,
        tenant: str | None = None,
        used: int = 0,
        bound: int = 0,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.tenant = tenant
        self.used = used
        self.bound = bound


class OutcomeUnknown(ConnectorError):
    """The request was sent, but its response was lost; repeating it could repeat its effect.

    `idempotency_key` names the claim, and `lookup` describes what to look for at the vendor.
    """

    may_have_been_processed = True
    remedy = "Look the operation up at the vendor before doing it again."

    def __init__(
        self,
        message: str,
        *,
        idempotency_key: str | None = None,
        lookup: str | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.idempotency_key = idempotency_key
        self.lookup = lookup


class VendorRejected(_ErrorWithAnswer):
    """The vendor understood the request and rejected it (4xx, or an error in the body).

    `conclusive` is True if the refusal is stored under the idempotency key even though the answer
    to an earlier attempt was lost, because the vendor's operation then finds what that attempt did.
    """

    remedy = "Correct the request; repeating it unchanged will be refused again."
    conclusive: bool = False


class InvalidRequest(VendorRejected):
    """The vendor considers the request itself invalid."""


class PaymentDeclined(VendorRejected):
    """The payment was refused by the issuer, the vendor or the buyer.

    `reason` is the cause in words that are the same for all vendors. `payment` is the text of the
    reference of the payment that was tried, if there is one.
    """

    remedy = "Ask the buyer for another payment method."
    reason: str = "other"
    payment: str | None = None

    def __init__(
        self, message: str, *, reason: str = "other", payment: str | None = None, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.reason = str(reason)
        self.payment = payment


class FileNotFound(VendorRejected):
    """The vendor stores no file with this key."""

    remedy = "Check the name of the file and of the container."


class AlreadyExists(VendorRejected):
    """The vendor has another object with the same name, which must be unique."""

    remedy = "Look for the existing object, and use it, or choose another name."


class ChangedMeanwhile(VendorRejected):
    """The vendor's object has changed since it was read; nothing was changed."""

    remedy = "Read the object again, decide again, and repeat the change with its current version."


class ChangesExpired(VendorRejected):
    """The vendor no longer has this position in its list of changes; nothing was read."""

    remedy = "Read everything again from the beginning, and store the new reference."


class ConsentRequired(VendorRejected):
    """The owner of a bank account has not agreed to the access, or the consent has ended."""

    remedy = (
        "Check the consent; if it has ended, start a new consent and send its link to the owner."
    )


class DeviceGone(VendorRejected):
    """The device token or browser subscription is no longer valid; nothing was sent.

    `since` is the time from which the vendor knows that it ended, if the vendor states it. A token
    that the app registered again after that time is valid.
    """

    remedy = "Delete the token or subscription, unless the app registered it again since then."

    def __init__(self, message: str, *, since: datetime | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.since = since


class MessageUnroutable(VendorRejected):
    """The broker returned the message because no queue accepts it; nothing was stored."""

    remedy = "Bind a queue to the exchange for this topic, or correct the topic."


class SchemaIncompatible(VendorRejected):
    """A new schema breaks the compatibility that its subject requires; nothing was stored."""

    remedy = "Change the schema, such as by adding defaults to new fields, or use another subject."


class SchemaNotFound(VendorRejected):
    """The registry has no such schema, subject or version."""

    remedy = "Register the schema, or correct the subject, the version or the registry's address."


class TopicNotFound(VendorRejected):
    """The broker has no such topic, stream, subject, queue or exchange; nothing was stored."""

    remedy = "Create the topic at the broker, or correct its name."


class VendorFailed(_ErrorWithAnswer):
    """The vendor failed (5xx), or its answer is malformed or too large.

    `is_well_formed` is True if the answer is a complete JSON document, but lacks what a success
    contains, or differs from the description of the API. A retry would get the same answer, so
    there is none, and the circuit counts no failure.
    """

    retryable = True
    may_have_been_processed = True
    is_well_formed: bool = False
    remedy = "Try again later; if the failure persists, contact the vendor."

    def __init__(
        self,
        message: str,
        *,
        may_have_been_processed: bool = True,
        is_well_formed: bool = False,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        if not may_have_been_processed:
            self.may_have_been_processed = False
        if is_well_formed:
            self.is_well_formed = True


class WebhookRejected(ConnectorError):
    """A webhook was refused: wrong signature, stale, replayed or malformed; see `reason`.

    The error is `retryable` if the sender should try again, for example while another worker
    handles the same webhook. `answer` is the `WebhookReply` that the vendor expects to a webhook
    that was handled before; None for any other refusal.
    """

    remedy = "Do not process the webhook; if the sender is genuine, check the secret and the clock."
    answer: Any = None

    def __init__(self, message: str, *, reason: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.reason = reason


class StorageUnavailable(ConnectorError):
    """The store of shared state is unreachable or full.

    `slow` is True if the store answers, but not in time. Then no call continues without the store.
    """

    retryable = True
    remedy = "Check the store that holds the shared state."

    def __init__(self, message: str, *, slow: bool = False, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.slow = slow


class StateUnavailable(StorageUnavailable):
    """The store responds, but a stored state is unusable, for example from a newer release.

    `key` is the key that the state is stored under, if that is known.
    """

    def __init__(self, message: str, *, key: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.key = key


class UnsupportedByVendor(ConnectorError):
    """The configured vendor does not support this operation; nothing was sent.

    `capabilities` are those that the vendor lacks, and `supported_by` are the vendors that have
    them.
    """

    remedy = "Configure a vendor that has this capability."

    def __init__(
        self,
        message: str,
        *,
        capabilities: tuple[str, ...] = (),
        supported_by: tuple[str, ...] = (),
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.capabilities = capabilities
        self.supported_by = supported_by


class HeldBack(ConnectorError):
    """The configuration forbids sending this request from here; nothing was sent."""

    remedy = "See `safety` in the configuration."


class DryRun(HeldBack):
    """The call was a dry run and sent nothing; `request` is the request that it would have sent."""

    remedy = "Treat the call as done, or use the account of a sandbox to get answers."

    def __init__(self, message: str, *, request: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.request = request


class RecipientRefused(HeldBack):
    """This environment must not write to one of the message's recipients; nothing was sent.

    `refused` has the positions of these recipients, counted from 0. Their addresses are not shown.
    """

    remedy = "Send only to the recipients in the configuration, or add this recipient to them."

    def __init__(self, message: str, *, refused: tuple[int, ...] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.refused = refused


class CopiedStore(HeldBack):
    """The store belongs to another environment, `owner`, so it may have been copied."""

    remedy = "Run `moorage neutralize` on a copy and then `moorage rearm` to use it here."

    def __init__(self, message: str, *, owner: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.owner = owner


class InvalidData(ConnectorError):
    """A value is invalid for its field; `field` is the name of the wrong field."""

    remedy = "Correct the value."

    def __init__(self, message: str, *, field: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.field = field
