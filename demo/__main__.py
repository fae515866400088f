"""A story: a flaky vendor on this machine, called through the whole pipeline.

The vendor is a real HTTP server, and everything goes over the network of this machine. At the end
a table sets what mooring counted beside what the vendor itself counted. They must agree.
"""

import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from demo.telling import Narrator, Scene, say
from demo.vendor import FlakyVendor
from mooring import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConnectorError,
    ConnectorManager,
    IdempotencyConflict,
    Jitter,
    OutcomeUnknown,
    RateLimitConfig,
    Request,
    Response,
    RetryPolicy,
    Service,
)

T = TypeVar("T")

PAUSE = 1
OPEN_FOR = 1.0


def services(url: str) -> list[Service]:
    """The vendor's two APIs: one that knows idempotency keys, and one that does not."""
    policy = RetryPolicy(max_attempts=3, base_delay=0.1, jitter=Jitter.NONE)
    circuit = CircuitBreakerConfig(failures=None, consecutive_failures=4, open_for=OPEN_FOR)
    limits = RateLimitConfig.per_second(50, burst=20)
    shop = Service(
        "shop",
        base_url=url,
        timeout=10.0,
        retry=policy,
        circuit=circuit,
        limits=limits,
        idempotency_header="Idempotency-Key",
    )
    return [shop, Service("bank", base_url=url, timeout=10.0, retry=policy, circuit=circuit)]


class Story:
    """The scenes, in order."""

    def __init__(self, vendor: FlakyVendor, others: ThreadPoolExecutor) -> None:
        self.vendor = vendor
        self.others = others
        self.narrator = Narrator(vendor)
        self.manager = ConnectorManager(services(vendor.server.url), observers=[self.narrator])

    def tell(self) -> None:
        """All of it."""
        self.calm()
        self.hiccup()
        self.too_fast()
        self.outage()
        self.recovery()
        self.double_click()
        self.lost_answer()
        self.lost_for_good()

    def calm(self) -> None:
        """Nothing happens to be wrong."""
        with self.narrator.scene("A calm day", "Three reads, three answers."):
            for _ in range(3):
                self.get("/rates")

    def hiccup(self) -> None:
        """Two 503s are retried away."""
        with self.narrator.scene("A hiccup", "The vendor answers 503 twice, then recovers."):
            self.vendor.server.respond(503)
            self.vendor.server.respond(503)
            self.get("/rates")

    def too_fast(self) -> None:
        """A 429 makes every caller wait, not only the one that got it."""
        about = f"One caller gets 429 with Retry-After: {PAUSE}. Three more come just after it."
        with self.narrator.scene("Too fast", about):
            self.vendor.server.respond(429, {"Retry-After": str(PAUSE)}, path="/stock")
            refused = time.monotonic()
            first = self.start(lambda: self.get("/stock"))
            self.narrator.paused.wait(5)
            self.narrator.quiet = True
            others = [self.start(lambda: self.get("/stock")) for _ in range(3)]
            for caller in (first, *others):
                caller.result()
            self.narrator.quiet = False
            silence = min(self.vendor.arrivals) - refused
            say(f"the vendor heard nothing for {silence:.1f} s, then all four came", depth=2)
            if silence < PAUSE:
                raise AssertionError("somebody came early")

    def outage(self) -> None:
        """Four failures in a row open the circuit; after that nobody waits for nothing."""
        about = "The vendor hangs up on everybody. Four failures in a row open the circuit."
        with self.narrator.scene("An outage", about):
            self.vendor.down = True
            for _ in range(2):
                self.refused("/orders", ConnectorError)
            self.narrator.quiet = True
            began = time.perf_counter()
            for _ in range(100):
                self.refused("/orders", CircuitBreakerOpen)
            took = (time.perf_counter() - began) / 100
            self.narrator.quiet = False
            if took > 0.05:
                raise AssertionError("a refusal took long")
            say("100 more calls are refused at once: nobody waits, nothing is sent", depth=2)

    def recovery(self) -> None:
        """One probe goes first; the others are still held back until it has come home."""
        about = f"After {OPEN_FOR:.0f} s one call may try. The vendor is back, if slow."
        with self.narrator.scene("The way back", about):
            self.vendor.down, self.vendor.slow = False, 0.2
            away = self.manager.circuit_state("shop").retry_after or 0.0
            time.sleep(away + 0.01)  # the story is told over a real clock
            before = self.vendor.requests
            probe = self.start(lambda: self.get("/orders"))
            self.vendor.server.wait_for_requests(before + 1)
            say("while the probe is under way, two others ask too", depth=2)
            for _ in range(2):
                self.refused("/orders", CircuitBreakerOpen)
            probe.result()
            self.vendor.slow = 0.0
            self.get("/orders")

    def double_click(self) -> None:
        """One key, one charge, whoever asks and however often."""
        about = "The buyer clicks twice, and the page is sent once more the day after."
        with self.narrator.scene("A double click", about):
            self.vendor.slow = 0.3
            clicks = [self.start(lambda: self.charge("INV-1", "INV-1/1")) for _ in range(2)]
            answers = [click.result() for click in clicks]
            self.vendor.slow = 0.0
            answers.append(self.charge("INV-1", "INV-1/1"))
            numbers = {answer.json()["number"] for answer in answers}
            replayed = sum(answer.replayed for answer in answers)
            say(f"charges made: {len(numbers)}; stored answers handed out: {replayed}", depth=2)
            try:
                self.charge("INV-9", "INV-1/1")
            except IdempotencyConflict:
                say("the same key with another invoice is refused as a conflict", depth=2)

    def lost_answer(self) -> None:
        """The vendor knows keys, so the same request is asked again under the same key."""
        about = (
            "The vendor charges, and its answer is lost. It knows keys: ask again with the same."
        )
        with self.narrator.scene("A lost answer", about):
            self.vendor.lose_next_answer()
            answer = self.charge("INV-2", "INV-2/1")
            say(f"one charge, number {answer.json()['number']}", depth=2)

    def lost_for_good(self) -> None:
        """A vendor without keys is never asked twice: somebody must look."""
        about = "The bank knows no keys. It pays, and its answer is lost: nobody may guess."
        with self.narrator.scene("Lost for good", about):
            self.vendor.lose_next_answer()
            for _ in range(2):
                try:
                    self.pay_out("INV-3", "INV-3/1")
                except OutcomeUnknown as error:
                    say(f"OutcomeUnknown: look up {error.lookup}", depth=2)
            found = self.get("/payouts/INV-3")
            say(f"the bank says: {found.json()['state']}", depth=2)
            self.manager.resolve_key("bank", "INV-3/1", done=True, answer=found)
            self.pay_out("INV-3", "INV-3/1")

    def get(self, path: str) -> Response:
        """Read something from the shop."""
        return self.manager.call("shop", Request.get(path))

    def refused(self, path: str, kind: type[ConnectorError]) -> None:
        """Read something, which must fail."""
        try:
            self.get(path)
        except kind:
            return
        raise AssertionError("a call was answered that could not be")

    def charge(self, reference: str, key: str) -> Response:
        """Charge an invoice at the shop."""
        request = Request.post("/charge", query={"reference": reference})
        return self.manager.call("shop", request, idempotency_key=key)

    def pay_out(self, reference: str, key: str) -> Response:
        """Pay an invoice out at the bank."""
        request = Request.post("/payout", query={"reference": reference})
        return self.manager.call("bank", request, idempotency_key=key)

    def start(self, call: Callable[[], T]) -> Future[T]:
        """Somebody else calls at the same time."""
        return self.others.submit(call)


def verdict(scenes: Iterable[Scene], effects: Iterable[str]) -> list[str]:
    """What is wrong with the figures."""
    wrong = [
        f"{scene.title}: {scene.attempts} attempts, but {scene.reached} requests arrived."
        for scene in scenes
        if not scene.agrees
    ]
    done = list(effects)
    wrong += [
        f"{effect} was done {done.count(effect)} times."
        for effect in dict.fromkeys(done)
        if done.count(effect) > 1
    ]
    return wrong


def main() -> int:
    """Tell the story; 0 if the figures agree."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal, or a file
    began = time.monotonic()
    vendor = FlakyVendor()
    with vendor.server, ThreadPoolExecutor() as others:
        story = Story(vendor, others)
        with story.manager:
            story.tell()
    scenes = story.narrator.scenes
    print(f"\n{story.narrator.table()}\n")
    wrong = verdict(scenes, vendor.effects)
    print("\n".join(wrong) or "Attempts and arrivals agree, and nothing was done twice.")
    print(f"Told in {time.monotonic() - began:.0f} s, over real connections.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
