"""What travels inside a bundle: standard library, numpy and one runtime; parses and runs on Python 3.8."""
