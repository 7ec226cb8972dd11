"""One module for each endpoint that decodes: what its body asks, and how an answer is written on it."""
