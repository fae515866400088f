"""Tables of encrypted texts, for the stores of credentials and tenants."""
