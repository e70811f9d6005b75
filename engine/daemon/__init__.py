"""The daemon: all parts joined, started in order, and stopped backwards."""
