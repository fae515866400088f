"""A fictional SMS vendor and its server, written as if they were another package's."""

# ruff: noqa: D102 - the contract says what its verbs are

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage.contracts.sms import SmsCapability, SmsMessage, SmsReceipt, SmsStatus
from moorage.contracts.vendor import RepeatedKey, Vendor, VendorKeys, extra_for
from moorage.domain.http.requests import Request
from moorage.domain.service.settings import Service
from moorage.testing.sandboxes.base import Sandbox, SandboxRequest, reply
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.contracts.ref import Ref
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Response
    from moorage.domain.webhooks.events import WebhookEvent
_KEYS: Final = VendorKeys(
    memory=86_400,
    repeat=RepeatedKey.REPLAYED,
    documentation=["https://pigeon.example/keys"],
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class TextMessageVendor(Vendor):
    """A fictional vendor of text messages; it honours idempotency keys if `keys` is True."""

    name: ClassVar[str] = "pigeon"
    kinds: ClassVar[tuple[str, ...]] = ("sms",)
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {SmsCapability.LOOK_UP, SmsCapability.SCHEDULED}
    )
    webhook: ClassVar[str | None] = "standard-webhooks"
    idempotency: ClassVar[VendorKeys | None] = _KEYS

    loft: str = "pigeon.example"
    keys: bool = True

    def services(self) -> Mapping[str, Service]:
        keys = _KEYS.settings if self.keys else {}
        url = f"https://{self.loft}"
        return {
            "": Service("pigeon", url, retry=None, **keys),
            "pen": Service("pen", url, retry=None),
        }

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        form = {"to": message.to, "text": message.text, **extra_for("pigeon", message.extra)}
        request = Request.post("/letters", form=form)
        return await wire.send(request, key=key, parse=partial(self._read, wire))

    async def get(self, wire: Wire, ref: Ref, /) -> SmsReceipt:
        return self._read(wire, await wire.send(Request.get(f"/letters/{ref.id}")))

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[Any, ...]:
        return (ref(event.data["id"]),)

    def _read(self, wire: Wire, response: Response) -> SmsReceipt:
        body = response.json()
        return SmsReceipt(ref=wire.ref(body["id"]), status=SmsStatus.SENT, raw=body)


class PigeonServer(Sandbox):
    """The server of the fictional SMS vendor, which records the messages."""

    def __init__(self, host: str = "pigeon.example") -> None:
        super().__init__()
        self.hosts = (host,)
        self.letters: dict[str, dict[str, str]] = {}
        self.ids_by_key: dict[str, str] = {}

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        return {"POST /letters": self._take, "GET /letters/{id}": self._answer_look_up}

    def _take(self, request: SandboxRequest) -> Response:
        key = request.headers.get("idempotency-key") or f"none {self.number()}"
        if key not in self.ids_by_key:
            self.ids_by_key[key] = f"L{self.number()}"
            self.letters[self.ids_by_key[key]] = dict(request.form)
        return reply({"id": self.ids_by_key[key]}, 201)

    def _answer_look_up(self, _: SandboxRequest, id: str) -> Response:
        return reply({"id": id}) if id in self.letters else reply({}, 404)


def fixture(_: Path) -> SandboxFixture:
    """Return a new server for the fictional vendor, and the options of an account there."""
    return SandboxFixture(sandbox=PigeonServer(), options={})
