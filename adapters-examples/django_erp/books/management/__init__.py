"""The ERP's management commands."""
