"""Sources of tenants' accounts."""
