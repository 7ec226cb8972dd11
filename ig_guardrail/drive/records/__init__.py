"""What is kept of a request: its receipt, its recording, its line in the audit log."""
