"""Rules replaced as a whole while the daemon runs: read, compared, swapped, followed up."""
