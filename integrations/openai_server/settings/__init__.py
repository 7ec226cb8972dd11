"""What a server is told before it starts: values, and the file that they stand in."""
