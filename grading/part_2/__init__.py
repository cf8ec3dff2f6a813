"""Part II: the layers and the network."""
