"""What the methods draw with: rows, rounds and widened blocks, and the order and preference among candidates."""
