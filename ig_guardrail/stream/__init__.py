"""What leaves the guard: the gate that decides, the hold-back that times, the receipt that records."""
