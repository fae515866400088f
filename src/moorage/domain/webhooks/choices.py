"""The values that the settings of a webhook signature scheme may have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

from moorage.domain.values.durations import seconds
from moorage.domain.values.text import brief_repr, with_article
from moorage.domain.webhooks.algorithms import SecretForm, WebhookAlgorithm, WebhookEncoding
from moorage.domain.webhooks.template import Template, nearest_hint
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import timedelta

Choice = TypeVar("Choice", bound=StrEnum)
Place: TypeAlias = "Template | str"
PairsGiven: TypeAlias = "Mapping[str, str] | Iterable[tuple[str, str]]"


class TimeForm(StrEnum):
    """The formats in which vendors write a time."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    ISO = "iso"
    HTTP = "http"
    """The date in the headers of HTTP, such as `Wed, 18 Jul 2018 06:33:52 GMT`."""


DATE_FORMS: Final = frozenset({TimeForm.ISO, TimeForm.HTTP})
"""The formats of times that are dates, and not numbers."""


class BodyForm(StrEnum):
    """The formats of a webhook's body."""

    JSON = "json"
    FORM = "form"
    EITHER = "either"
    """A form, or JSON if the body begins like an object or a list, whatever the headers state. JSON
    in a form whose only field is `payload` or `json` is read as JSON.
    """
    RAW = "raw"
    """Any content, which is not parsed."""
    ENCLOSED_XML = "enclosed_xml"
    """A form whose field `bt_payload` is an XML document in base64."""


class Handshake(StrEnum):
    """The kinds of requests by which vendors check an endpoint before they send events."""

    SLACK = "slack"
    ZOOM = "zoom"
    META = "meta"
    SNS = "sns"
    DISCORD = "discord"
    BRAINTREE = "braintree"
    ADOBE = "adobe"


def _choice_of(kind: type[Choice], value: str, field: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a valid {field}.",
            path=field,
            remedy=f"{nearest_hint(value, kind)}Use one of {', '.join(kind)}.",
        ) from None


def as_algorithm(value: WebhookAlgorithm | str) -> WebhookAlgorithm:
    """Return the webhook signature algorithm of this name."""
    return _choice_of(WebhookAlgorithm, value, "algorithm")


def as_encoding(value: WebhookEncoding | str) -> WebhookEncoding:
    """Return the signature encoding of this name."""
    return _choice_of(WebhookEncoding, value, "encoding")


def as_secret_form(value: SecretForm | str) -> SecretForm:
    """Return the form of a webhook secret that has this name."""
    return _choice_of(SecretForm, value, "secret_form")


def as_time_form(value: TimeForm | str) -> TimeForm:
    """Return the time format of this name."""
    return _choice_of(TimeForm, value, "time_form")


def as_body_form(value: BodyForm | str) -> BodyForm:
    """Return the body format of this name."""
    return _choice_of(BodyForm, value, "body")


def as_handshake(value: Handshake | str | None) -> Handshake | None:
    """Return the kind of endpoint check that has this name; None stays None."""
    return None if value is None else _choice_of(Handshake, value, "handshake")


def as_template(value: Place) -> Template:
    """Return a template compiled from this string."""
    if isinstance(value, Template):
        return value
    if isinstance(value, str):
        return Template(value)
    raise ConfigurationError(
        f"The value is {with_article(type(value).__name__)}, not a template.",
        path="scheme",
        remedy="Use a str.",
    )


def as_place(value: Place | None) -> Template | None:
    """Return a template compiled from this string; None stays None."""
    return None if value is None else as_template(value)


def as_templates(value: Place | Iterable[Place]) -> tuple[Template, ...]:
    """Return one or several templates, compiled."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(as_template(item) for item in value)
    return (as_template(value),)


def as_names(value: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names as a tuple; a single name is allowed."""
    return (value,) if isinstance(value, str) else tuple(value)


def as_types(value: PairsGiven) -> tuple[tuple[str, str], ...]:
    """Return the pairs of strings that a mapping or a list contains."""
    return tuple(cast("Iterable[tuple[str, str]]", _items(value)))


def as_requires(
    value: Mapping[str, str] | Iterable[tuple[Place, str]],
) -> tuple[tuple[Template, str], ...]:
    """Return pairs of a compiled template and the text that it must produce."""
    pairs = cast("Iterable[tuple[Place, str]]", _items(value))
    return tuple((as_template(place), text) for place, text in pairs)


def _items(value: object) -> object:
    return cast("Mapping[str, str]", value).items() if isinstance(value, Mapping) else value


def as_tolerance(value: float | timedelta | None) -> float | None:
    """Return the accepted age of a webhook in seconds; None stays None."""
    return None if value is None else seconds(value, "tolerance")


def as_address(value: str | None) -> str | None:
    """Return a pattern for a URL, after checking that it requires https."""
    if value is None:
        return None
    try:
        re.compile(value)
        is_pinned = value.startswith("https://")
    except (TypeError, re.error):
        is_pinned = False
    if is_pinned:
        return value
    raise ConfigurationError(
        "certificate_url is not a pattern that begins with https://.",
        path="certificate_url",
        remedy="Set a regular expression for the whole URL that fixes the scheme, host and"
        " path of the vendor's certificates.",
    )
