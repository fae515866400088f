"""GraphQL with the library graphql-core."""
