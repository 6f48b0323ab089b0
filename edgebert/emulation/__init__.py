"""An ARM board without the board: QEMU's user-mode emulation over a small Debian userland."""
