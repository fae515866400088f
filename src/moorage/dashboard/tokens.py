"""Tokens that bind a form or a notice to one person."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from moorage.dashboard.people import Person
    from moorage.domain.secrets.secret import Secret

FORM_LIFE: Final = 12 * 3_600
"""Seconds for which a form may be sent."""

_LONGEST_NOTICE: Final = 2_500
"""Bytes of a notice's text; browsers drop a cookie of more than 4,096 bytes."""
_DIGITS: Final = 12


class Notice(NamedTuple):
    """The message about the success or failure of an action."""

    good: bool
    text: str


class Tokens:
    """Makes and checks tokens with a secret.

    Args:
        secret: the secret, which all processes that serve the page must share.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def form(self, person: Person, now: int) -> str:
        """Return a token for a person's forms; `now` is in seconds since the Unix epoch."""
        return f"{now}.{self._proof('form', person, str(now))}"

    def accepts_form(self, person: Person, token: str, now: int) -> bool:
        """Return whether a token was made for this person, and has not expired."""
        made_at, _, proof = token.partition(".")
        if not (made_at.isascii() and made_at.isdigit() and len(made_at) <= _DIGITS):
            return False
        is_fresh = 0 <= now - int(made_at) <= FORM_LIFE
        return is_fresh and self._is_proof(proof, self._proof("form", person, made_at))

    def notice(self, person: Person, notice: Notice) -> str:
        """Encode a notice as the value of a cookie."""
        text = notice.text.encode("utf-8", "replace")[:_LONGEST_NOTICE]
        packed_words = urlsafe_b64encode(bytes([notice.good]) + text).decode().rstrip("=")
        return f"{packed_words}.{self._proof('notice', person, packed_words)}"

    def read_notice(self, person: Person, cookie: str) -> Notice | None:
        """Return the notice in a cookie; None if the cookie was not made for this person."""
        packed_words, _, proof = cookie.partition(".")
        if not self._is_proof(proof, self._proof("notice", person, packed_words)):
            return None
        words = urlsafe_b64decode(packed_words + "=" * (-len(packed_words) % 4))
        # The longest notice may end within a letter.
        return Notice(bool(words[0]), words[1:].decode("utf-8", "ignore"))

    def _proof(self, purpose: str, person: Person, text: str) -> str:
        signed_content = json.dumps([purpose, person.name, person.session, text]).encode()
        return hmac.new(self._secret.reveal().encode(), signed_content, sha256).hexdigest()

    @staticmethod
    def _is_proof(proof: str, expected: str) -> bool:
        return hmac.compare_digest(proof.encode("utf-8", "surrogatepass"), expected.encode())
