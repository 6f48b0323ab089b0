"""`python -m edgebert.device BUNDLE` self-tests a bundle with the installed device code, never the bundle's."""

import sys

from .selftest import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
