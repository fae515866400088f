"""The base class of all vendors, and the values that describe a vendor."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from moorage.domain.secrets.options import checked_options
from moorage.domain.service.safety import Mode
from moorage.domain.values.durations import is_seconds
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import attrs

    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Request
    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.service.settings import Service
    from moorage.domain.webhooks.events import WebhookEvent

_LONGEST_KEY: Final = 255
_NO_LIMITS: Final[Mapping[str, int]] = {}
_NO_OUTCOMES: Final[Mapping[str, UnknownOutcome]] = {}


class MakeRef(Protocol):
    """Makes references to objects at an account."""

    def __call__(self, id: str, /, **related: str | None) -> Ref:
        """Make a reference from an id and its related ids."""
        ...


class RepeatedKey(StrEnum):
    """The way a vendor responds to a repeated idempotency key that it still remembers."""

    REPLAYED = "replayed"
    REFUSED = "refused"
    CONFLICT = "conflict"


class UnknownOutcome(StrEnum):
    """The way to settle an operation whose outcome is unknown."""

    ASKED_AGAIN = "asked_again"
    """The same request is sent again under its key, while the vendor remembers the key."""
    REPEATED = "repeated"
    """The operation is repeated, since doing it twice has the same effect as doing it once."""
    LOOKED_UP = "looked_up"
    """Nothing is sent, and `OutcomeUnknown` is raised until a person has settled the key."""


def _as_addresses(value: Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _are_addresses(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or not all(item.startswith("https://") for item in value):
        raise ConfigurationError(
            "The vendor's idempotency statement must cite a page of the vendor's documentation.",
            path=f"idempotency.{attribute.name}",
            remedy="Give the https:// addresses of the pages that say how long keys are"
            " remembered.",
        )


@frozen(kw_only=True)
class VendorKeys:
    """A vendor's treatment of idempotency keys, according to its documentation.

    Attributes:
        memory: seconds for which the vendor certainly remembers a key; the smallest number if its
            documents differ.
        repeat: response to a repeated key that the vendor remembers.
        documentation: addresses of the pages that document this.
        header: header that carries the key; None if the body carries it.
    """

    memory: float = field(validator=is_seconds)
    repeat: RepeatedKey = field(converter=RepeatedKey)
    documentation: tuple[str, ...] = field(converter=_as_addresses, validator=_are_addresses)
    header: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The fields that a `Service` needs to send idempotency keys in this vendor's way."""
        return {
            "idempotency_header": self.header,
            "idempotency_memory": self.memory,
            "idempotency_replays": self.repeat is RepeatedKey.REPLAYED,
        }


class Vendor:
    """A vendor with one account, as an immutable value; its fields are the account's options.

    A vendor is a subclass made with `attrs.frozen(kw_only=True)` in a file of its own. Its methods
    are the operations of its kinds: each is asynchronous and takes a `Wire` first. It is found by
    the entry point of its name in the group `moorage.vendors`.

    Attributes:
        name: name of the vendor in configurations and references.
        kinds: contracts that it fills, such as "sms".
        api_version: API version that the class pins, and sends if the vendor accepts a version.
        capabilities: optional features that it supports.
        limits: the vendor's limits, such as the number of items in a batch.
        webhook: preset of its webhooks' signature scheme, if it has webhooks.
        transport: name of the adapter that performs its operations, if it does not speak HTTP.
        idempotency: the vendor's treatment of idempotency keys, if the vendor accepts any. Required
            if its services have an `idempotency_header`.
        unknown_outcomes: for each operation, the way to settle an unknown outcome. Required for
            each operation of a payments vendor that moves money.
        listed_within: seconds after which a payment that was made is certainly on the vendor's
            list. If a look-up does not find a payment by then, a person has to decide. By default
            an hour.
        states_refunds: False if a payment that is looked up does not state what was refunded of
            it. Then `refund` without an amount is refused after the first refund.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    api_version: ClassVar[str | None] = None
    capabilities: ClassVar[frozenset[str]] = frozenset()
    limits: ClassVar[Mapping[str, int]] = _NO_LIMITS
    webhook: ClassVar[str | None] = None
    transport: ClassVar[str | None] = None
    idempotency: ClassVar[VendorKeys | None] = None
    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = _NO_OUTCOMES
    listed_within: ClassVar[float] = 3_600.0
    states_refunds: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        """Check a vendor class's capabilities, and wrap its constructor.

        The errors of the constructor then name the wrong option, and reveal no secret.

        Raises:
            ConfigurationError: the capabilities do not agree with the methods of the class.
        """
        super().__init_subclass__(**options)
        # The test suite checks moorage's own vendors, so a hub need not load a declaration before
        # its first use.
        is_ours = cls.__module__.startswith("moorage.vendors.")
        if not is_ours and hasattr(cls, "name") and hasattr(cls, "kinds"):
            from moorage.contracts.capabilities import (  # noqa: PLC0415 - it needs this module
                check_capabilities,
            )

            check_capabilities(cls)
        if "__init__" in vars(cls):
            checked_options(cls)

    @abstractmethod
    def services(self) -> Mapping[str, Service]:
        """The vendor's services by name; the main service has the empty name.

        The configuration of the account gives the services their full names.
        """

    def clients(self) -> Mapping[str, OAuthClient]:
        """The OAuth clients of the account, by the name of the service that uses their tokens.

        Such a service sets `needs_credentials`; all tenants share the account's token. Services
        without a client here get their credentials from the credential provider.
        """
        return {}

    def mode(self) -> Mode | None:
        """Live or test mode, if the account's options determine it; otherwise None."""
        return None

    def ping(self) -> Request | None:
        """A free request to the main service that changes nothing; None if there is none.

        The vendor responds with a success only if it accepts the credentials.
        """
        return None

    def webhook_verification(self) -> Mapping[str, Any]:
        """Arguments for the webhook verifier: the scheme, and the options that it needs."""
        return {"scheme": self.webhook}

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[Any, ...]:  # noqa: ARG002 - to override
        """Convert a verified webhook to events of the contract; empty if it is of an unknown type.

        Args:
            event: the webhook.
            ref: makes a reference of an id at this account.
        """
        return ()


def mode_of_key(
    key: Secret | None, *, live: tuple[str, ...] = (), test: tuple[str, ...] = ()
) -> Mode | None:
    """Live or test mode, according to the prefix of an API key; None for an unknown prefix."""
    if key is None:
        return None
    if key.begins_with(*live):
        return Mode.LIVE
    return Mode.TEST if key.begins_with(*test) else None


def mode_of_url(url: str, *, live: str, test: str) -> Mode | None:
    """Live or test mode, according to a URL; None for an unknown URL."""
    if url.startswith(test):
        return Mode.TEST
    return Mode.LIVE if url.startswith(live) else None


def key_for_vendor(wire: Wire, key: str, longest: int) -> str:
    """An idempotency key in the form that the vendor receives, at most `longest` characters.

    All tenants of an account share the vendor's keys. So a tenant's key, or a key that is too long,
    is replaced by its digest.
    """
    if wire.tenant is None and len(key) <= longest:
        return key
    return _hex_digest(f"{wire.tenant or ''}\n{key}")


def part_key(key: str, part: int | str) -> str:
    """The idempotency key of one of an operation's requests: the operation's key and a name.

    The same part of the same operation always has the same key. If the key would be longer than a
    key may be, a digest of the operation's key replaces its end.

    Args:
        key: the idempotency key of the whole operation.
        part: the number or the short name of the part.
    """
    joined_key = f"{key}/{part}"
    if len(joined_key) <= _LONGEST_KEY:
        return joined_key
    suffix = f"/{_hex_digest(key)[:32]}/{part}"
    return key[: _LONGEST_KEY - len(suffix)] + suffix


def _hex_digest(text: str) -> str:
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL, which opening a hub must not

    return sha256(text.encode()).hexdigest()


def choices(*words: str | int) -> Mapping[str, Any]:
    """Metadata that lists the allowed values of an option, for configurations and their schema."""
    return {"choices": words}


def no_options() -> dict[str, Any]:
    """An empty table of options, the default of fields."""
    return {}


def extra_for(vendor: str, extra: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The options meant for this vendor; options for other vendors are ignored.

    Raises:
        InvalidData: they are not a table of plain values; `field` is the path to the wrong option.
    """
    fields: Any = extra.get(vendor, {})
    invalid_path = _unsendable_path(fields, f"extra.{vendor}")
    if is_object(fields) and invalid_path is None:
        return fields
    raise InvalidData(
        f"The extra options for {vendor} must be a dict of plain values.",
        field=invalid_path or f"extra.{vendor}",
        remedy="Give a dict from the vendor's own names to texts, whole numbers, True, False, None,"
        " and lists and dicts of these.",
    )


def _unsendable_path(value: object, path: str) -> str | None:
    """The path of the first part of a value that cannot be sent as JSON; None if all can be."""
    if value is None or isinstance(value, (str, int)):
        return None
    if is_list(value):
        nested_items = ((item, f"{path}[{number}]") for number, item in enumerate(value))
    elif is_object(value) and all(isinstance(name, str) for name in value):
        nested_items = ((item, f"{path}.{name}") for name, item in value.items())
    else:
        return path
    return next(
        (invalid_path for item, at in nested_items if (invalid_path := _unsendable_path(item, at))),
        None,
    )


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """A request body with a vendor's own options: tables are merged, other values replaced."""
    merged_fields = dict(body)
    for name, value in extra.items():
        body_value = merged_fields.get(name)
        if is_object(body_value) and is_object(value):
            merged_fields[name] = merged(body_value, value)
        else:
            merged_fields[name] = value
    return merged_fields
