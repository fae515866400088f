"""A vendor that is not well: a real HTTP server on this machine, told when to misbehave."""

import threading
import time

from mooring.testing import Behaviour, Received, VendorServer

HANG_UP = Behaviour(raw=b"", then="close")


class FlakyVendor:
    """Sells things, badly. It counts for itself what reached it and what it did.

    Attributes:
        server: the HTTP server, which keeps every request that arrived.
        down: hangs up on everybody, without an answer.
        slow: seconds before an answer.
        arrivals: when requests for the stock arrived.
        effects: every charge and payout it made, in order.
    """

    def __init__(self) -> None:
        self.server = VendorServer()
        self.down = False
        self.slow = 0.0
        self.arrivals: list[float] = []
        self.effects: list[str] = []
        self._lock = threading.Lock()
        self._known: dict[str, Behaviour] = {}
        self._lose_next_answer = False
        self.server.always(self._answer)

    @property
    def requests(self) -> int:
        """How many requests have reached it."""
        return len(self.server.requests)

    def lose_next_answer(self) -> None:
        """Do what is asked next time, and hang up before saying so."""
        self._lose_next_answer = True

    def _answer(self, request: Received) -> Behaviour:
        with self._lock:
            if request.path == "/stock":
                self.arrivals.append(time.monotonic())
            if self.down:
                return HANG_UP
            if request.method == "POST":
                return self._act(request)
            if request.path.startswith("/payouts/"):
                reference = request.path.removeprefix("/payouts/")
                made = f"payout {reference}" in self.effects
                return self._say({"reference": reference, "state": "paid" if made else "unknown"})
            return self._say({"path": request.path})

    def _act(self, request: Received) -> Behaviour:
        key = request.headers.get("idempotency-key")
        if key is not None and key in self._known:
            return self._known[key]
        reference = request.query[0][1]
        self.effects.append(f"{request.path.strip('/')} {reference}")
        answer = self._say({"number": len(self.effects), "reference": reference})
        if key is not None:
            self._known[key] = answer
        if self._lose_next_answer:
            self._lose_next_answer = False
            return HANG_UP
        return answer

    def _say(self, value: object) -> Behaviour:
        body = Behaviour.of_json(value)
        return Behaviour(body.status, body.headers, body.body, delay=self.slow)
