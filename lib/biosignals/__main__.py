"""`python -m biosignals`, and the command `biosignals`: see `biosignals.deployment.command`."""

import sys

from biosignals.deployment.command import main

if __name__ == "__main__":
    sys.exit(main())
