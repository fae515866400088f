"""Sources of tenants' configurations."""
