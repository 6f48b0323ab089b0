"""Stages: each a function from artifact to artifact, in a file of its own; none imports another."""
