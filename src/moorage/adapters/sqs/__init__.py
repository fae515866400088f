"""The connector of Amazon SQS, over this package's own HTTP client."""
