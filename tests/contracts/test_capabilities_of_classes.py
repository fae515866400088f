"""If a vendor class's capabilities do not fit its methods, its definition is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import ConfigurationError, Service
from moorage import vendor_sdk as sdk
from moorage.contracts.capabilities import check_capabilities
from moorage.contracts.catalog import CONTRACTS, contract
from moorage.contracts.vendor import Vendor
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from collections.abc import Mapping


class SendOnlyVendor(Vendor):
    """A vendor of text messages that can only send."""

    name = "gull"
    kinds = ("sms",)

    def services(self) -> Mapping[str, Service]:
        """Return one service."""
        return {"": Service("gull", "https://api.gull.example")}


async def method(*_: Any, **__: Any) -> None:
    """Do nothing; tests use this function as the method of an operation."""


def refusal(capabilities: set[str], *methods: str, **attributes: Any) -> ConfigurationError:
    """Return the error that defining a class with these capabilities and methods raises."""
    members = {"capabilities": frozenset(capabilities), **dict.fromkeys(methods, method)}
    with pytest.raises(ConfigurationError) as excinfo:
        type("Tern", (SendOnlyVendor,), {"name": "tern", **members, **attributes})
    assert "capabilities" == excinfo.value.path
    return excinfo.value


def test_method_without_its_capability_is_refused() -> None:
    """The error for a method without its capability contains both, and a remedy."""
    error = refusal(set(), "get")

    assert (
        "The vendor tern has the method get, but not the capability 'look_up' that this method"
        " needs."
    ) == error.args[0]
    assert (
        "Add 'look_up' to `capabilities` of the class Tern, or remove the method." == error.remedy
    )


def test_capability_without_its_method_is_refused() -> None:
    """A stated capability needs each of its methods."""
    error = refusal({"verification"}, "start_verification")

    assert (
        "The vendor tern has the capability 'verification', but not the method check_verification"
        " that belongs to it."
    ) == error.args[0]
    assert (
        "Write the method in the class Tern, or remove 'verification' from its `capabilities`."
        == error.remedy
    )


def test_unknown_capability_is_refused() -> None:
    """The error for a misspelt capability suggests the similar one, or lists all capabilities."""
    error = refusal({"lookup"})
    assert (
        "The vendor tern has the capability 'lookup', which is no capability of sms."
        == error.args[0]
    )
    assert "Did you mean 'look_up'?" == error.remedy
    assert refusal({"zz"}).remedy.startswith("Use some of: balance, callback, cancel, carrier,")


def test_methods_that_only_flows_call_are_checked() -> None:
    """A method that only an SDK flow calls needs its capability as well."""
    error = refusal(set(), "get_rates", kinds=("shipping",))

    assert "not the capability 'rates'" in error.args[0]


def test_operations_of_tables_are_checked() -> None:
    """A method that a table of the SDK creates is checked like any other method."""
    with pytest.raises(ConfigurationError, match="has the method get, but not the capability"):

        @attrs.frozen(kw_only=True)
        class Tern(sdk.ApiVendor):
            """A vendor that has an operation but not its capability."""

            name = "tern"
            kinds = ("sms",)
            get = sdk.get("/messages/{id}", reads=lambda _, response: response.json())


@pytest.mark.parametrize(
    "members",
    [
        {"capabilities": frozenset({"look_up"}), "get": method},
        {"capabilities": frozenset({"sender_pool"})},
        {"capabilities": frozenset({"look_up"}), "__getattr__": lambda *_: method},
        {"kinds": ("sms", "letters"), "get": method},
    ],
)
def test_classes_that_may_be_right_are_accepted(members: dict[str, Any]) -> None:
    """A vendor class is accepted if its methods fit or are dynamic, or its contract is unknown."""
    assert issubclass(type("Tern", (SendOnlyVendor,), members), Vendor)


def test_subclass_may_switch_a_feature_off() -> None:
    """A subclass can leave out a capability, even if it inherits the capability's method."""
    kind = vendor_class("twilio")
    members: dict[str, Any] = {"capabilities": kind.capabilities - {"look_up"}}

    assert issubclass(type("Quiet", (kind,), members), kind)
    assert issubclass(type("Quiet", (kind,), {**members, "get": method}), kind)


def test_base_class_without_a_name_is_not_checked() -> None:
    """A base class without a name may have methods whose capabilities its subclasses declare."""
    base = type("Base", (Vendor,), {"kinds": ("sms",), "get": method})
    members = {"name": "tern", "capabilities": frozenset({"look_up"})}

    assert issubclass(type("Tern", (base,), members), base)


@pytest.mark.parametrize("name", vendor_names())
def test_capabilities_of_our_vendors_agree(name: str) -> None:
    """The capabilities of each built-in vendor agree with its methods."""
    check_capabilities(vendor_class(name))


@pytest.mark.parametrize("kind", CONTRACTS)
def test_methods_of_capabilities_are_those_of_vendors(kind: str) -> None:
    """For each method that needs a capability, some built-in vendor has both."""
    vendors = [vendor for name in vendor_names() if kind in (vendor := vendor_class(name)).kinds]
    verbs = contract(kind).optional_verbs()

    assert [] == [
        verb
        for verb, capability in verbs.items()
        if not any(capability in item.capabilities and hasattr(item, verb) for item in vendors)
    ]
