"""A vendor's signature scheme for webhooks, as data.

A scheme takes a dozen lines. They describe the signed text, the place of the signature, and the
places of an event's id, type and time. The scheme derives which parts its signature covers, and
each event reports them.
"""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.state.keys import checked_name
from moorage.domain.webhooks.algorithms import (
    JWTS,
    PLAIN,
    SecretForm,
    WebhookAlgorithm,
    WebhookEncoding,
)
from moorage.domain.webhooks.choices import (
    BodyForm,
    Handshake,
    TimeForm,
    as_address,
    as_algorithm,
    as_body_form,
    as_encoding,
    as_handshake,
    as_names,
    as_place,
    as_requires,
    as_secret_form,
    as_templates,
    as_time_form,
    as_tolerance,
    as_types,
)
from moorage.domain.webhooks.tables import made_from, scheme_table
from moorage.domain.webhooks.template import Template, covered_parts
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOLE_BODY_PLACES: Final = frozenset({"body", "form", "fields", "bt_payload"})
"""The places whose signature covers the whole content of an event."""


def _name(value: str) -> str:
    return checked_name(value, "name")


@with_careful_constructor
@attrs.frozen(kw_only=True)
class WebhookScheme:
    """A vendor's webhook signature scheme, with the paths of an event's id, type and time.

    Most fields are templates: strings with the places `{body}`, `{body_sha256}`, `{body_crc32}`,
    `{url}`, `{method}`, `{sorted_form}`; with an argument `{header:…}`, `{query:…}`, `{form:…}`,
    `{json:…}` (a dotted path, such as `to.0.status`), `{pairs:…}` for every field but that one,
    `{claim:…}` of a token, `{mark:…}` for a part `…=` of the signature header, and `{parameter:…}`
    for a parameter of the verifier. A place that ends in `?` may be missing.

    Attributes:
        name: the name of the scheme.
        signature: the place of the signature; several if it may be in each of them.
        signs: the signed text, from the bytes that arrived; several if any of them may be signed.
        algorithm: the algorithm of the signature.
        encoding: the encoding of the signature.
        separator: the string between several signatures in one header; "" if there is only one.
        prefix: the prefix of a signature of this version; others are ignored.
        repeats: whether the vendor sends the header several times, with different signatures.
        secret_form: the way in which a secret becomes a key.
        secret_prefix: a prefix of secrets that is not part of the key.
        timestamp: the place of the time of signing; it must be part of the signed text.
        timestamp_form: the format of that time.
        tolerance: the maximum difference of that time from now, in seconds; None without a signed
            time.
        digest: the place of a SHA-256 of the body, in hex, that is signed instead of the body.
        requires: places with the one value that each must have, against downgrades; a value may
            contain `{name}` for a parameter, against webhooks for another receiver.
        weaker_headers: headers with weaker signatures, which are never used.
        certificate: the place of the URL of the certificate, instead of a secret.
        certificate_url: a pattern that the whole URL must match before anything is fetched.
        key_id: the place of the id of the key, if there are several keys.
        body: the format of the body.
        items: the place of the list of a batch: a dotted path, `.` for the whole body, with `*` for
            each item of a list on the way; None if a body has one event.
        each_signed: whether each item has its own signature.
        only_hints: whether a webhook only says that something changed, in the same words each time;
            if so, none is treated as a replay.
        id, type, time: the places of an event's id, type and time.
        time_form: the format of that time.
        data: the dotted path of the event's object; by default the whole payload.
        outcome: the place of an event's outcome, for a vendor whose type does not say whether a
            step succeeded.
        types: our names for the vendor's types. A type may be followed by a colon and an outcome,
            such as `CAPTURE:false`; this name comes first.
        handshake: the question that the vendor asks before it sends events.
        accepted: the string to answer with.
        fetch: the URL that returns the object, if the signature does not cover it; with `{id}`.
    """

    name: str = attrs.field(converter=_name)
    signature: tuple[Template, ...] = attrs.field(converter=as_templates)
    signs: tuple[Template, ...] = attrs.field(default=(Template("{body}"),), converter=as_templates)
    algorithm: WebhookAlgorithm = attrs.field(
        default=WebhookAlgorithm.HMAC_SHA256, converter=as_algorithm
    )
    encoding: WebhookEncoding = attrs.field(default=WebhookEncoding.HEX, converter=as_encoding)
    separator: str = ""
    prefix: str = ""
    repeats: bool = False
    secret_form: SecretForm = attrs.field(default=SecretForm.TEXT, converter=as_secret_form)
    secret_prefix: str = ""
    timestamp: Template | None = attrs.field(default=None, converter=as_place)
    timestamp_form: TimeForm = attrs.field(default=TimeForm.SECONDS, converter=as_time_form)
    tolerance: float | None = attrs.field(default=None, converter=as_tolerance)
    digest: Template | None = attrs.field(default=None, converter=as_place)
    requires: tuple[tuple[Template, str], ...] = attrs.field(default=(), converter=as_requires)
    weaker_headers: tuple[str, ...] = attrs.field(default=(), converter=as_names)
    certificate: Template | None = attrs.field(default=None, converter=as_place)
    certificate_url: str | None = attrs.field(default=None, converter=as_address)
    key_id: Template | None = attrs.field(default=None, converter=as_place)
    body: BodyForm = attrs.field(default=BodyForm.JSON, converter=as_body_form)
    items: str | None = None
    each_signed: bool = False
    only_hints: bool = False
    id: Template | None = attrs.field(default=None, converter=as_place)
    type: Template | None = attrs.field(default=None, converter=as_place)
    time: Template | None = attrs.field(default=None, converter=as_place)
    time_form: TimeForm = attrs.field(default=TimeForm.SECONDS, converter=as_time_form)
    data: str | None = None
    outcome: Template | None = attrs.field(default=None, converter=as_place)
    types: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=as_types, repr=False)
    handshake: Handshake | None = attrs.field(default=None, converter=as_handshake)
    accepted: str = ""
    fetch: str | None = None

    headers: frozenset[str] = attrs.field(init=False, repr=False, eq=False)
    parameters: frozenset[str] = attrs.field(init=False, repr=False, eq=False)
    covers: frozenset[str] = attrs.field(init=False, repr=False, eq=False)
    known_types: Mapping[str, str] = attrs.field(init=False, repr=False, eq=False)
    is_forgeable: bool = attrs.field(init=False, repr=False, eq=False)
    """True if a person without the secret could change the body."""
    vouches_for_id: bool = attrs.field(init=False, repr=False, eq=False)
    """True if only an owner of the secret can change the id of an event."""
    reads_body: bool = attrs.field(init=False, repr=False, eq=False)
    """True if a part of the body is read before its signature has been verified."""

    def __attrs_post_init__(self) -> None:
        """Compile the scheme, and refuse it if it is unsafe."""
        places = self._all_places()
        names = _arguments(places, "header") | {name.lower() for name in self.weaker_headers}
        object.__setattr__(self, "headers", names)
        object.__setattr__(self, "parameters", _arguments(places, "parameter"))
        object.__setattr__(self, "covers", self._signed_parts())
        object.__setattr__(self, "known_types", dict(self.types))
        object.__setattr__(self, "is_forgeable", not self.covers & _WHOLE_BODY_PLACES)
        object.__setattr__(
            self, "vouches_for_id", self.id is None or self._covers_template(self.id)
        )
        object.__setattr__(self, "reads_body", self._reads_body())
        self._check()

    @classmethod
    def from_table(cls, table: Mapping[str, Any], *, path: str = "scheme") -> Self:
        """Return the scheme in a table of plain values, such as TOML or JSON.

        The table has the fields above by their names. A field with several values accepts one
        string or a list, and a field with pairs accepts a table: `types` and `requires`.

        Args:
            table: the names with their values.
            path: the path of the table in the configuration, for errors.

        Raises:
            ConfigurationError: the table is not a scheme; its `path` names the wrong value.
        """
        return made_from(cls, table, path)

    def to_table(self) -> dict[str, Any]:
        """Return the scheme as a table of plain values, without default values."""
        return scheme_table(self)

    def _covers_template(self, template: Template) -> bool:
        signed_places = {place for item in self.signs for place in item.places}
        # Fields that are joined without a separator could also be split differently, which would
        # give the same id.
        return not self.each_signed and all(
            place in signed_places
            or (not self.is_forgeable and place.startswith(("json:", "root:", "form:")))
            for place in template.places
        )

    def _reads_body(self) -> bool:
        early_templates = (
            *self.signature,
            *self.signs,
            *(place for place, _ in self.requires),
            *(item for item in (self.timestamp, self.certificate, self.key_id) if item is not None),
        )
        return self.each_signed or any(
            place.startswith(("json:", "lines:", "pairs:", "root:"))
            for template in early_templates
            for place in template.places
        )

    def _signed_parts(self) -> frozenset[str]:
        if self.algorithm in PLAIN:
            return frozenset()
        signed_templates = () if self.algorithm in JWTS else self.signs[:1]
        names = {name for template in signed_templates for name in covered_parts(template.places)}
        return frozenset(names if self.digest is None else names | {"body"})

    def _covers_body(self) -> bool:
        """Return whether the signature covers the whole body, not only some fields."""
        return "body" in self.covers or all(
            any(place.startswith("pairs:") for place in template.places) for template in self.signs
        )

    def _all_places(self) -> tuple[str, ...]:
        single_places = (
            self.timestamp,
            self.digest,
            self.certificate,
            self.key_id,
            self.id,
            self.type,
            self.time,
            self.outcome,
        )
        templates = [
            *self.signature,
            *self.signs,
            *(place for place, _ in self.requires),
            *(item for item in single_places if item is not None),
        ]
        places = tuple(place for template in templates for place in template.places)
        texts = (self.prefix, *(value for _, value in self.requires))
        places += tuple(f"parameter:{name}" for text in texts for name in _parameters_in(text))
        if self.handshake is Handshake.META:
            places += ("parameter:verify_token",)
        if self.handshake is Handshake.BRAINTREE:
            places += ("parameter:public_key",)
        if self.handshake is Handshake.ADOBE:
            places += ("header:x-adobesign-clientid",)
        return places

    def _check(self) -> None:
        problem = self._problem()
        if problem is not None:
            raise ConfigurationError(
                f"The scheme {self.name!r} {problem}.",
                path=f"schemes.{self.name}",
                remedy="Check how the vendor signs, and compare a preset for a similar vendor.",
            )

    def _problem(self) -> str | None:
        if not self.signature or not self.signs:
            return "has no signature, or does not sign any content"
        if not all(template.places for template in (*self.signature, *self.signs)):
            return "has a signature or a signed text that is the same for every webhook"
        if (self.tolerance is None) != (self.timestamp is None):
            return "needs both a tolerance and a timestamp, or none of them"
        if (self.certificate is None) != (self.certificate_url is None):
            return "needs both a certificate and a certificate_url, or none of them"
        if self.timestamp is not None and self.algorithm in PLAIN:
            return "has a timestamp that is not protected by a signature"
        if self.each_signed and self.items is None:
            return "signs each item, but has no items"
        return self._unsigned_time()

    def _unsigned_time(self) -> str | None:
        if (
            self.timestamp is None
            or self.algorithm in JWTS
            or (
                self._covers_body()
                and all(place.startswith("json:") for place in self.timestamp.places)
            )
        ):
            return None
        signed_places = {place for template in self.signs for place in template.places}
        listed_names = {
            name
            for place in signed_places
            if place.startswith("lines:")
            for name in place[6:].split(",")
        }
        for place in self.timestamp.places:
            if place not in signed_places and place.partition(":")[2] not in listed_names:
                return "has a timestamp that the signature does not cover"
        return None


def _parameters_in(text: str) -> list[str]:
    try:
        return [name for _, name, *_ in Formatter().parse(text) if name is not None]
    except ValueError:
        raise ConfigurationError(
            f"{text[:80]!r} has an unclosed brace.",
            path="scheme",
            remedy="Write a literal brace twice, and a parameter as {name}.",
        ) from None


def _arguments(places: tuple[str, ...], kind: str) -> frozenset[str]:
    arguments = (place.partition(":")[2] for place in places if place.startswith(f"{kind}:"))
    return frozenset(name.lower() if kind == "header" else name for name in arguments)
