"""Pure: what an event's rules say to it, and which runs that plans. No I/O, no clock."""
