"""The one writer of automation status, tasks, audit and outbox. Postgres; no streams, no HTTP."""
