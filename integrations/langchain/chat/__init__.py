"""What `ChatIGGuardrail` is built on: its settings, and the guardrail that they open."""
