"""Pre-training from raw text: a recipe of its own kind becomes a model folder that `[model] source` accepts."""
