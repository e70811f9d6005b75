"""The demo: a real daemon, somebody who plays the panel, and the far side of every action."""
