"""One training loop and what goes with it: epochs, several processes, a teacher's answers."""
