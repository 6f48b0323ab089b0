"""Scripts for environments of their own, started by path: they see nothing of ours, and take JSON on stdin."""
