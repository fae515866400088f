"""OAuth 2 as values and decisions: clients, requests for tokens, and the parsing of answers.

Nothing here sends or waits. `server` and `client` describe the two sides, `grants` the ways to get
a first token, `token_request` and `token_answer` are the two halves of an exchange, and `freshness`
decides when to renew.
"""
