"""OAuth flows: consent, discovery, renewal and revocation of tokens."""
