"""The bundle's `__main__.py`: `python3 BUNDLE` runs the self-test that travels in it."""

import os
import sys

sys.dont_write_bytecode = True  # a bundle never changes, not even by a cache of its own code
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from device.selftest import main  # type: ignore[import-not-found]  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], folder=os.path.dirname(os.path.abspath(__file__))))
