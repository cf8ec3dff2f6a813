"""How a submission is copied, imported and called, by its conventions."""
