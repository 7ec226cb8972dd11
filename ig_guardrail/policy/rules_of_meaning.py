"""Rule pages P029-P041: parts of a policy that do not fit each other. Each is (title, why, example, instead)."""

from __future__ import annotations

PAGES: dict[str, tuple[str, str, str, str]] = {
    "P029": (
        "a budget and its cost models share no hazard",
        "no cost model would ever score the hazards of this budget, so it could never be spent",
        "tone: {kind: latent, head: toxic-tone, hazards: [hte]}\n- {id: weapons, hazards: [iwp], cost: tone, ...}",
        "- {id: hate, hazards: [hte], cost: tone, ...}",
    ),
    "P030": (
        "the prompt check names a cost model that reads the answer's hidden states",
        "the prompt is checked before anything is decoded, when there are no hidden states of an answer to read",
        "prompt: {cost: help, ...}     # help is kind: latent",
        "prompt: {cost: screen, ...}   # screen is kind: lexical",
    ),
    "P031": (
        "two settings contradict each other",
        "one of the two would quietly win, and which one is not written anywhere",
        "search: {candidates: 4, beams: 8}",
        "search: {candidates: 8, beams: 4}",
    ),
    "P032": (
        "a pattern is not a regular expression that RE2 accepts",
        "patterns run on every answer, so only those that RE2 can match in linear time are allowed",
        "patterns: ['(a+)\\1']",
        "patterns: ['a+']",
    ),
    "P033": (
        "a pattern matches without reading a character",
        "it would match in every answer, whatever that says",
        "patterns: ['(foo)*']",
        "patterns: ['(foo)+']",
    ),
    "P034": (
        "a pattern is longer than its longest match",
        "matches are looked for in windows of `longest_match` characters, and this one fits in none",
        "patterns: ['unfortunately']\nlongest_match: 8",
        "patterns: ['unfortunately']\nlongest_match: 13",
    ),
    "P035": (
        "a pre-approved message contains a match of one of the policy's own patterns",
        "messages are shown as they stand, without a charge, so they must keep the rules they speak for",
        "patterns: ['foo']\nrefusal: {en: \"I do not say foo.\"}",
        'refusal: {en: "I do not say that."}',
    ),
    "P036": (
        "a message has no English text",
        "`en` is what a reader is shown whose language has no text of its own",
        'refusal: {de: "Das kann ich nicht."}',
        'refusal: {en: "I cannot do that.", de: "Das kann ich nicht."}',
    ),
    "P037": (
        "hazards and categories of a moderations endpoint do not meet",
        "a hazard is scored by the categories that stand for it, and without one it would never be",
        "{kind: openai, model: omni-moderation-latest, hazards: [hte, prv]}",
        "{kind: openai, model: omni-moderation-latest, hazards: [hte]}",
    ),
    "P038": (
        "hazards and labels of a classifier do not meet",
        "a hazard is scored by the labels that stand for it, and without one it would never be",
        "{kind: classifier, model: ./mine, labels: {hte: [hate]}, hazards: [hte, ssh]}",
        "{kind: classifier, model: ./mine, labels: {hte: [hate]}, hazards: [hte]}",
    ),
    "P039": (
        "a swap is not known, or its lexicon cannot be read",
        "without the words to exchange, a reading of both wordings would find no difference between them",
        "search: {swaps: [sex]}",
        "search: {swaps: [gender]}   # or a lexicon of your own: [./swaps.json]",
    ),
    "P040": (
        "a pattern asks for the border of a word at a letter beyond ASCII",
        "RE2's `\\b` takes ASCII letters, digits and `_` for parts of words, so `\\bÄ` finds an Ä inside a word alone",
        r"patterns: ['(?i)\bärger']",
        r"patterns: ['(?i)(?:^|[^\pL])ärger']",
    ),
    "P041": (
        "the patterns of a cost model are too much work",
        "each scoring looks for all of them, and nothing is shown meanwhile; the count is the size of the compiled "
        "patterns times the characters of a window",
        "patterns: ['(?s)a.{0,900}b', ...]   # 200 of this kind\nlongest_match: 4096",
        "patterns: ['(?s)a.{0,60}b', ...]\nlongest_match: 64",
    ),
}
