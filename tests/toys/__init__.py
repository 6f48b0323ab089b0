"""Toy rows of each task: one module a task, found by its name; a tiny model learns them in seconds."""
