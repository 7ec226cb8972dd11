"""The policies that come with the package, as data: YAML in the language `ig-guardrail/v1`, and its JSON Schema."""
