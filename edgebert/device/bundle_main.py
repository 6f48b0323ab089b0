"""The bundle's `__main__.py`: `python3 BUNDLE` runs the self-test that travels in it."""

import os
import sys

sys.dont_write_bytecode = True  # a bundle never changes, not even by a cache of its own code
sys.pycache_prefix = os.devnull  # and byte code that lies in it, which no hash covers, is not run
_cached = getattr(globals().get("__spec__"), "cached", None)
if _cached:  # `python3 BUNDLE` writes the byte code of this very file before its first line runs
    try:
        os.remove(_cached)
        os.rmdir(os.path.dirname(_cached))
    except OSError:
        pass
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from device.selftest import main  # type: ignore[import-not-found]  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], folder=os.path.dirname(os.path.abspath(__file__))))
