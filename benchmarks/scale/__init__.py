"""How much is needed for how many streams: what one replica takes, measured; many of them, simulated; two, run."""
