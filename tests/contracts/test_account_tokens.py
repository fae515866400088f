"""Accounts fetch their own OAuth tokens through the OAuth clients that the vendor declares."""

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
    HubConfiguration,
    Request,
    Response,
    Service,
    TokenRenewed,
)
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.adapters.tenants.memory import AsyncMemoryTenants, MemoryTenants
from moorage.config.tenants import read_tenant
from moorage.contracts.routes import Account, Route
from moorage.contracts.sms import SmsMessage, SmsReceipt, SmsStatus
from moorage.contracts.vendor import Vendor
from moorage.domain.oauth.client import ClientAuthentication, OAuthClient
from moorage.domain.state.keys import class_of
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
from tests.contracts.caller import MODES, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.wire import Wire

pytestmark = pytest.mark.anyio
MESSAGE = SmsMessage(to="+4915112345678", text="Hello")


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests in an asyncio event loop."""
    return "asyncio"


@attrs.frozen(kw_only=True)
class TokenVendor(Vendor):
    """A fictional vendor that sends messages with an OAuth token."""

    name: ClassVar[str] = "herald"
    kinds: ClassVar[tuple[str, ...]] = ("sms",)

    secret: str = attrs.field(default="hush", repr=False)
    posted: bool = False
    scope: str = ""
    base_url: str = "https://herald.example"

    def services(self) -> Mapping[str, Service]:
        """Return the vendor's services for sending messages and for looking them up."""
        return {
            "": Service("herald", self.base_url, needs_credentials=True, retry=None),
            "tower": Service("tower", self.base_url, needs_credentials=True, retry=None),
        }

    def clients(self) -> Mapping[str, OAuthClient]:
        """Return the OAuth clients that the vendor declares."""
        client = OAuthClient(
            server=f"{self.base_url}/oauth/token",
            client_id="erp",
            secret=self.secret,
            authentication=ClientAuthentication.POST if self.posted else ClientAuthentication.BASIC,
            scope=self.scope,
        )
        return {"": client}

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Send a message."""
        request = Request.post("/cries", json={"text": message.text})
        await wire.send(request, key=key, parse=Response.json)
        return SmsReceipt(ref=wire.ref("c1"), status=SmsStatus.SENT)

    async def get(self, wire: Wire, ref: Any, /) -> SmsReceipt:
        """Look up a message."""
        await wire.send(Request.get("/cries"), to="tower")
        return SmsReceipt(ref=ref, status=SmsStatus.SENT)

    capabilities: ClassVar[frozenset[str]] = frozenset({"look_up"})


class HeraldServer(Sandbox):
    """The fictional vendor's server, which checks OAuth tokens."""

    hosts = ("herald.example",)

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.token_endpoint = TokenEndpoint("/oauth/token", "erp", "hush", **options)
        self.mounts = {self.token_endpoint.path: self.token_endpoint}

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """Return the server's routes for sending and looking up messages."""
        return {"POST /cries": self._answer_message, "GET /cries": self._answer_look_up}

    def _answer_message(self, request: SandboxRequest) -> Response:
        if not self.token_endpoint.allows(request):
            raise Refusal(reply({}, 401))
        return reply({})

    def _answer_look_up(self, request: SandboxRequest) -> Response:
        return reply({}, 200 if request.bearer() == "tower-token" else 401)


def hub(
    kind: type[Any], server: HeraldServer, vendor: TokenVendor | None = None, **ports: Any
) -> Any:
    """Return a sync or async hub with one account at the fictional vendor."""
    client = SandboxHttpClient if kind is Hub else AsyncSandboxHttpClient
    account = Account("main", vendor or TokenVendor())
    return kind([account], [Route("sms", "main")], http=client(server), **ports)


def provider(kind: type[Any], *existing: Any) -> Any:
    """Return a credential provider of the same mode as the hub."""
    return (MemoryCredentialProvider if kind is Hub else AsyncMemoryCredentialProvider)(*existing)


@MODES
async def test_all_tenants_of_account_share_one_oauth_token(hub_class: type[Any]) -> None:
    """All tenants of an account share one OAuth token, requested only once."""
    server = HeraldServer()
    sms_hub = hub(hub_class, server)
    for tenant in (None, "acme", "other"):
        await result_of(sms_hub.sms(tenant=tenant).send(MESSAGE))

    assert 1 == server.token_endpoint.grants == len(server.token_endpoint.requests)
    assert ["/cries"] * 3 == [request.path for request in server.requests]
    assert "hush" not in repr(sms_hub.account("main"))
    await result_of(sms_hub.close())


@MODES
async def test_refused_token_is_renewed(hub_class: type[Any]) -> None:
    """After a 401, another OAuth token is requested and the operation continues."""
    server = HeraldServer()
    sms_hub = hub(hub_class, server)
    await result_of(sms_hub.sms().send(MESSAGE))
    server.token_endpoint.forget()
    await result_of(sms_hub.sms().send(MESSAGE))

    assert 2 == server.token_endpoint.grants
    assert 3 == len(server.requests)


@MODES
async def test_hubs_share_stored_tokens(hub_class: type[Any]) -> None:
    """Hubs that share a token store request one token together."""
    server, stored_tokens = HeraldServer(), provider(hub_class)
    for _ in range(2):
        await result_of(hub(hub_class, server, tokens=stored_tokens).sms().send(MESSAGE))

    assert 1 == server.token_endpoint.grants


@MODES
@pytest.mark.parametrize("kind", ["state", "claims"])
async def test_processes_agree_on_a_renewal_in_the_store_of_keys(
    hub_class: type[Any], kind: str
) -> None:
    """A token's renewal is claimed in the state store, or in the claim store if there is one."""
    keys = set[str]()

    class RecordingStorage(MemoryStorage):
        def execute(self, command: Any, /, timeout: float | None = None) -> Any:
            keys.update(command.keys)
            return super().execute(command, timeout)

    storage = RecordingStorage()
    ports: dict[str, Any] = {kind: storage if hub_class is Hub else AsyncMemoryStorage(storage)}
    await result_of(hub(hub_class, HeraldServer(), **ports).sms().send(MESSAGE))

    assert "oauth" in map(class_of, keys)


@MODES
async def test_token_is_renewed_after_tenants_are_gone(hub_class: type[Any]) -> None:
    """The token of a shared account is renewed even if tenants that used it were removed."""
    clock, server = VirtualClock(), HeraldServer()
    names = [f"shop{number}" for number in range(70)]
    tenants: Any = (MemoryTenants if hub_class is Hub else AsyncMemoryTenants)(
        {name: {} for name in names}
    )
    sms_hub = hub(hub_class, server, clock=clock)
    sms_hub.look_up_tenants(tenants, read_tenant, every=1)
    for name in (None, *names):
        await result_of(sms_hub.sms(name).send(MESSAGE))
    for name in names:
        await result_of(tenants.remove(name))
    clock.advance(10)
    for name in names:
        with pytest.raises(ConfigurationError, match="not configured"):
            await result_of(sms_hub.sms(name).send(MESSAGE))

    server.token_endpoint.forget()
    await result_of(sms_hub.sms().send(MESSAGE))
    await result_of(tenants.put("late", {}))
    await result_of(sms_hub.sms("late").send(MESSAGE))

    assert 2 == server.token_endpoint.grants


@MODES
async def test_other_services_use_the_hosts_credentials(hub_class: type[Any]) -> None:
    """A service without an OAuth client uses the host's credential provider."""
    server = HeraldServer()
    tower = Credentials.bearer("tower-token")
    stale_credentials = Credentials.bearer("old")
    host_credentials = provider(
        hub_class, {("main.tower", "acme"): tower, ("main.tower", "late"): stale_credentials}
    )
    sms_hub = hub(hub_class, server, credentials=host_credentials)
    ref = (await result_of(sms_hub.sms().send(MESSAGE))).ref

    await result_of(sms_hub.sms(tenant="acme").get(ref))
    with pytest.raises(CredentialRefreshFailed):
        await result_of(sms_hub.sms(tenant="late").get(ref))
    with pytest.raises(CredentialNotFound, match="there is no credential provider"):
        await result_of(hub(hub_class, server).sms().get(ref))


@MODES
async def test_client_credentials_in_the_form(hub_class: type[Any]) -> None:
    """An account can send its client credentials in the request's form, and ask for a scope."""
    server = HeraldServer(posted=True, scope="cries")
    vendor = TokenVendor(posted=True, scope="cries")
    await result_of(hub(hub_class, server, vendor).sms().send(MESSAGE))

    assert 1 == server.token_endpoint.grants


@MODES
async def test_refused_client_secret_is_not_shown(hub_class: type[Any]) -> None:
    """If the authorisation server refuses the client, the error does not show its secret."""
    server = HeraldServer()
    sms_hub = hub(hub_class, server, TokenVendor(secret="wrong-secret"))
    with pytest.raises(CredentialRefreshFailed, match="invalid_client") as excinfo:
        await result_of(sms_hub.sms().send(MESSAGE))

    assert "wrong-secret" not in f"{excinfo.value}{excinfo.value!r}"
    assert [] == server.requests


@MODES
async def test_vendor_that_refuses_a_new_token_raises_authentication_failed(
    hub_class: type[Any],
) -> None:
    """If the vendor refuses even a new token, AuthenticationFailed is raised."""
    server = HeraldServer()
    server.fail(reply({}, 401), reply({}, 401))
    with pytest.raises(AuthenticationFailed):
        await result_of(hub(hub_class, server).sms().send(MESSAGE))

    assert 2 == server.token_endpoint.grants


@MODES
@pytest.mark.parametrize("key", [None, "k-1"], ids=["without a key", "with a key"])
async def test_missing_token_moves_to_the_next_account(
    hub_class: type[Any], key: str | None
) -> None:
    """If no token can be fetched now, nothing was done, and the next account is tried."""
    server = HeraldServer()
    server.token_endpoint.fail(*[reply({}, 503)] * 3)
    accounts = [Account("main", TokenVendor()), Account("other", TokenVendor())]
    clock = VirtualClock()
    is_plain = hub_class is Hub
    sms_hub = hub_class(
        accounts,
        [Route("sms", ["main", "other"])],
        http=(SandboxHttpClient if is_plain else AsyncSandboxHttpClient)(server),
        clock=clock,
        sleeper=VirtualSleeper(clock) if is_plain else AsyncVirtualSleeper(clock, autojump=True),
    )
    receipt = await result_of(sms_hub.sms().send(MESSAGE, idempotency_key=key))

    assert "other" == receipt.ref.account
    server.token_endpoint.forget()
    server.token_endpoint.fail(reply({"error": "invalid_client"}, 401))
    with pytest.raises(CredentialRefreshFailed, match="invalid_client"):
        await result_of(sms_hub.sms().send(MESSAGE, idempotency_key="k-2"))


@pytest.mark.parametrize(
    "form, error",
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "scope": "all"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "more": "1"}, "invalid_request"),
    ],
)
def test_error_for_a_refused_token_request_has_the_oauth_code(
    form: dict[str, str], error: str
) -> None:
    """The error for a refused token request has the error code of OAuth."""
    server = HeraldServer()
    request = Request.post("/", form=form, headers={"Authorization": "Basic ZXJwOmh1c2g="})
    url = "https://herald.example/oauth/token"
    answer = SandboxHttpClient(server).send(request, url, Service("x").timeouts)

    assert (400, {"error": error}) == (answer.status, answer.json())


def test_hub_fetches_tokens_with_its_own_http_client() -> None:
    """If the host passes no HTTP client, a hub fetches tokens with its own, and closes it."""
    hall_server = HeraldServer()
    with hall_server.serving() as server:
        account = Account("main", TokenVendor(base_url=server.url))
        with Hub([account], state=MemoryStorage()) as local_hub:
            local_hub.sms().send(MESSAGE)

    assert 1 == hall_server.token_endpoint.grants


async def test_asynchronous_hub_fetches_tokens_with_its_own_http_client() -> None:
    """An asynchronous hub fetches tokens with its own HTTP client, and closes that client."""
    hall_server = HeraldServer()
    with hall_server.serving() as server:
        account = Account("main", TokenVendor(base_url=server.url))
        async with AsyncHub([account]) as local_hub:
            await local_hub.sms().send(MESSAGE)

    assert 1 == hall_server.token_endpoint.grants


@MODES
async def test_changed_client_gets_its_own_token(hub_class: type[Any]) -> None:
    """After a reload with another OAuth client, that client's tokens are stored separately.

    A refused configuration changes nothing for the clients in use.
    """
    server, stored_tokens = HeraldServer(), provider(hub_class)
    reports: list[Any] = []
    sms_hub = hub(hub_class, server, tokens=stored_tokens, observers=[reports.append])
    await result_of(sms_hub.sms().send(MESSAGE))
    other_account = Account("main", TokenVendor(scope="cries", secret="other"))
    wrong_configuration = HubConfiguration(
        accounts=[other_account], routes=[Route("sms", "nobody")]
    )
    with pytest.raises(ConfigurationError):
        await result_of(sms_hub.reload(wrong_configuration))
    server.token_endpoint.forget()
    await result_of(sms_hub.sms().send(MESSAGE))
    grants_before = server.token_endpoint.grants

    await result_of(
        sms_hub.reload(HubConfiguration(accounts=[other_account], routes=[Route("sms", "main")]))
    )

    with pytest.raises(CredentialRefreshFailed):
        await result_of(sms_hub.sms().send(MESSAGE))
    assert 2 == grants_before == server.token_endpoint.grants
    renewals = [report for report in reports if isinstance(report, TokenRenewed)]
    assert [("main", None)] * 2 == [(item.service, item.tenant) for item in renewals]
