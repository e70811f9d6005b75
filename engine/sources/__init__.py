"""Who sends: the only place that knows a source."""
