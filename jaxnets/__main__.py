"""``python -m jaxnets``: the command line."""

import sys

from jaxnets.cli import main

if __name__ == "__main__":
    sys.exit(main())
