"""Checks that the capabilities of a vendor agree with the methods of its class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.catalog import CONTRACTS, contract
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.contracts.vendor import Vendor


def check_capabilities(vendor: type[Vendor]) -> None:
    """Refuse a vendor whose capabilities do not agree with its methods.

    A class may inherit or override methods without stating their capabilities, so a subclass can
    switch off a feature. A class with `__getattr__` may have any method. Kinds of vendors that are
    not a contract of moorage are not checked.

    Raises:
        ConfigurationError: the class has a method without the capability that its callers need, a
            capability without one of its methods, or a capability that none of its contracts has.
    """
    if any(kind not in CONTRACTS for kind in vendor.kinds):
        return
    has_any_method = hasattr(vendor, "__getattr__")
    contracts = [contract(kind) for kind in vendor.kinds]
    _check_names(vendor, {str(item) for declared in contracts for item in declared.capabilities})
    for declared in contracts:
        for verb, capability in declared.optional_verbs().items():
            is_stated = capability in vendor.capabilities
            is_new = verb in vars(vendor) and not any(
                hasattr(base, verb) for base in vendor.__bases__
            )
            if is_new and not is_stated:
                raise ConfigurationError(
                    f"The vendor {vendor.name} has the method {verb}, but not the capability"
                    f" {str(capability)!r} that this method needs.",
                    path="capabilities",
                    remedy=f"Add {str(capability)!r} to `capabilities` of the class"
                    f" {vendor.__name__}, or remove the method.",
                )
            if is_stated and not has_any_method and not hasattr(vendor, verb):
                raise ConfigurationError(
                    f"The vendor {vendor.name} has the capability {str(capability)!r}, but not the"
                    f" method {verb} that belongs to it.",
                    path="capabilities",
                    remedy=f"Write the method in the class {vendor.__name__}, or remove"
                    f" {str(capability)!r} from its `capabilities`.",
                )


def _check_names(vendor: type[Vendor], names: set[str]) -> None:
    unknown_names = sorted(str(item) for item in vendor.capabilities if item not in names)
    if not unknown_names:
        return
    from difflib import get_close_matches  # noqa: PLC0415 - needed only for mistakes

    close_names = get_close_matches(unknown_names[0], names, n=1)
    raise ConfigurationError(
        f"The vendor {vendor.name} has the capability {unknown_names[0]!r}, which is no capability"
        f" of {', '.join(vendor.kinds)}.",
        path="capabilities",
        remedy=f"Did you mean {close_names[0]!r}?"
        if close_names
        else f"Use some of: {', '.join(sorted(names))}.",
    )
