"""Clients, run for real."""
