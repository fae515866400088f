"""OAuth 2 as values and decisions: who we are, what we ask for, and what the answer means.

Nothing here sends anything or waits. `server` and `client` describe, `grants` say how a first token
is obtained, `token_request` and `token_answer` are the two halves of asking for one, `freshness`
decides when to ask again.
"""
