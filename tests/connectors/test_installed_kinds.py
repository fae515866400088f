"""The kinds of connectors that are installed."""

from __future__ import annotations

import pytest

from moorage import ConfigurationError
from moorage.wiring.installed_connectors import connector_kind


def test_unknown_kind() -> None:
    """A kind that no installed package has is refused where it stands, with what to do."""
    with pytest.raises(ConfigurationError, match="no kind of connector named 'sqll'") as excinfo:
        connector_kind("sqll", "connectors.erp.kind")

    assert "connectors.erp.kind" == excinfo.value.path
    assert "install the package" in excinfo.value.remedy
