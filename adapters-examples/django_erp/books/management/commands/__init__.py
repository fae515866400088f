"""The ERP's management commands, one per module."""
