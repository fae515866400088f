"""The connector of Amazon SQS, over moorage's own HTTP client."""
