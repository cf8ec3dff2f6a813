"""Part III: the trainer, which is run and watched."""
