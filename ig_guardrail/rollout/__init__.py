"""Policies that change while requests are answered: a file that is edited, and a canary beside the policy in force."""
