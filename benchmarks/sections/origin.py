"""What something was measured on, in words."""

from __future__ import annotations

from collections.abc import Iterable

from sections.results import Result


def asked(result: Result) -> str:
    """How many prompts a comparison asks, and how answers were drawn."""
    config, sampling = result["config"], result["config"]["sampling"]
    return (
        f"{' and '.join(f'{n} {name}' for name, n in result['prompts'].items())} prompts, one answer each, seeds"
        f" {', '.join(map(str, config['seeds']))}, at most {sampling['max_tokens']} tokens, temperature"
        f" {sampling['temperature']}, top-p {sampling['top_p']}"
    )


def named(result: Result) -> str:
    """The model, the policies with the beginning of their hashes where they are known, and the reward."""
    config, known = result["config"], result.get("policies", {})
    policies = [f"{name} (`{known[name][:12]}`)" if name in known else name for name in config["policies"]]
    return f"Model {', '.join(config['models'])}, policy {', '.join(policies)}, reward {config['reward'] or 'none'}"


def machine(result: Result) -> str:
    """The machine, and the versions of what ran on it."""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return f"{result['machine']}, {versions}"


def measured(result: Result) -> str:
    """When, and on what; for speed."""
    return f"Measured {result['measured']} on {result['machine']}, torch {result['versions']['torch']}, one thread."


def loaded(loads: Iterable[float]) -> str:
    """How busy the machine was: its load averages over a minute, each when a part began."""
    found = sorted(loads)
    span = f"{found[0]:g}" if found[0] == found[-1] else f"{found[0]:g} to {found[-1]:g}"
    return f"The machine's load was {span} when a part began, what this program had run before included."
