"""Rate limits, circuit breakers, retries and retry budgets."""
