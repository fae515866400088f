"""The rules of rate limits, circuit breakers, retries and retry budgets."""
