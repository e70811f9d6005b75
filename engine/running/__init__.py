"""Runs under way: begin a try, act, record how it ended, and say what comes next."""
