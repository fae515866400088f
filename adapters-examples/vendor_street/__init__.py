"""Local sandboxes of all vendors for the example ERPs, each on its own port.

`Street` opens the doors, tells what the vendors have to tell, and can lose answers, be slow or be
down; `office` is the page to trouble them from, where buyers also meet their bank.
"""

from vendor_street.street import Street

__all__ = ["Street"]
