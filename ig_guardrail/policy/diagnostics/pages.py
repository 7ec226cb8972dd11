"""The pages of the rule book, by code; each is (title, why, example, instead).

P001-P011 are about the file as bytes and as YAML, P012-P028 about keys and what each may hold, P029-P045 about parts of
a policy that do not fit each other or what is there, P050-P054 about policies that extend others, P101-P108 about
policies that work, but perhaps not as meant; more of those are in `cautions`.
"""

from __future__ import annotations

from ig_guardrail.policy.diagnostics.cautions import OF_CAUTIONS

OF_SHAPE: dict[str, tuple[str, str, str, str]] = {
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


OF_FILES: dict[str, tuple[str, str, str, str]] = {
    "P001": (
        "the policy cannot be read",
        "without its policy a guardrail has nothing to hold an answer to, so nothing is loaded",
        "ig-guardrail policy check policies/defualt.yaml",
        "ig-guardrail policy check policies/default.yaml",
    ),
    "P002": (
        "the file is not UTF-8 text",
        "a policy is read by people and by several programs, and all must see the same characters",
        "a file saved as Latin-1 or UTF-16, or one with characters that turn the order of others",
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


OF_MEANING: dict[str, tuple[str, str, str, str]] = {
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
        "hazards and categories do not meet",
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
    "P042": (
        "a search method that is for comparisons only",
        "baselines are there to be measured against, by `ig-guardrail eval` and `run --strategy`; users of a policy "
        "are served better by the others, which docs/results.md shows",
        "search: {strategy: beam}",
        "search: {strategy: inference_guard}",
    ),
    "P043": (
        "a cost model that cannot serve instead of another",
        "`otherwise` names what scores the same hazards under the same name; a chain of them has an end",
        "help: {kind: latent, hazards: [ncr], otherwise: tone, ...}\ntone: {kind: lexical, hazards: [hte], ...}",
        "help: {kind: latent, hazards: [ncr], otherwise: help-in-words, ...}\n"
        "help-in-words: {kind: lexical, hazards: [ncr], ...}",
    ),
    "P044": (
        "what a cost model is made of is not there",
        "no guardrail starts without it",
        "tone: {kind: latent, head: toxic-tome, hazards: [hte]}",
        "tone: {kind: latent, head: toxic-tone, hazards: [hte]}",
    ),
    "P045": (
        "a message is over a budget of its own policy",
        "messages are shown as they stand, without a charge, so they must keep the budgets they stand in for: no "
        "guardrail starts with this one. Word it differently, or let somebody who answers for it approve it",
        'refusal: {en: "Get lost, you fool."}',
        'refusal: {en: {text: "Get lost, you fool.", approved: {owner: you@example.org, reason: "our brand voice"}}}',
    ),
}


OF_PARENTS: dict[str, tuple[str, str, str, str]] = {
    "P050": (
        "a policy cannot extend this parent",
        "without its parent a policy is only a part of one, and says nothing of what the parent guards",
        "extends: ../base/polcy.yaml",
        "extends: ../base/policy.yaml",
    ),
    "P051": (
        "the parent is of another version",
        "a child was written and tested for the versions that it names, and another one may say other things",
        'extends: {policy: strict, version: ">=2.0"}',
        'extends: {policy: strict, version: ">=1.0,<2"}',
    ),
    "P052": (
        "something is not shown to be as strict as in the parent",
        "a policy that extends another may only tighten it, so that its owners can rely on it wherever it is extended",
        "extends: strict\nbudgets: [{id: toxic-tone, threshold: 0.8}]",
        "extends: strict\nbudgets: [{id: toxic-tone, threshold: 0.3}]",
    ),
    "P053": (
        "`loosenable` names nothing that could be loosened",
        "its author believes that something may be loosened, and it may not; searching may be changed without leave",
        "loosenable: [budgets.toxic-tome.threshold]",
        "loosenable: [budgets.toxic-tone.threshold]",
    ),
    "P054": (
        "a change to a part that the parent does not have",
        "a budget or a cost model that is written in part changes the parent's one of that name, and there is none",
        "extends: strict\nbudgets: [{id: toxic-tome, threshold: 0.3}]",
        "extends: strict\nbudgets: [{id: toxic-tone, threshold: 0.3}]",
    ),
}


OF_WARNINGS: dict[str, tuple[str, str, str, str]] = {
    "P101": (
        "a cost model is not used",
        "it costs time to load and judges nothing",
        "cost_models: {help: {...}, tone: {...}}\nbudgets: [{cost: help, ...}]",
        "budgets: [{cost: max(help, tone), ...}]",
    ),
    "P102": (
        "a cost model fails open",
        "when it fails or is too slow, the answer goes on without its judgement; receipts say so, users do not see it",
        "on_error: open",
        "on_error: closed",
    ),
    "P103": (
        "nothing is enforced",
        "in shadow mode costs are recorded, and no answer is ever held back",
        "budgets: [{mode: shadow, ...}]",
        "budgets: [{mode: enforce, ...}]",
    ),
    "P104": (
        "text waits longer than it has to",
        "text is released only up to the last charge point that was passed, so wide charge points delay a stream",
        "budgets: [{every: 64, ...}]\nsearch: {block: 16, hold: 16}",
        "budgets: [{every: 16, ...}]",
    ),
    "P105": (
        "a threshold that no score can pass",
        "only what lies above the threshold counts, and scores end at 1 or, with a factor, below it",
        "cost: 0.5 * help\nthreshold: 0.6",
        "cost: help\nthreshold: 0.6",
    ),
    "P106": (
        "a cost model scores none of a budget's hazards",
        "it takes part in the expression with score 0 only",
        "tone: {hazards: [hte], ...}\n- {hazards: [ncr], cost: max(help, tone), ...}",
        "- {hazards: [ncr, hte], cost: max(help, tone), ...}",
    ),
    "P107": (
        "a cost model sends answers to another machine",
        "whoever runs it can read every draft, those that are never shown too, and what is asked where the prompt "
        "check uses it",
        "hosted: {kind: openai, model: omni-moderation-latest, ...}",
        "hosted: {kind: openai, model: omni-moderation-latest, base_url: http://127.0.0.1:8000/v1, ...}",
    ),
    "P108": (
        "the beginning of a recited run may be shown",
        "a run of `hard` tokens is never shown whole, but what was shown of it before the last one stays, and the "
        "search has to go on from there",
        "origin: {kind: provenance, hard: 12, ...}\nsearch: {hold: 4}",
        "origin: {kind: provenance, hard: 12, ...}\nsearch: {hold: 16}",
    ),
}

PAGES = OF_FILES | OF_SHAPE | OF_MEANING | OF_PARENTS | OF_WARNINGS | OF_CAUTIONS
