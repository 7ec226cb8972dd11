"""Engines: a token tree over one language model.

`base` is the contract. `transformers` runs a model in process, `scripted` answers from a script without torch, and
`models` finds, loads and shares them.
"""
