"""Prompts of our own writing that ship with the package: 200 risky ones and 200 benign ones, ten kinds of each."""
