"""Policies that extend others: who the parent is, what both say together, and that the child only tightens it."""
