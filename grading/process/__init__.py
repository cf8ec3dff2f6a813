"""Runs a submission: each piece in a process of its own, called by its conventions."""
