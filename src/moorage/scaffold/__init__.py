"""Generates the first files of a vendor, adapter, webhook scheme or application.

`scaffold` is a pure function that returns texts by path, and `write` writes them to a folder. The
generated tests pass without changes, and the generated README lists the next steps.

The templates are files in the folder `templates` whose names end in `.txt`. They use the name
`acme`, which is replaced in all its spellings, and have no other template syntax.
"""

from __future__ import annotations

from moorage.scaffold.files import write
from moorage.scaffold.generation import CONTRACTS, KINDS, PORTS, scaffold

__all__ = ["CONTRACTS", "KINDS", "PORTS", "scaffold", "write"]
