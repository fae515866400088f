"""Tables of encrypted texts, which credentials and tenants share."""
