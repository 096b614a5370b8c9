"""`python -m remit.cli.demo`."""

from remit.cli.demo import app

app()
