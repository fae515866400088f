"""Importing moorage, and its first use, load only the modules that are needed.

Each probe runs in an interpreter of its own. The bounds are on names and numbers of modules, which
do not depend on the machine.
"""

import json
import subprocess
import sys
from pathlib import Path

CONTRACTS = (
    *("accounting", "bank", "chat", "currencies", "einvoices", "email", "payments"),
    "people",
    "calendars",
    "push",
    *("shipping", "signatures", "sms", "storage", "tax"),
)

# Modules that no program needs before its first call; a prefix means all modules below it.
LATER_MODULES = (
    "attr",
    "asyncio",
    "concurrent.futures",
    "cryptography",
    "cyclopts",
    "email",
    "hashlib",
    "http",
    "logging",
    "pyreqwest",
    "redis",
    "rich",
    "socket",
    "sqlalchemy",
    "ssl",
    "subprocess",
    "moorage.adapters.http",
    "moorage.cli",
    "moorage.demo",
    "moorage.domain.oauth",
    "moorage.domain.signing.dpop",
    "moorage.domain.signing.signings",
    "moorage.domain.webhooks",
    "moorage.parts",
    "moorage.scaffold",
    "moorage.services.calling.caching",
    "moorage.services.entries",
    "moorage.services.oauth",
    "moorage.services.transfers",
    "moorage.services.webhooks",
    "moorage.testing",
)
FEW_SERVICES = (
    "moorage.domain.observation.call_content",
    "moorage.hub.streams",
    *(
        f"moorage.services.calling.{name}"
        for name in ("hedging", "regions", "rehearsal", "streaming")
    ),
)
A_HUB_MAY = {"attr", "hashlib", "email", "socket", "moorage.domain.signing.signings"}

PROBE = """
import sys
sys.path[:] = sys.argv[1:]
import json
before = set(sys.modules)
{code}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
INITIALISER_PROBE = """
import sys
sys.path[:] = sys.argv[1:]
import json
{code}
kinds = {
    kind
    for name, module in sorted(sys.modules.items())
    if name.startswith("moorage.") and not name.startswith("moorage.vendors.")
    for kind in vars(module).values()
    if isinstance(kind, type) and kind.__module__ == name
}
initialisers = [(kind, vars(kind).get("__init__")) for kind in kinds]
print(json.dumps(sorted(
    f"{kind.__module__}.{kind.__name__}"
    for kind, initialiser in initialisers
    if hasattr(initialiser, "__code__")
    and initialiser.__code__.co_filename.startswith("<attrs generated")
)))
"""
MANAGER = """
import moorage
moorage.ConnectorManager([moorage.Service("vat", base_url="https://vat.example")])
"""
HUB = """
import moorage
moorage.open({
    "state": {"url": "memory:"},
    "sms": {"vendor": "twilio"},
    "vendors": {"twilio": {"account_sid": "AC0123456789abcdef0123456789abcdef",
                           "credentials": "0123456789abcdef0123456789abcdef",
                           "sender": "+4915112345678"}},
}, environment_id=None)
"""

EMAIL_HUB = """
import moorage
moorage.open({
    "state": {"url": "memory:"},
    "email": {"vendor": "resend"},
    "vendors": {"resend": {"credentials": "re_0123456789", "sender": "shop@acme.example"}},
}, environment_id=None)
"""


def loaded_modules(code: str, probe_text: str = PROBE) -> list[str]:
    """Return the modules that the given code loads in a new interpreter."""
    probe = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", "-c", probe_text.replace("{code}", code)]
        + [path for path in sys.path if path],
        capture_output=True,
        check=True,
        text=True,
    )
    names: list[str] = json.loads(probe.stdout.splitlines()[-1])
    return names


def modules_below(prefixes: set[str], modules: list[str]) -> set[str]:
    """Return the modules with one of the given prefixes."""
    return {
        module
        for module in modules
        if any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)
    }


def test_first_manager_loads_only_its_own_modules() -> None:
    """Creating a first manager loads no transport, contract, vendor, file store or command."""
    modules = loaded_modules(MANAGER)
    own_modules = modules_below({"moorage"}, modules)

    assert set() == modules_below(
        {
            *LATER_MODULES,
            *FEW_SERVICES,
            "sqlite3",
            "moorage.config",
            "moorage.contracts",
            "moorage.vendors",
        },
        modules,
    )
    assert {"moorage.hub.manager"} <= own_modules
    assert len(own_modules) <= 149


def test_hub_loads_only_the_contract_of_its_vendor() -> None:
    """Opening a hub loads only the vendors of its configuration and their contract."""
    modules = loaded_modules(HUB)
    vendors = modules_below({"moorage.vendors"}, modules)

    assert set() == modules_below({*LATER_MODULES} - A_HUB_MAY, modules)
    assert {"moorage.vendors.sms.twilio"} <= vendors
    assert set() == vendors & {f"moorage.vendors.{name}" for name in CONTRACTS if name != "sms"}
    assert {"moorage.contracts.sms"} == {
        f"moorage.contracts.{name}"
        for name in CONTRACTS
        if modules_below({f"moorage.contracts.{name}"}, modules)
    }
    assert set() == modules_below({"sqlite3", "moorage.operations.email"}, modules)


def test_modules_of_the_start_define_values_without_attrs() -> None:
    """The immutable values that a start loads are made by `frozen_values.frozen`, not by attrs.

    attrs would compile source text for their methods, which takes a fifth of the start.
    """
    assert [] == loaded_modules(HUB, INITIALISER_PROBE)


def test_opening_hub_with_vendor_that_is_declared_with_vendor_sdk_does_not_load_attrs() -> None:
    """Opening a hub with a vendor that is declared with `vendor_sdk` does not load attrs."""
    modules = loaded_modules(EMAIL_HUB)

    assert "moorage.vendors.email.resend" in modules
    assert set() == modules_below({"attr", "email.header", "hashlib"}, modules)


def test_version_loads_no_command(tmp_path: Path) -> None:
    """`moorage --version` loads neither command-line libraries nor a command."""
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "moorage", "--version"],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
    )
    modules = [line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()]

    assert {"moorage.cli"} <= set(modules)
    assert set() == modules_below(
        {"attr", "cyclopts", "rich", "moorage.cli.command_line", "moorage.cli.commands"}, modules
    )


KEYED_CALLS = """
import resource
import sys
import moorage
from moorage.adapters.state.sqlite import SqliteStorage
managers = [
    moorage.ConnectorManager([moorage.Service("erp")], state=state)
    for state in (None, SqliteStorage(sys.argv[1]))
]
for manager in managers:
    manager.run("erp", int)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
for manager in managers:
    try:
        print(manager.run("erp", int, idempotency_key="1"))
    except moorage.LocalFailure as error:
        print(error.retryable, error)
"""


def test_first_idempotency_key_needs_no_file_or_names_the_missing_file(tmp_path: Path) -> None:
    """Without a free file, a first keyed call succeeds, or raises LocalFailure."""
    probe = subprocess.run(
        [sys.executable, "-c", KEYED_CALLS, str(tmp_path / "state.db")],
        capture_output=True,
        check=True,
        text=True,
    )
    in_memory, in_file = probe.stdout.splitlines()

    assert "0" == in_memory
    assert in_file.startswith("True erp: Python's hashlib could not be loaded")


CALLS_WITHOUT_FILES = """
import asyncio
import resource
import moorage
from moorage.contracts.payments import Charge, Money
services = [moorage.Service("erp", base_url="http://127.0.0.1:9", retry=None)]
ping = moorage.Request.post("/ping")
manager = moorage.ConnectorManager(services)
account = {"credentials": "sk_test_1", "volatile_keys": True}
hub = moorage.open({"payments": {"vendor": "stripe"}, "vendors": {"stripe": account}})

async def call():
    await moorage.AsyncConnectorManager(services).call("erp", ping, idempotency_key="1")

with asyncio.Runner() as runner:
    runner.get_loop()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    for use in (
        lambda: manager.call("erp", ping, idempotency_key="1"),
        lambda: runner.run(call()),
        lambda: hub.payments(),
    ):
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
        try:
            use()
        except moorage.LocalFailure as error:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            print(error.retryable, error.may_have_been_processed, error.message)
            print(error.remedy)
"""


def test_call_that_finds_no_file_to_load_a_module_was_certainly_not_processed() -> None:
    """Without a free file, the first call of an HTTP client or contract raises LocalFailure."""
    probe = subprocess.run(
        [sys.executable, "-c", CALLS_WITHOUT_FILES], capture_output=True, check=True, text=True
    )
    messages, remedies = probe.stdout.splitlines()[::2], set(probe.stdout.splitlines()[1::2])

    assert [
        f"True False {name} could not be loaded"
        for name in (
            "moorage's StdlibHttpClient",
            "moorage's AsyncStdlibHttpClient",
            "The contract of Payments",
        )
    ] == [message.partition(" (")[0] for message in messages]
    assert all("limits of open files" in remedy for remedy in remedies)


PAUSE_WITHOUT_FILES = """
import asyncio
import resource
import moorage
from moorage.testing import Behaviour, VendorServer
limit = resource.getrlimit(resource.RLIMIT_NOFILE)

def fail_and_take_all_files(_):
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
    return Behaviour(503)

async def call(url):
    shop = moorage.Service("shop", base_url=url, idempotency_header="Key", idempotency_memory=99)
    async with moorage.AsyncConnectorManager([shop]) as manager:
        request = moorage.Request.post("/charges")
        try:
            await manager.call("shop", request, idempotency_key="1")
        except moorage.LocalFailure as error:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            print(error.may_have_been_processed, error.attempts, error.message)

with VendorServer() as vendor:
    vendor.always(fail_and_take_all_files)
    asyncio.run(call(vendor.url))
"""


def test_pause_that_cannot_be_loaded_does_not_hide_that_a_request_was_sent() -> None:
    """If the module for pauses cannot be loaded, the error still reports the first attempt."""
    probe = subprocess.run(
        [sys.executable, "-c", PAUSE_WITHOUT_FILES], capture_output=True, check=True, text=True
    )
    assert probe.stdout.startswith("True 1 moorage's AsyncioSleeper could not be loaded")
