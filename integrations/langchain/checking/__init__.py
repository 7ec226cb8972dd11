"""Policies on whole texts and calls, without a language model: what another model answered, and its audit lines."""
