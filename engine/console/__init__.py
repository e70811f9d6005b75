"""The listener for people and monitoring: health, metrics, and the pages of the console."""
