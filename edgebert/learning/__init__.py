"""What a model learns of a task, and what a student is made of."""
