"""Container images: their registries, and the files from which an image is built."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from posixpath import normpath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.secrets.value_mask import masked_text, value_mask
from moorage.domain.steps.path_patterns import PathPattern
from moorage.domain.values.field_checks import is_filled
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.domain.secrets.secret import Secret

_HUB: Final = "docker.io"
_OLD_HUB: Final = "index.docker.io"
_HUB_KEY: Final = "https://index.docker.io/v1/"
"""The name under which a Docker Engine looks for the login of Docker Hub."""

_LONGEST_PATTERN: Final = 4_096
_SERVER: Final = late_pattern(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")

_THROTTLED_TEXTS: Final = ("toomanyrequests", "too many requests")
_LOGIN: Final = ("unauthorized", "authentication required", "no basic auth credentials")
_ABSENT_TEXTS: Final = ("not found", "manifest unknown", "access denied", "does not exist")


def _is_server(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a server with which no image name can begin, since its login would never be used."""
    if isinstance(value, str) and not _SERVER.fullmatch(value):
        raise ConfigurationError(
            "The value is not the address of a registry server.",
            path=attribute.name,
            remedy="Write the address as in the names of images, such as"
            " registry.example:5000, without https://.",
        )


@with_careful_constructor
@checked_options
@attrs.frozen(kw_only=True)
class RegistryLogin:
    """The user name and password for a registry of container images.

    Attributes:
        server: the server of the registry, such as "registry.example:5000" or "docker.io".
        user: the user.
        password: the password, or an access token.
    """

    server: str = attrs.field(validator=_is_server)
    user: str = attrs.field(validator=is_filled)
    password: Secret = attrs.field(converter=maybe_secret, repr=False)

    def pull_header(self, image: str) -> Mapping[str, str]:
        """Return the header with the login for a pull; empty for an image of another registry.

        `DockerImages` sends it.
        """
        if registry_of(image) != self.server:
            return {}
        return {"X-Registry-Auth": _pack_value({**_fields(self), "serveraddress": self.server})}

    def build_header(self) -> Mapping[str, str]:
        """Return the header with the login for a build, which pulls the base images.

        `DockerImages` sends it.
        """
        key = _HUB_KEY if self.server == _HUB else self.server
        return {"X-Registry-Config": _pack_value({key: _fields(self)})}


def without_login(text: str, login: RegistryLogin | None) -> str:
    """Return a message of the Docker Engine with a login's password and header masked."""
    if login is None:
        return text
    secrets = (login.password.reveal_bytes(), _pack_value(_fields(login)).encode())
    return masked_text(text, value_mask(secrets))


def _fields(login: RegistryLogin) -> dict[str, str]:
    return {"username": login.user, "password": login.password.reveal()}


def _pack_value(value: Mapping[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode()


def registry_of(image: str) -> str:
    """Return the server of the registry that has an image.

    The rules are those of Docker (github.com/distribution/reference, read 2026-11): a first part
    with a dot, a colon or a capital letter is a server, because no name of an image has these.
    """
    host, slash, _ = image.partition("/")
    is_server = "." in host or ":" in host or host == "localhost" or host != host.lower()
    return host if slash and is_server and host != _OLD_HUB else _HUB


def with_tag(image: str) -> str:
    """Return the name of an image with its tag or digest, which is `latest` by default."""
    is_exact = "@" in image or ":" in image.rpartition("/")[2]
    return image if is_exact else f"{image}:latest"


class PullFailure(NamedTuple):
    """The meaning of the Docker Engine's message about an image that could not be pulled.

    Attributes:
        is_throttled: the registry refuses further pulls for now.
        needs_login: the registry refuses the login.
        is_absent: the image does not exist, or the registry does not reveal that it exists.
    """

    is_throttled: bool
    needs_login: bool
    is_absent: bool

    @classmethod
    def of(cls, message: str) -> PullFailure:
        """Return the meaning of the Docker Engine's message about a failed pull."""
        text = message.lower()
        return cls(*(any(word in text for word in words) for words in _MEANINGS))


_MEANINGS: Final = (_THROTTLED_TEXTS, _LOGIN, _ABSENT_TEXTS)


class _IgnoreRule(NamedTuple):
    """A pattern in a `.dockerignore`, and whether it includes paths again (`!`)."""

    is_exception: bool
    pattern: PathPattern


@attrs.frozen
class IgnoredFiles:
    """The files of a build context that a `.dockerignore` leaves out.

    The rules are those of Docker (docs.docker.com/build/concepts/context/, read 2026-11): the last
    pattern that matches a path or one of its folders decides, and a pattern that begins with `!`
    includes a path again.

    Attributes:
        rules: the rules, in their order.
        exempt: the paths that are never left out.
    """

    rules: tuple[_IgnoreRule, ...] = ()
    exempt: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str, exempt: Iterable[str]) -> IgnoredFiles:
        """Return the rules of the text of a `.dockerignore`.

        Raises:
            InvalidData: a pattern cannot be read.
        """
        lines = text.removeprefix("\ufeff").split("\n")
        rules = (_rule(line.strip()) for line in lines if not line.startswith("#"))
        return cls(tuple(rule for rule in rules if rule is not None), frozenset(exempt))

    def ignores(self, path: str) -> bool:
        """Return whether a path, which is relative to the build context, is left out."""
        if path in self.exempt:
            return False
        is_ignored = False
        for rule in self.rules:
            if is_ignored is rule.is_exception and rule.pattern.matches(path):
                is_ignored = not rule.is_exception
        return is_ignored


def _rule(line: str) -> _IgnoreRule | None:
    """Return the rule in a line of a `.dockerignore`; None if the line contains none."""
    pattern = normpath(line.removeprefix("!").strip()).lstrip("/")
    if pattern in {"", "."}:
        return None
    if len(pattern) > _LONGEST_PATTERN:
        raise InvalidData(
            f"A pattern in the .dockerignore is longer than {_LONGEST_PATTERN:,} characters.",
            field=".dockerignore",
            remedy="Write several patterns, each on a separate line.",
        )
    try:
        return _IgnoreRule(line.startswith("!"), PathPattern(pattern))
    except ValueError:
        raise InvalidData(
            f"The pattern {line[:80]!r} in the .dockerignore is not valid.",
            field=".dockerignore",
            remedy="Correct the characters between the brackets of the pattern.",
        ) from None
