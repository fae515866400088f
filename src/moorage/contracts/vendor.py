"""What every vendor says of itself, whatever its kind."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

import attrs

from moorage.domain.durations import is_seconds
from moorage.domain.json_text import is_list, is_object
from moorage.domain.safety import Mode
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire
    from moorage.domain.http import Request
    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.secret import Secret
    from moorage.domain.service import Service
    from moorage.domain.webhooks.events import WebhookEvent

MakeRef: TypeAlias = "Callable[..., Ref]"

_NOTHING: Final[Mapping[str, int]] = {}
_NO_OUTCOMES: Final[Mapping[str, UnknownOutcome]] = {}


class RepeatedKey(StrEnum):
    """What a repeat of a key gets that the vendor still remembers."""

    REPLAYED = "replayed"
    REFUSED = "refused"
    CONFLICT = "conflict"


class UnknownOutcome(StrEnum):
    """What a repeat does after an operation whose outcome is unknown."""

    ASKED_AGAIN = "asked_again"
    """The same request is sent again under its key, while the vendor remembers it."""
    REPEATED = "repeated"
    """It is done again, since doing it twice does what doing it once does."""
    LOOKED_UP = "looked_up"
    """Nothing is sent, and `OutcomeUnknown` is raised until somebody has settled the key."""


def _as_addresses(value: Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _are_addresses(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or not all(one.startswith("https://") for one in value):
        raise ConfigurationError(
            "A vendor's idempotency states no page of the vendor's documentation.",
            path=f"idempotency.{attribute.name}",
            remedy="Give the addresses, from https:// on, of the pages that say how long keys are"
            " remembered.",
        )


@attrs.frozen(kw_only=True)
class VendorKeys:
    """How a vendor treats idempotency keys, as its documentation says.

    Attributes:
        memory: seconds for which it surely remembers a key. Where its documents differ, the
            smallest number counts.
        repeat: what a repeat of a key gets that it remembers.
        documentation: the addresses of the pages that say so.
        header: the header that takes the key; None where it stands in the body.
    """

    memory: float = attrs.field(validator=is_seconds)
    repeat: RepeatedKey = attrs.field(converter=RepeatedKey)
    documentation: tuple[str, ...] = attrs.field(converter=_as_addresses, validator=_are_addresses)
    header: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of a `Service` that takes such keys."""
        return {
            "idempotency_header": self.header,
            "idempotency_memory": self.memory,
            "idempotency_replays": self.repeat is RepeatedKey.REPLAYED,
        }


class Vendor:
    """One vendor and one account of ours there: a frozen value whose fields are its options.

    A vendor is a subclass made with `attrs.frozen(kw_only=True)`, in a file of its own, with the
    operations of its kinds as methods: each is asynchronous and takes a `Wire` first. It is found
    by the entry point of its name in the group `moorage.vendors`.

    Attributes:
        name: what configurations and references call the vendor.
        kinds: which contracts it fills, such as "sms".
        api_version: the version that it pins, and sends where the vendor takes one.
        capabilities: what it can do beyond what every vendor of the kind can.
        limits: numbers that bound it, such as how many items a batch may have.
        webhook: the preset of its webhooks' scheme, if it has any.
        transport: the verbs it needs where it does not speak HTTP: the name of an adapter.
        idempotency: how it treats idempotency keys, if it takes any. A vendor whose services have
            an `idempotency_header` must state it.
        unknown_outcomes: by operation, what a repeat does after an outcome that is unknown. A
            vendor of payments must state it for each operation that moves money.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    api_version: ClassVar[str | None] = None
    capabilities: ClassVar[frozenset[str]] = frozenset()
    limits: ClassVar[Mapping[str, int]] = _NOTHING
    webhook: ClassVar[str | None] = None
    transport: ClassVar[str | None] = None
    idempotency: ClassVar[VendorKeys | None] = None
    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = _NO_OUTCOMES

    @abstractmethod
    def services(self) -> Mapping[str, Service]:
        """Where it is and how it is called, by the names that `Wire.send` takes; "" is the main.

        The names of the services themselves are given by whoever configures the account.
        """

    def clients(self) -> Mapping[str, OAuthClient]:
        """Who we are to the authorisation servers of its services, by the names of `services`.

        Such a service says `needs_credentials`, and its token is the account's: one for all
        tenants. What is not here is asked of the credential provider.
        """
        return {}

    def mode(self) -> Mode | None:
        """Which of the vendor's systems its options are for, where they tell; else None."""
        return None

    def ping(self) -> Request | None:
        """A request to its main service that changes nothing and costs nothing.

        The vendor answers it well only to whoever has a key that it accepts. None if it has none.
        """
        return None

    def verifying(self) -> Mapping[str, Any]:
        """What a verifier of its webhooks is given: the scheme, and what that wants to know."""
        return {"scheme": self.webhook}

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[Any, ...]:  # noqa: ARG002 - to override
        """What a verified webhook means, as events of the contract; none of what is new.

        Args:
            event: the webhook.
            ref: makes a reference of an id at this account.
        """
        return ()


def mode_of_key(
    key: Secret | None, *, live: tuple[str, ...] = (), test: tuple[str, ...] = ()
) -> Mode | None:
    """Which of a vendor's systems a key is for, told by how it begins."""
    if key is None:
        return None
    if key.begins_with(*live):
        return Mode.LIVE
    return Mode.TEST if key.begins_with(*test) else None


def mode_at(url: str, *, live: str, test: str) -> Mode | None:
    """Which of a vendor's systems is at a URL; none of them where it is somewhere else."""
    if url.startswith(test):
        return Mode.TEST
    return Mode.LIVE if url.startswith(live) else None


def key_at(wire: Wire, key: str, longest: int) -> str:
    """An idempotency key as a vendor is told it that knows keys of so many characters.

    A vendor knows the keys of all tenants of an account together: one of a tenant's is told by its
    digest, and so is one that is too long.
    """
    if wire.tenant is None and len(key) <= longest:
        return key
    return sha256(f"{wire.tenant or ''}\n{key}".encode()).hexdigest()


def choices(*words: str | int) -> Mapping[str, Any]:
    """The metadata of an option that is one of these: configurations and their schema know them."""
    return {"choices": words}


def no_options() -> dict[str, Any]:
    """What stands where no options were given."""
    return {}


def extra_for(vendor: str, extra: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The options that are meant for this vendor; those for others are not looked at.

    Raises:
        InvalidData: they are no table of plain values; `field` leads to what is wrong.
    """
    own: Any = extra.get(vendor, {})
    wrong = _not_plain(own, f"extra.{vendor}")
    if is_object(own) and wrong is None:
        return own
    raise InvalidData(
        f"The extra options for {vendor} are no table of plain values.",
        field=wrong or f"extra.{vendor}",
        remedy="Give a dict from the vendor's own names to texts, whole numbers, True, False, None,"
        " and lists and dicts of these.",
    )


def _not_plain(value: object, path: str) -> str | None:
    """The path to the first value that no vendor could be sent, if there is one."""
    if value is None or isinstance(value, (str, int)):
        return None
    if is_list(value):
        inner = ((one, f"{path}[{number}]") for number, one in enumerate(value))
    elif is_object(value) and all(isinstance(name, str) for name in value):
        inner = ((one, f"{path}.{name}") for name, one in value.items())
    else:
        return path
    return next((wrong for one, at in inner if (wrong := _not_plain(one, at))), None)


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """A body with a vendor's own options put in last: tables are joined, all else is replaced."""
    whole = dict(body)
    for name, value in extra.items():
        before = whole.get(name)
        if is_object(before) and is_object(value):
            whole[name] = merged(before, value)
        else:
            whole[name] = value
    return whole
