"""The migrations of the ERP's tables."""
