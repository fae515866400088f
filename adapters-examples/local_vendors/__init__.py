"""Local sandboxes of all vendors for the example ERPs, each on its own port.

`VendorSandboxes` starts one server per vendor, sends the vendors' webhooks, and can lose answers,
be slow or be unavailable. A person causes these faults on the control page, where buyers also
confirm payments with their bank.
"""

from local_vendors.sandboxes import VendorSandboxes

__all__ = ["VendorSandboxes"]
