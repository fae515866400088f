"""GraphQL: documents, the requests that send them, and what their answers mean."""
