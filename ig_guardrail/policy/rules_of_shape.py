"""Rule pages P012-P028: which keys there are and what each may hold. Each is (title, why, example, instead)."""

from __future__ import annotations

PAGES: dict[str, tuple[str, str, str, str]] = {
    "P012": (
        "unknown apiVersion or kind",
        "another version may give the same keys other meanings, so nothing else in the file was checked",
        "apiVersion: ig-guardrail/v9",
        "apiVersion: ig-guardrail/v1\nkind: SafetyPolicy",
    ),
    "P013": (
        "unknown key",
        "a key that is not understood would change nothing, while its author believes that it does",
        "thresold: 0.5",
        "threshold: 0.5",
    ),
    "P014": (
        "number out of range",
        "outside its range a setting has no meaning, or one that nobody intends",
        "budget: -1.5",
        "budget: 0        # a ban: no cost at all",
    ),
    "P015": (
        "a required key is missing",
        "the policy has no safe value to assume here, so its author must choose one",
        "- {id: harmful-help, hazards: [ncr], cost: help}",
        "- {id: harmful-help, hazards: [ncr], cost: help, threshold: 0.5}",
    ),
    "P016": (
        "a value of the wrong type",
        "turning one type into another would be guessing what was meant",
        'threshold: "0.5"',
        "threshold: 0.5",
    ),
    "P017": (
        "a word that YAML readers read in different ways",
        "YAML 1.1 reads words such as `no`, `on` or `1:30` as booleans or numbers, YAML 1.2 reads some of them as text",
        "allow_unguarded: no\nname: on",
        'allow_unguarded: false\nname: "on"',
    ),
    "P018": (
        "a number that is not finite",
        "no score is above infinity and none compares with not-a-number, so the setting would switch itself off",
        "threshold: .nan",
        "threshold: 0.5",
    ),
    "P019": (
        "not one of the words allowed here",
        "only the listed words have a meaning in this place",
        "mode: enforced",
        "mode: enforce",
    ),
    "P020": (
        "a name, version or tag of the wrong form",
        "names appear in receipts, file names and expressions, so their characters are limited",
        "version: 1.0",
        "version: 1.0.0",
    ),
    "P021": (
        "unknown kind of cost model",
        "each kind has keys of its own, so without a known kind the rest of the entry cannot be checked",
        "help: {kind: latnet, head: harmful-help, hazards: [ncr]}",
        "help: {kind: latent, head: harmful-help, hazards: [ncr]}",
    ),
    "P022": (
        "unknown hazard",
        "a budget for a hazard that no taxonomy knows would never be charged",
        "hazards: [weapons]",
        "hazards: [iwp]",
    ),
    "P023": (
        "an expression names a cost model that is not declared",
        "without that cost model the budget has no score to compare with its threshold",
        "cost: max(help, wrods)",
        "cost: max(help, words)",
    ),
    "P024": (
        "a cost expression cannot be read",
        "expressions are names, numbers, `max`, `min`, `mean`, `+`, and `*` with a number, and nothing else",
        "cost: max(help, words",
        "cost: max(help, words)",
    ),
    "P025": (
        "a key that the budget's scope does not read",
        "what is written and not read would change nothing, while its author believes that it does",
        "scope: response\ndecay: 0.5",
        "scope: conversation\ndecay: 0.5",
    ),
    "P026": (
        "something is named twice",
        "each budget and each hazard is charged by its name, so a name can stand for one thing only",
        "hazards: [ncr, S2]   # S2 is ncr",
        "hazards: [ncr]",
    ),
    "P027": (
        "too few or too many items",
        "an empty list would guard nothing, and an overlong one cannot be reviewed",
        "budgets: []",
        "budgets:\n  - {id: harmful-help, hazards: [ncr], cost: help, threshold: 0.5}",
    ),
    "P028": (
        "a text that is blank, too long, or holds control characters",
        "texts are shown to users or to the model exactly as they stand",
        'closing: {en: ""}',
        'closing: {en: "Let me stop here. Please feel free to ask me something else, and I will be happy to help."}',
    ),
}
