"""One file per action; each imports only engine.action, engine.model and engine.errors."""
