"""The format of encrypted strings, with the key's version, and the key ring.

1. A sealed text begins with a header: a marker of this package, the format, the version of the key,
   and a check value of the key. So an error can say why a string cannot be decrypted: another
   program or a newer release wrote it, its key is missing, or the key of this version is another
   one.
2. The header and the context of the string are authenticated, not hidden. A string that is moved to
   another tenant, service or name cannot be decrypted there.
3. Keys have versions. The first key of a ring encrypts, and all keys decrypt. So a key can be
   replaced while strings under the old key can still be read.
4. No error shows a key, and no stack frame of this package that raises an error contains a key.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from typing import TYPE_CHECKING, Final

from moorage.domain.secrets.frames import with_careful_constructor, without_arguments_in_errors
from moorage.domain.secrets.secret import Secret
from moorage.domain.state.packing import pack_values
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.text import is_encodable
from moorage.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

_WRITER: Final = b"mrg"
_FORMAT: Final = b"\x01"
_PREFIX: Final = _WRITER + _FORMAT
_VERSION_BYTES: Final = 4
_MARK_BYTES: Final = 4
HEADER_BYTES: Final = len(_PREFIX) + _VERSION_BYTES + _MARK_BYTES
_MIN_BYTES: Final = HEADER_BYTES + NONCE_BYTES + TAG_BYTES
_LAST_VERSION: Final = (1 << 8 * _VERSION_BYTES) - 1

_VERSION: Final = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_SHAPE: Final = "Write the ring as 'version:key,version:key', with 32 bytes in base64 for each key."
_MAKE_REMEDY: Final = "Create a key with `generate_keys()` from moorage.adapters.ciphers.aes_gcm."


def _key_pairs(keys: Iterable[tuple[int, Secret]]) -> tuple[tuple[int, Secret], ...]:
    return tuple(keys)


@with_careful_constructor
@frozen
class KeyRing:
    """Encryption keys by version: the first key encrypts, and all keys decrypt.

    Attributes:
        keys: pairs of a version, from 1 to 2^32 - 1, and a key of 32 bytes.
    """

    keys: tuple[tuple[int, Secret], ...] = field(converter=_key_pairs, hash=False)

    def __attrs_post_init__(self) -> None:
        """Check that the keys can encrypt, for example that they have the right length."""
        if not self.keys:
            raise _unusable_error("The ring has no key.", _MAKE_REMEDY)
        versions = [version for version, _ in self.keys]
        for version, key in self.keys:
            problem = _problem(version, key)
            if problem is not None:
                raise _unusable_error(problem, _MAKE_REMEDY)
            if versions.count(version) > 1:
                raise _unusable_error(
                    f"Two keys of the ring have the version {version}.",
                    "Use a different version for each key, with the highest version for the"
                    " newest key.",
                )

    @classmethod
    @without_arguments_in_errors
    def parse(cls, text: Secret | str) -> KeyRing:
        """Parse a key ring in the format of `text`, ignoring white space."""
        if isinstance(text, str) and not is_encodable(text):
            del text
            raise _unusable_error("The ring is not valid Unicode.", _SHAPE)
        text = text if isinstance(text, Secret) else Secret(text)
        keys, problem = _parse_key(text)
        if problem is None:
            return cls(keys)
        raise _unusable_error(problem, _SHAPE)

    @classmethod
    @without_arguments_in_errors
    def from_environment(
        cls, environment: Mapping[str, str], variable: str = "MOORAGE_KEYS"
    ) -> KeyRing:
        """Return the key ring in an environment variable; errors contain the variable's name."""
        text, problem = _variable(environment, variable)
        # The environment contains other secrets, so no frame may refer to it.
        del environment
        if problem is not None:
            raise _unusable_error(
                f"The environment variable {variable} {problem}.", f"{_SHAPE} {_MAKE_REMEDY}"
            )
        try:
            return cls.parse(text)
        except ConfigurationError as error:
            error.args = (f"The environment variable {variable}: {error.message}",)
            raise

    @property
    def seals_with(self) -> int:
        """The version of the key that encrypts new strings."""
        return self.keys[0][0]

    def text(self) -> Secret:
        """The key ring as one line of text, to be stored as a secret."""
        return Secret(",".join(f"{version}:{_base64(key)}" for version, key in self.keys))

    def with_new(self, key: Secret) -> KeyRing:
        """Return a ring with this key added under the next version.

        The new key encrypts, and the other keys decrypt.
        """
        highest = max(version for version, _ in self.keys)
        return KeyRing(((highest + 1, key), *self.keys))

    def without(self, version: int) -> KeyRing:
        """Return a ring without this key; strings that it encrypted can no longer be decrypted."""
        return KeyRing(pair for pair in self.keys if pair[0] != version)


def sealing_context(tenant: str | None, service: str, name: str) -> bytes:
    """Return unambiguous bytes for the context to which an encrypted string is bound."""
    return pack_values((tenant, service, name))


def header(version: int, key: Secret) -> bytes:
    """Return the first bytes of all strings that are encrypted with this key."""
    from hmac import digest  # noqa: PLC0415 - loads OpenSSL, which importing moorage must not

    key_mark = digest(key.reveal_bytes(), b"moorage: which key this is", "sha256")[:_MARK_BYTES]
    return _PREFIX + version.to_bytes(_VERSION_BYTES, "big") + key_mark


def sealed_with(sealed: bytes) -> int:
    """Return the version of the key that an encrypted string's header states, without verifying it.

    Raises:
        InvalidData: the string was not sealed by moorage, or was cut off.
    """
    if sealed[: len(_WRITER)] != _WRITER:
        raise unopenable_error(
            "The text was not sealed by moorage.", "Pass a string that a moorage cipher has sealed."
        )
    if sealed[len(_WRITER) : len(_PREFIX)] not in {_FORMAT, b""}:
        raise unopenable_error(
            "The text was sealed in a format that this release of moorage does not know.",
            "Upgrade moorage in this process too.",
        )
    if len(sealed) < _MIN_BYTES:
        raise unopenable_error(
            f"The sealed text was cut off: it has {len(sealed)} bytes, but every sealed text"
            f" has at least {_MIN_BYTES}.",
            "Check where it was stored, such as the length of a column. Then store it again.",
        )
    return int.from_bytes(sealed[len(_PREFIX) : len(_PREFIX) + _VERSION_BYTES], "big")


def no_key_error(sealed: bytes, versions: tuple[int, ...]) -> ConnectorError:
    """Return the error for an encrypted string whose key is not in the ring."""
    try:
        version = sealed_with(sealed)
    except InvalidData as refusal:
        return refusal
    version_list = ", ".join(map(str, versions))
    if version in versions:
        return ConfigurationError(
            f"The text was sealed with a key of version {version} that differs from the key of"
            " this version in the ring.",
            path="keys",
            remedy=f"Use the key of version {version} that the sealing process has, and use a"
            " new version for every new key.",
        )
    return ConfigurationError(
        f"The text was sealed with the key of version {version}, which is not in the ring"
        f" ({version_list}).",
        path="keys",
        remedy=f"Put the key of version {version} back into the ring, after the first key,"
        " until every text is sealed again.",
    )


def unopenable_error(what: str, remedy: str) -> InvalidData:
    """Return the error for an encrypted string that is damaged or belongs to another key."""
    return InvalidData(what, field="sealed", remedy=remedy)


def _unusable_error(what: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(what, path="keys", remedy=remedy)


def _problem(version: object, key: object) -> str | None:
    if isinstance(version, bool) or not isinstance(version, int):
        return "The version of a key must be an integer."
    if not 1 <= version <= _LAST_VERSION:
        return f"A key has the version {version}, which is not from 1 to {_LAST_VERSION}."
    if not isinstance(key, Secret):
        return f"The key of version {version} is not a Secret."
    size = len(key.reveal_bytes())
    if size != KEY_BYTES:
        return f"The key of version {version} has {size} bytes, and needs {KEY_BYTES}."
    return None


def _variable(environment: Mapping[str, str], name: str) -> tuple[Secret, str | None]:
    """Return an environment variable's value, or a description of its problem."""
    text = environment.get(name, "")
    if not is_encodable(text):
        return Secret(""), "is not valid Unicode"
    return Secret(
        text
    ), None if text.strip() else "is empty" if name in environment else "is not set"


def _parse_key(text: Secret) -> tuple[tuple[tuple[int, Secret], ...], str | None]:
    """Return the parsed encryption keys, or a description of the problem.

    Nothing is raised, so no traceback shows a key.
    """
    keys: list[tuple[int, Secret]] = []
    if not text.reveal().strip():
        return (), "The ring is empty."
    for place, entry in enumerate(text.reveal().split(","), 1):
        version, colon, encoded = map(str.strip, entry.partition(":"))
        if not colon or _VERSION.fullmatch(version) is None:
            return (), f"Key {place} of the ring does not begin with a version and a colon."
        try:
            key = Secret(a2b_base64(encoded, strict_mode=True))
        except ValueError:
            return (), f"The key of version {version} is not written in base64."
        keys.append((int(version), key))
    return tuple(keys), None


def _base64(key: Secret) -> str:
    return b2a_base64(key.reveal_bytes(), newline=False).decode()
