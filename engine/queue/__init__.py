"""The only place that knows PgQueuer."""
