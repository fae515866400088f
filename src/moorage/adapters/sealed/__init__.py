"""Tables of encrypted strings, for the stores of credentials and tenants."""
