"""Cost models: how harmful an answer is so far, each declared, hashed and free of request state."""
