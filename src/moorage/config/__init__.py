"""A hub from a configuration: a file of TOML, JSON or YAML, or the mapping that one holds.

```toml
version = 1
[state]
url = "sqlite:///moorage.db"
[sms]
vendor = ["twilio", "vonage"]
[vendors.twilio]
account_sid = "AC…"
credentials = "secret://env/TWILIO_TOKEN"
timeout = 20.0
[tenants.acme-fr.sms]
vendor = "vonage"
```

Who lives here reads: from a file to a tree (`loading`), to the current version of it (`migration`),
with what is laid over it (`overlays`) and what it refers to (`references`, `providers`), by the
shapes of its tables (`tables`, `shapes`, `structure`) to the values that a hub is made of
(`accounts`, `configured`). All that is wrong is gathered (`problems`), and refused with the paths
to it before anything is opened. Nothing here sends anything, but to ask for secrets.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from moorage.config.configured import Configured as Configured
from moorage.config.configured import read_configuration as read_configuration

if TYPE_CHECKING:
    from moorage.config.hubs import ConfigurationWarning as ConfigurationWarning
    from moorage.config.hubs import aopen as aopen
    from moorage.config.hubs import open as open  # noqa: A004 - read as moorage.open
    from moorage.config.loading import Source as Source
    from moorage.config.migration import Migrated as Migrated
    from moorage.config.schema import json_schema as json_schema

_LATER: Final = {
    "ConfigurationWarning": "hubs",
    "Migrated": "migration",
    "Source": "loading",
    "aopen": "hubs",
    "json_schema": "schema",
    "open": "hubs",
}
"""Where the rest is, which whoever only reads a configuration need not wait for."""


def __getattr__(name: str) -> Any:
    """What is imported when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = found
    return found
