"""What a policy does where it is in force for some, or only watches."""
