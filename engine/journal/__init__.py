"""The durable record of events, runs and attempts."""
