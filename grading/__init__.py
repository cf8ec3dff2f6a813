"""Judges any solution of the assignment, in the terms of the lecture."""
