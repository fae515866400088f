"""OAuth operations: consent, discovery, renewal and revocation of tokens."""
