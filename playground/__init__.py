"""Part III: watch a network learn, and take hold of it, in a browser."""
