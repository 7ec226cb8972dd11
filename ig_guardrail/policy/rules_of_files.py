"""Rule pages P001-P011: the file as bytes and as YAML. Each is (title, why, example, instead)."""

from __future__ import annotations

PAGES: dict[str, tuple[str, str, str, str]] = {
    "P001": (
        "the policy cannot be read",
        "without its policy a guardrail has nothing to hold an answer to, so nothing is loaded",
        "ig-guardrail policy check policies/defualt.yaml",
        "ig-guardrail policy check policies/default.yaml",
    ),
    "P002": (
        "the file is not UTF-8 text",
        "a policy is read by people and by several programs, and all must see the same characters",
        "a file saved as Latin-1 or UTF-16, or one with control characters",
        "save the file as UTF-8",
    ),
    "P003": (
        "the file is too large",
        "a policy is meant to be read in full by a person; the limit also keeps a hostile file cheap to refuse",
        "a file of more than 262144 bytes",
        "keep long word lists in a cost model, and name that model here",
    ),
    "P004": (
        "the file is not YAML",
        "what cannot be parsed cannot be checked, so nothing past this place was looked at",
        "metadata: {name: default, version: 1.0.0",
        "metadata: {name: default, version: 1.0.0}",
    ),
    "P005": (
        "the file is empty",
        "an empty policy would guard nothing",
        "# only a comment",
        "apiVersion: ig-guardrail/v1\nkind: SafetyPolicy\n...",
    ),
    "P006": (
        "the file holds several documents",
        "with two policies in a file it is unclear which one is in force",
        "kind: SafetyPolicy\n---\nkind: SafetyPolicy",
        "one file for each policy",
    ),
    "P007": (
        "a key is written twice",
        "YAML readers keep one of the two without a word, and not all keep the same one",
        "threshold: 0.5\nthreshold: 0.9",
        "threshold: 0.5",
    ),
    "P008": (
        "a value carries a YAML tag",
        "a tag tells a reader to build some other kind of object; a policy is plain data",
        "threshold: !!python/float 0.5",
        "threshold: 0.5",
    ),
    "P009": (
        "a merge key is used",
        "`<<` mixes keys in from elsewhere, so the value in force is no longer where the reader looks",
        "<<: *base\nthreshold: 0.5",
        "write the keys out, or give a whole value an anchor and repeat it with an alias",
    ),
    "P010": (
        "the file is too deep, or too large once its aliases are written out",
        "a few lines of nested aliases can stand for billions of values; reading stops before that work is done",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]   # and so on",
        "write the values out, or alias single values only",
    ),
    "P011": (
        "an alias has nothing to stand for",
        "an alias stands for a complete value anchored above it",
        "threshold: *usual      # no `&usual` above",
        "threshold: &usual 0.5  # then `*usual` below",
    ),
}
