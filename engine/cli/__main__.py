"""`python -m engine.cli`: the command, where its script is not on the path."""

from engine.cli import main

main()
