"""Tables of encrypted texts, which the stores of credentials and tenants use."""
