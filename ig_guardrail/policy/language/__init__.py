"""The policy language `ig-guardrail/v1`: every key, with type, unit, range, default and meaning."""
