"""Local sandboxes of all vendors for the example ERPs, each on its own port.

`VendorSandboxes` starts one server per vendor, sends the vendors' webhooks, and can lose answers,
be slow or be unavailable. The pages of `office` control these faults; buyers confirm payments with
their bank there.
"""

from vendor_street.street import VendorSandboxes

__all__ = ["VendorSandboxes"]
