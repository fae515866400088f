"""Each declared capability of a vendor works, and every other capability is refused."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

import moorage
from moorage import UnsupportedByVendor
from moorage.adapters.credentials.memory import AsyncMemoryCredentialProvider
from moorage.contracts.catalog import CONTRACTS
from moorage.contracts.sms import SmsCapability
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandbox_scenarios import BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandbox_scenarios.storage import KEY, list_stale_uploads
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.storage.s3 import S3Sandbox
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = [
    pytest.param(kind, vendor, capability, id=f"{vendor}-{capability}")
    for kind in CONTRACTS
    for vendor in vendor_names()
    if kind in vendor_class(vendor).kinds
    for capability in BY_CAPABILITY[kind]
]

PART_OF: Final[dict[str, str]] = {SmsCapability.CARRIER: SmsCapability.VALIDATE_NUMBER}
"""Capabilities without a separate operation, and the capability whose operation is refused."""


def test_every_capability_has_a_scenario() -> None:
    """The tests have a scenario for each capability that a vendor declares."""
    messages = {
        capability for name in vendor_names() for capability in vendor_class(name).capabilities
    }

    assert set() == messages - {
        capability for uses in BY_CAPABILITY.values() for capability in uses
    }


@pytest.mark.parametrize("kind, vendor, capability", FLAGS)
def test_capability_flags_are_true(kind: str, vendor: str, capability: str, tmp_path: Path) -> None:
    """A declared capability works; any other is refused before anything is sent."""
    fixture = fixture_of(vendor, tmp_path)
    sandboxes = [] if fixture.sandbox is None else [fixture.sandbox]
    configuration = {"vendors": {vendor: fixture.options}}
    is_supported = capability in vendor_class(vendor).capabilities

    async def use_hub() -> object:
        hub = moorage.aopen(
            configuration,
            http=AsyncSandboxHttpClient(*sandboxes),
            credentials=AsyncMemoryCredentialProvider(),
        )
        async with hub:
            contract_methods = getattr(hub, kind)()
            return await BY_CAPABILITY[kind][capability](
                ScenarioVendor(
                    operations=contract_methods,
                    fixture=fixture,
                    name=vendor,
                    is_supported=is_supported,
                )
            )

    try:
        if is_supported:
            assert asyncio.run(use_hub())
        else:
            with pytest.raises(UnsupportedByVendor) as excinfo:
                asyncio.run(use_hub())
            assert PART_OF.get(capability, capability) in excinfo.value.capabilities
            assert [] == [request for sandbox in sandboxes for request in sandbox.requests]
    finally:
        fixture.close()


def test_uploads_are_listed_at_a_vendor_whose_clock_is_ahead() -> None:
    """Unfinished uploads are listed even if the vendor's clock is ahead."""
    ahead = datetime.now(UTC) + timedelta(minutes=1)
    with closing(S3Sandbox(now=lambda: ahead)) as sandbox:
        options = {
            "bucket": sandbox.bucket,
            "access_key_id": sandbox.key.id,
            "credentials": sandbox.key.secret,
        }
        fixture = SandboxFixture(options=options, sandbox=sandbox)

        async def use_hub() -> Any:
            client = AsyncSandboxHttpClient(sandbox)
            async with moorage.aopen({"vendors": {"s3": options}}, http=client) as hub:
                return await list_stale_uploads(
                    ScenarioVendor(
                        operations=hub.storage(), fixture=fixture, name="s3", is_supported=True
                    )
                )

        assert [KEY] == [upload.key for upload in asyncio.run(use_hub())]


def vendors_of(kind: str) -> list[str]:
    """Return the names of the vendors of a contract."""
    return [name for name in vendor_names() if kind in vendor_class(name).kinds]


@pytest.mark.parametrize(
    "kind, capability",
    [
        pytest.param(kind, capability, id=f"{kind}-{capability}")
        for kind in CONTRACTS
        for capability in BY_CAPABILITY[kind]
        if all(capability in vendor_class(name).capabilities for name in vendors_of(kind))
    ],
)
def test_capability_of_every_vendor_is_needed(kind: str, capability: str, tmp_path: Path) -> None:
    """If one vendor lacks a capability of all others, the operation is refused before sending."""
    name = vendors_of(kind)[0]
    fixture = fixture_of(name, tmp_path)
    sandboxes = [] if fixture.sandbox is None else [fixture.sandbox]
    configuration = {"vendors": {name: fixture.options}}
    with moorage.open(configuration, http=SandboxHttpClient(*sandboxes)) as hub:
        vendor: Any = hub.account(name).vendor
    lesser_kind: Any = type(
        "Lesser",
        (type(vendor),),
        {"capabilities": vendor.capabilities - {capability}, "__slots__": ()},
    )
    fields = {
        field.alias or field.name: getattr(vendor, field.name)
        for field in attrs.fields(type(vendor))
        if field.init
    }

    async def use_hub() -> object:
        account = moorage.Account(name, lesser_kind(**fields), settings={"volatile_keys": True})
        async with moorage.AsyncHub([account], http=AsyncSandboxHttpClient(*sandboxes)) as lesser:
            return await BY_CAPABILITY[kind][capability](
                ScenarioVendor(
                    operations=getattr(lesser, kind)(),
                    fixture=fixture,
                    name=name,
                    is_supported=False,
                )
            )

    try:
        with pytest.raises(UnsupportedByVendor) as excinfo:
            asyncio.run(use_hub())
        assert PART_OF.get(capability, capability) in excinfo.value.capabilities
        assert [] == [request for sandbox in sandboxes for request in sandbox.requests]
    finally:
        fixture.close()
