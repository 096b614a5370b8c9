"""Runs the campaigns of campaigns/: `make campaign ARGS="--only plans --seed 7"`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from campaigns.runner import command

if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
