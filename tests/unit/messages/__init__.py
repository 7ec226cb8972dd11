"""The messages of a policy: which is shown, where, and those that somebody approved."""
