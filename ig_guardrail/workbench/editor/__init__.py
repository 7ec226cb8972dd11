"""What editors ask while a policy is written: findings, completions, hover texts. `server.py` speaks LSP."""
