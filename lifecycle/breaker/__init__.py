"""The circuit breaker's store: stuck executions counted, the blacklist answered for (spec 40.1 to 40.3)."""
