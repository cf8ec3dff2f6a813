"""Judges any solution of the assignment. Imports nothing of the project that it judges."""
