"""The same deciding with nothing done: what the rules say to an event, and what would come of it."""
