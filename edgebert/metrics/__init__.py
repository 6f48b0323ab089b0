"""What a task's answers are worth: one metric, or a family of them, a file."""
