"""OAuth 2 as pure functions: clients, token requests, and the parsing of responses.

Nothing here sends or waits. `server` and `client` describe the two sides. `grants` has the ways to
get a first token. `token_request` and `token_answer` are the request for a token and its response.
`freshness` decides when to renew a token.
"""
