"""Accounts that get their tokens by OAuth, from what their vendors say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialNotFound,
    CredentialRefreshFailed,
    Credentials,
    Offer,
    Request,
    Response,
    Service,
    TokenRenewed,
)
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.routes import Account, Route
from moorage.contracts.sms import SmsMessage, SmsReceipt, SmsStatus
from moorage.contracts.vendor import Vendor
from moorage.domain.oauth.client import ClientAuthentication, OAuthClient
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing import AsyncVirtualSleeper, VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import (
    AsyncSandboxHttpClient,
    Refusal,
    Sandbox,
    SandboxHttpClient,
    SandboxRequest,
    reply,
)
from moorage.testing.sandboxes.tokens import TokenEndpoint
from tests.contracts.caller import MODES, given

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.wire import Wire

pytestmark = pytest.mark.anyio
MESSAGE = SmsMessage(to="+4915112345678", text="Hello")


@pytest.fixture
def anyio_backend() -> str:
    """The loop of the standard library."""
    return "asyncio"


@attrs.frozen(kw_only=True)
class Herald(Vendor):
    """A vendor that sends messages with an OAuth token."""

    name: ClassVar[str] = "herald"
    kinds: ClassVar[tuple[str, ...]] = ("sms",)

    secret: str = attrs.field(default="hush", repr=False)
    posted: bool = False
    scope: str = ""
    base_url: str = "https://herald.example"

    def services(self) -> Mapping[str, Service]:
        """Where criers start, and where they are watched."""
        return {
            "": Service("herald", self.base_url, needs_credentials=True, retry=None),
            "tower": Service("tower", self.base_url, needs_credentials=True, retry=None),
        }

    def clients(self) -> Mapping[str, OAuthClient]:
        """Where criers get their badges."""
        client = OAuthClient(
            server=f"{self.base_url}/oauth/token",
            client_id="erp",
            secret=self.secret,
            authentication=ClientAuthentication.POST if self.posted else ClientAuthentication.BASIC,
            scope=self.scope,
        )
        return {"": client}

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Send one."""
        cry = Request.post("/cries", json={"text": message.text})
        await wire.send(cry, key=key, parse=Response.json)
        return SmsReceipt(ref=wire.ref("c1"), status=SmsStatus.SENT)

    async def get(self, wire: Wire, ref: Any, /) -> SmsReceipt:
        """Ask the tower."""
        await wire.send(Request.get("/cries"), to="tower")
        return SmsReceipt(ref=ref, status=SmsStatus.SENT)

    capabilities: ClassVar[frozenset[str]] = frozenset({"look_up"})


class Hall(Sandbox):
    """Where the heralds are."""

    hosts = ("herald.example",)

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.token_endpoint = TokenEndpoint("/oauth/token", "erp", "hush", **options)
        self.beside = {self.token_endpoint.path: self.token_endpoint}

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """Crying."""
        return {"POST /cries": self._cry, "GET /cries": self._watch}

    def _cry(self, request: SandboxRequest) -> Response:
        if not self.token_endpoint.allows(request):
            raise Refusal(reply({}, 401))
        return reply({})

    def _watch(self, request: SandboxRequest) -> Response:
        return reply({}, 200 if request.bearer() == "tower-token" else 401)


def hub(kind: type[Any], hall: Hall, vendor: Herald | None = None, **ports: Any) -> Any:
    """A hub of either mode with one account at the heralds."""
    client = SandboxHttpClient if kind is Hub else AsyncSandboxHttpClient
    account = Account("main", vendor or Herald())
    return kind([account], [Route("sms", "main")], http=client(hall), **ports)


def provider(kind: type[Any], *existing: Any) -> Any:
    """A credential provider of the hub's mode."""
    return (MemoryCredentialProvider if kind is Hub else AsyncMemoryCredentialProvider)(*existing)


@MODES
async def test_one_token_serves_all_tenants(hub_class: type[Any]) -> None:
    """One token is requested once for all tenants."""
    hall = Hall()
    here = hub(hub_class, hall)
    for tenant in (None, "acme", "other"):
        await given(here.sms(tenant=tenant).send(MESSAGE))

    assert 1 == hall.token_endpoint.granted == len(hall.token_endpoint.asked)
    assert ["/cries"] * 3 == [request.path for request in hall.asked]
    assert "hush" not in repr(here.account("main"))
    await given(here.close())


@MODES
async def test_a_token_that_is_refused_is_renewed(hub_class: type[Any]) -> None:
    """After a 401 one other token is asked for, and the call goes on."""
    hall = Hall()
    here = hub(hub_class, hall)
    await given(here.sms().send(MESSAGE))
    hall.token_endpoint.forget()
    await given(here.sms().send(MESSAGE))

    assert 2 == hall.token_endpoint.granted
    assert 3 == len(hall.asked)


@MODES
async def test_tokens_outlive_a_hub(hub_class: type[Any]) -> None:
    """Hubs whose tokens are kept in one place ask for one token among them."""
    hall, stored = Hall(), provider(hub_class)
    for _ in range(2):
        await given(hub(hub_class, hall, tokens=stored).sms().send(MESSAGE))

    assert 1 == hall.token_endpoint.granted


@MODES
async def test_other_services_use_the_hosts_credentials(hub_class: type[Any]) -> None:
    """A service without an OAuth client uses the host's credential provider."""
    hall = Hall()
    tower = Credentials.bearer("tower-token")
    stale = Credentials.bearer("old")
    others = provider(hub_class, {("main.tower", "acme"): tower, ("main.tower", "late"): stale})
    here = hub(hub_class, hall, credentials=others)
    ref = (await given(here.sms().send(MESSAGE))).ref

    await given(here.sms(tenant="acme").get(ref))
    with pytest.raises(CredentialRefreshFailed):
        await given(here.sms(tenant="late").get(ref))
    with pytest.raises(CredentialNotFound, match="no credential provider was given"):
        await given(hub(hub_class, hall).sms().get(ref))


@MODES
async def test_a_client_may_stand_in_the_form(hub_class: type[Any]) -> None:
    """A vendor may want the client in the form, and a scope."""
    hall = Hall(posted=True, scope="cries")
    vendor = Herald(posted=True, scope="cries")
    await given(hub(hub_class, hall, vendor).sms().send(MESSAGE))

    assert 1 == hall.token_endpoint.granted


@MODES
async def test_a_wrong_secret_is_not_shown(hub_class: type[Any]) -> None:
    """A refused client gets no token, and its secret is not shown."""
    hall = Hall()
    here = hub(hub_class, hall, Herald(secret="wrong-secret"))
    with pytest.raises(CredentialRefreshFailed, match="invalid_client") as caught:
        await given(here.sms().send(MESSAGE))

    assert "wrong-secret" not in f"{caught.value}{caught.value!r}"
    assert [] == hall.asked


@MODES
async def test_a_vendor_that_refuses_every_token(hub_class: type[Any]) -> None:
    """A refusal with a new token is an authentication failure."""
    hall = Hall()
    hall.fail(reply({}, 401), reply({}, 401))
    with pytest.raises(AuthenticationFailed):
        await given(hub(hub_class, hall).sms().send(MESSAGE))

    assert 2 == hall.token_endpoint.granted


@MODES
@pytest.mark.parametrize("key", [None, "k-1"], ids=["without a key", "with a key"])
async def test_another_account_takes_over(hub_class: type[Any], key: str | None) -> None:
    """Where no token is to be had just now, nothing was done, and the next account is tried."""
    hall = Hall()
    hall.token_endpoint.fail(*[reply({}, 503)] * 3)
    accounts = [Account("main", Herald()), Account("other", Herald())]
    clock = VirtualClock()
    plain = hub_class is Hub
    here = hub_class(
        accounts,
        [Route("sms", ["main", "other"])],
        http=(SandboxHttpClient if plain else AsyncSandboxHttpClient)(hall),
        clock=clock,
        sleeper=VirtualSleeper(clock) if plain else AsyncVirtualSleeper(clock, autojump=True),
    )
    receipt = await given(here.sms().send(MESSAGE, idempotency_key=key))

    assert "other" == receipt.ref.account
    hall.token_endpoint.forget()
    hall.token_endpoint.fail(reply({"error": "invalid_client"}, 401))
    with pytest.raises(CredentialRefreshFailed, match="invalid_client"):
        await given(here.sms().send(MESSAGE, idempotency_key="k-2"))


@pytest.mark.parametrize(
    "form, error",
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "scope": "all"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "more": "1"}, "invalid_request"),
    ],
)
def test_token_endpoint_is_strict(form: dict[str, str], error: str) -> None:
    """An invalid token request is refused with OAuth's error."""
    hall = Hall()
    request = Request.post("/", form=form, headers={"Authorization": "Basic ZXJwOmh1c2g="})
    url = "https://herald.example/oauth/token"
    answer = SandboxHttpClient(hall).send(request, url, Service("x").timeouts)

    assert (400, {"error": error}) == (answer.status, answer.json())


def test_over_a_socket() -> None:
    """A hub that was given no HTTP client gets its token over one that it closes itself."""
    hall = Hall()
    with hall.serving() as server:
        account = Account("main", Herald(base_url=server.url))
        with Hub([account], state=MemoryStorage()) as here:
            here.sms().send(MESSAGE)

    assert 1 == hall.token_endpoint.granted


async def test_over_a_socket_awaited() -> None:
    """The same, awaited."""
    hall = Hall()
    with hall.serving() as server:
        account = Account("main", Herald(base_url=server.url))
        async with AsyncHub([account]) as here:
            await here.sms().send(MESSAGE)

    assert 1 == hall.token_endpoint.granted


@MODES
async def test_another_client_gets_another_token(hub_class: type[Any]) -> None:
    """When a configuration names another client, its tokens are its own, also where they are kept.

    A configuration that is refused takes nothing from the clients in use.
    """
    hall, stored = Hall(), provider(hub_class)
    reports: list[Any] = []
    here = hub(hub_class, hall, tokens=stored, observers=[reports.append])
    await given(here.sms().send(MESSAGE))
    other = Account("main", Herald(scope="cries", secret="other"))
    wrong = Offer(accounts=[other], routes=[Route("sms", "nobody")])
    with pytest.raises(ConfigurationError):
        await given(here.reload(wrong))
    hall.token_endpoint.forget()
    await given(here.sms().send(MESSAGE))
    before = hall.token_endpoint.granted

    await given(here.reload(Offer(accounts=[other], routes=[Route("sms", "main")])))

    with pytest.raises(CredentialRefreshFailed):
        await given(here.sms().send(MESSAGE))
    assert 2 == before == hall.token_endpoint.granted
    renewed = [report for report in reports if isinstance(report, TokenRenewed)]
    assert [("main", None)] * 2 == [(item.service, item.tenant) for item in renewed]
