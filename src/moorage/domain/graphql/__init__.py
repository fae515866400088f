"""GraphQL documents, the requests that send them, and the meaning of their responses."""
