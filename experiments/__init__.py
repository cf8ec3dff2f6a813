"""Part III: what the report's questions lead to, as experiments over many seeds."""
