"""The verification codes sent by a sandbox."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

CodeResult: TypeAlias = Literal["approved", "wrong", "ended", "missing"]


@attrs.define
class _SentCode:
    to: str
    code: str
    attempts_left: int
    is_over: bool = False


class SentCodes:
    """Verifications with their codes, by verification id.

    Args:
        attempts: number of wrong codes that end a verification.

    Attributes:
        codes: the last code of each number, which its owner would read.
    """

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._sent: dict[str, _SentCode] = {}
        self.codes: dict[str, str] = {}

    def send(self, id_: str, to: str) -> None:
        """Send a code to an E.164 number."""
        code = f"{(427_103 + 7_919 * len(self._sent)) % 1_000_000:06d}"
        self._sent[id_] = _SentCode(to, code, self._attempts)
        self.codes[to] = code

    def check(self, id_: str, code: str) -> CodeResult:
        """Check a code; return "approved", "wrong", "ended" (no attempts left) or "missing"."""
        sent_code = self._sent.get(id_)
        if sent_code is None or sent_code.is_over:
            return "missing"
        if code == sent_code.code:
            sent_code.is_over = True
            return "approved"
        sent_code.attempts_left -= 1
        sent_code.is_over = sent_code.attempts_left <= 0
        return "ended" if sent_code.is_over else "wrong"

    def expire(self, to: str) -> None:
        """End a number's verifications, as if their time had passed."""
        for sent_code in self._sent.values():
            if sent_code.to == to:
                sent_code.is_over = True

    def is_over(self, id_: str) -> bool:
        """Return whether a verification accepts no more codes."""
        return self._sent[id_].is_over

    def number_of(self, id_: str) -> str:
        """Return the number to which a code was sent."""
        return self._sent[id_].to

    def attempts_left(self, id_: str) -> int:
        """Return the number of wrong codes that are still allowed."""
        return self._sent[id_].attempts_left

    def latest_id(self, to: str) -> str | None:
        """Return the id of a number's last verification."""
        ids = [id_ for id_, sent_code in self._sent.items() if sent_code.to == to]
        return ids[-1] if ids else None
