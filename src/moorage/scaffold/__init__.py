"""The first files of what others add: a vendor, an adapter, a scheme of webhooks, an application.

`scaffold` is a pure function from answers to texts by their paths, and `write` puts them into a
folder. What is made passes its own tests at once, and its README says what it does not do yet.

The templates lie beside, as files with `.txt` behind their names. They are written for the name
`acme`, which is replaced in all its spellings; there is no other syntax to them.
"""

from __future__ import annotations

from moorage.scaffold.files import write
from moorage.scaffold.making import CONTRACTS, KINDS, PORTS, scaffold

__all__ = ["CONTRACTS", "KINDS", "PORTS", "scaffold", "write"]
