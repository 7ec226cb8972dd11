"""What is doubtful in a policy that is valid, by subject."""
