"""Android phones: reaching one through adb, what it says of itself, and the benchmark binaries that run there."""
