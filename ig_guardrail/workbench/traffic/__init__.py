"""What texts score under a policy: scored, recorded, replayed, and a threshold set on them."""
