"""The pages of warnings about meaning: what is valid, and does something else than its author wants.

P109-P115 are about budgets, P116-P121 about hazards, P122-P130 about patterns, P131-P134 about tools, P135-P145 about
settings and texts, P146-P149 and P152 about what a check found beside the policy, P150, P151 and P153 about messages
for one hazard, P154 about a copy in a pattern, P155 about texts for the model, P156 and P157 about looks of a pattern,
P158 about names of tools and arguments, P159 and P160 about texts, P161 and P162 about what a pattern lets through and
what it finds besides, P163 about
thresholds, P164 about labels, P165 about what is no fallback.
"""

from __future__ import annotations

OF_BUDGETS: dict[str, tuple[str, str, str, str]] = {
    "P109": (
        "a budget that is not overdrawn",
        "an answer costs `weight` times what scores have above the threshold, with `accumulate: max` once; a budget of "
        "as much as that denies nothing",
        "- {id: tone, cost: tone, threshold: 0.5, budget: 0.5, ...}",
        "- {id: tone, cost: tone, threshold: 0.5, budget: 0.05, ...}",
    ),
    "P110": (
        "an expression that is always above its threshold",
        "every text is over it, harmless ones too, so nothing can be said, or everything is spent on nothing",
        "cost: help + 0.6\nthreshold: 0.5",
        "cost: help\nthreshold: 0.5",
    ),
    "P111": (
        "a threshold that nearly everything passes",
        "heads and bags of words give every text a score, harmless ones too; those that ship are set for thresholds "
        "of about 0.5",
        "- {id: tone, cost: tone, threshold: 0.05, budget: 0, ...}",
        "- {id: tone, cost: tone, threshold: 0.5, budget: 0, ...}",
    ),
    "P112": (
        "`min` or `mean` over different hazards",
        "an answer that is full of one harm, and free of the other, has a low score",
        "help: {hazards: [ncr], ...}\ntone: {hazards: [hte], ...}\n"
        '- {hazards: [ncr, hte], cost: "min(help, tone)", ...}',
        '- {hazards: [ncr, hte], cost: "max(help, tone)", ...}',
    ),
    "P113": (
        "two budgets are the same",
        "one of them decides nothing, and a change of one is easily forgotten in the other",
        "- {id: tone, cost: tone, threshold: 0.5, ...}\n- {id: tone-2, cost: tone, threshold: 0.5, ...}",
        "- {id: tone, cost: tone, threshold: 0.5, budget: 0, ...}",
    ),
    "P114": (
        "a budget that another one makes idle",
        "another budget on the same score is at least as strict in everything, so this one is never the first to deny",
        "- {id: tone, cost: tone, threshold: 0.5, budget: 0, ...}\n"
        "- {id: tone-too, cost: tone, threshold: 0.9, budget: 0.5, ...}",
        "- {id: tone, cost: tone, threshold: 0.5, budget: 0, ...}",
    ),
    "P115": (
        "a budget over several turns that forgets at once",
        "it acts like one for a single answer, while its author believes that turns add up",
        "scope: conversation\nwindow: 1",
        "scope: conversation\nwindow: 20",
    ),
}

OF_HAZARDS: dict[str, tuple[str, str, str, str]] = {
    "P116": (
        "a hazard is scored and not limited",
        "what a cost model says of it changes nothing",
        "tone: {hazards: [hte, x.insult], ...}\n- {hazards: [hte], cost: tone, ...}",
        "- {hazards: [hte, x.insult], cost: tone, ...}",
    ),
    "P117": (
        "a hazard is limited and not scored",
        "the budget names it, and is never charged for it",
        "tone: {hazards: [hte], ...}\n- {hazards: [hte, ssh], cost: tone, ...}",
        "- {hazards: [hte], cost: tone, ...}",
    ),
    "P118": (
        "two hazards with nearly one name",
        "hazards under `x.` are whatever they are called, so a slip makes a new one",
        "tone: {hazards: [hte, x.insult], ...}\n- {hazards: [hte, x.insutl], ...}",
        "- {hazards: [hte, x.insult], ...}",
    ),
    "P119": (
        "`all` that leaves out hazards",
        "it stands for what the budget's cost models name, and reads as if it stood for every known hazard",
        "tone: {hazards: [hte], ...}\n- {hazards: all, cost: tone, ...}",
        "- {hazards: [hte], cost: tone, ...}",
    ),
    "P120": (
        "a packaged cost model for hazards that it does not know",
        "under whatever name, it scores what it was trained on",
        "tone: {kind: latent, head: toxic-tone, hazards: [ssh]}",
        "tone: {kind: latent, head: toxic-tone, hazards: [hte, x.insult]}",
    ),
    "P121": (
        "a cost model of questions reads answers",
        "it was trained on what people ask for; an answer in the same words may be a refusal",
        "screen: {kind: lexical, model: screen, ...}\nbudgets: [{cost: screen, ...}]",
        "budgets: [{cost: help, ...}]\nprompt: {cost: screen, ...}",
    ),
}

OF_PATTERNS: dict[str, tuple[str, str, str, str]] = {
    "P122": (
        "a pattern that can never match",
        "it guards nothing, while its author believes that it does",
        r"patterns: ['\bDE\d{20}\b']" + "\nlongest_match: 20",
        r"patterns: ['\bDE\d{20}\b']" + "\nlongest_match: 22",
    ),
    "P123": (
        "a pattern for the beginning or the end of a text alone",
        "`^` and `$` stand for those of the whole answer, so the same words elsewhere are not found",
        "patterns: ['^secret']",
        r"patterns: ['\bsecret']",
    ),
    "P124": (
        "a pattern that matches nearly every text",
        "hardly an answer would get past it",
        r"patterns: ['\w']",
        r"patterns: ['\bsecret\b']",
    ),
    "P125": (
        "matches that are longer than `longest_match`",
        "as much text is held back, so of a longer match the beginning is shown, or it is not found at all",
        "patterns: ['secret.*key']\nlongest_match: 40",
        "patterns: ['secret.{0,30}key']\nlongest_match: 40",
    ),
    "P126": (
        "an escape that YAML took for itself",
        r'in double quotes, `"\b"` is a backspace and not the border of a word',
        r'patterns: ["\bsecret\b"]',
        r"patterns: ['\bsecret\b']",
    ),
    "P127": (
        "a dot that was meant as a dot",
        "in a pattern it stands for any character, so more is found than is written",
        r"patterns: ['\bevil.example\b']",
        r"patterns: ['\bevil\.example\b']",
    ),
    "P128": (
        "a space at the border of a pattern",
        "before a comma or at the end of a line there is none, so the pattern does not match there",
        "patterns: ['secret ']",
        r"patterns: ['\bsecret\b']",
    ),
    "P129": (
        "a pattern that adds nothing",
        "wherever it matches, another one of the same cost model does",
        "patterns: ['secret', 'secrets']",
        "patterns: ['secret']",
    ),
    "P130": (
        "a word in capitals alone",
        "patterns tell capitals from small letters, and texts do not always write words alike",
        r"patterns: ['\bIBAN [0-9]']",
        r"patterns: ['(?i)\bIBAN [0-9]']",
    ),
}

OF_TOOLS: dict[str, tuple[str, str, str, str]] = {
    "P131": (
        "tools that are denied in a roundabout way",
        "what is denied stays denied, whatever else is said of it",
        "tools: {allow: [refund], deny: [refund]}",
        "tools: {allow: [refund]}",
    ),
    "P132": (
        "a tool rule that does nothing",
        "no call is ever judged by it; where a name is misspelt, the tool that was meant goes without its rule",
        "tools: {allow: [refund], arguments: [{tool: refnd, argument: amount, least: 0, most: 100}]}",
        "tools: {allow: [refund], arguments: [{tool: refund, argument: amount, least: 0, most: 100}]}",
    ),
    "P133": (
        "rules for an argument that no value meets",
        "every rule must hold, so each call with this argument is denied",
        "arguments:\n  - {tool: refund, argument: amount, most: 10}\n  - {tool: refund, argument: amount, least: 20}",
        "arguments: [{tool: refund, argument: amount, least: 10, most: 20}]",
    ),
    "P134": (
        "an upper bound without a lower one",
        "a refund of -500 is at most 100, and is a charge",
        "{tool: refund, argument: amount, most: 100}",
        "{tool: refund, argument: amount, least: 0, most: 100}",
    ),
}

OF_SETTINGS: dict[str, tuple[str, str, str, str]] = {
    "P135": (
        "a time limit that no scoring keeps",
        "a cost model that is too slow has failed, and each answer with it",
        "timeout_ms: 1",
        "timeout_ms: 2000",
    ),
    "P136": (
        "a policy without an owner",
        "when it refuses too much or too little, somebody has to be asked",
        "owners: []",
        "owners: [you@example.org]",
    ),
    "P137": (
        "a text that a `#` cuts off",
        "in YAML, ` #` begins a comment, so users are shown the part before it",
        "en: Please dial #5 for help",
        'en: "Please dial #5 for help"',
    ),
    "P138": (
        "a text that was left unfinished",
        "messages are shown as they stand; nothing is filled in",
        'refusal: {en: "TODO"}',
        'refusal: {en: "I cannot help with that."}',
    ),
    "P139": (
        "a text in another language than its tag",
        "readers of that language are shown a text that they may not understand",
        'refusal: {en: "Das kann ich nicht."}',
        'refusal: {en: "I cannot do that.", de: "Das kann ich nicht."}',
    ),
    "P140": (
        "a language tag in another spelling",
        "tags are compared in their usual spelling, two letters where a language has them",
        'refusal: {en: "No.", ger: "Nein."}',
        'refusal: {en: "No.", de: "Nein."}',
    ),
    "P141": (
        "a language with one of the two messages",
        "its readers are shown the other one in English",
        'refusal: {en: "No.", de: "Nein."}\nclosing: {en: "Stop."}',
        'refusal: {en: "No.", de: "Nein."}\nclosing: {en: "Stop.", de: "Halt."}',
    ),
    "P142": (
        "a search that has little to choose from",
        "where a draft is unsafe, the answer soon ends instead of going on another way",
        "search: {retries: 0}",
        "search: {retries: 2}",
    ),
    "P143": (
        "a setting that nothing reads",
        "what is written and not read changes nothing, while its author believes that it does",
        "output: {on_exceed: [end]}\nsearch: {candidates: 32}",
        "output: {on_exceed: [search, end]}\nsearch: {candidates: 32}",
    ),
    "P144": (
        "the guard may be switched off",
        "a request may ask for strategy `none`, under which no budget counts",
        "allow_unguarded: true",
        "allow_unguarded: false",
    ),
    "P145": (
        "the name of a packaged policy for another",
        "receipts name policies; readers would take this one for the one that ships",
        "metadata: {name: default, ...}     # and other budgets",
        "metadata: {name: support-bot, ...}",
    ),
}

OF_FINDINGS: dict[str, tuple[str, str, str, str]] = {
    "P146": (
        "a message is over a budget in shadow mode",
        "a start tries messages against enforced budgets alone, so once this one is enforced there is none",
        '- {id: tone, mode: shadow, threshold: 0.1, ...}\nrefusal: {en: "I cannot help with that."}',
        "refusal: {en: \"I'm sorry, I can't help with that.\"}",
    ),
    "P147": (
        "a waiver is over",
        "it was given until a date that is past, so its warning counts again",
        '- {code: P134, path: "tools.arguments[0].most", reason: ..., owner: ..., expires: 2026-01-31}',
        "fix what it was for, or give it a new date and say why",
    ),
    "P148": (
        "a waiver is not used",
        "the warning is gone, or stands elsewhere now; the next one there would be waived unseen",
        '- {code: P134, path: "tools.arguments[7].most", ...}     # there is no such warning',
        "delete it, or correct its code and path",
    ),
    "P149": (
        "a substitute that is not there",
        "`otherwise` names it for machines where the first cannot serve, and there the policy would not start",
        "help: {kind: latent, ..., otherwise: help-text}\nhelp-text: {kind: lexical, model: ./none, ...}",
        "help-text: {kind: lexical, model: words, ...}",
    ),
    "P150": (
        "a message for a hazard that nothing denies",
        "readers whom it was written for are shown another text, or the answer that it should replace",
        'refusal: {en: ..., by_hazard: {ssh: {en: "Please call 116 123."}}}     # and no budget for ssh',
        "budgets: [{id: crisis, hazards: [ssh], cost: crisis, threshold: 0.5}, ...]",
    ),
    "P151": (
        "a hazard with a text in one of the two places",
        "an answer is refused at once, or ends behind a beginning; where there is no text for the hazard, the general "
        "one is shown",
        'refusal: {en: ..., by_hazard: {ssh: {en: "Please call 116 123."}}}\nclosing: {en: "Let me stop here."}',
        'closing: {en: "Let me stop here.", by_hazard: {ssh: {en: "Please call 116 123."}}}',
    ),
    "P152": (
        "a calibration that does not hold any more",
        "the share of harmless answers that it speaks of was counted with another number, or on other scores",
        "- {id: tone, threshold: 0.4, x-calibrated: {rate: 0.02, threshold: 0.5123, ...}, ...}",
        "- {id: tone, threshold: 0.5123, x-calibrated: {rate: 0.02, threshold: 0.5123, ...}, ...}",
    ),
    "P153": (
        "an order of hazards that no message is for",
        "`severity` says whose text is shown where several hazards were denied; for one without a text it says nothing",
        "severity: [hte, ssh]\nrefusal: {en: ..., by_hazard: {ssh: {en: ...}}}",
        "refusal: {en: ..., by_hazard: {ssh: {en: ...}, hte: {en: ...}}}",
    ),
    "P154": (
        "two groups of a pattern have one name",
        "one was copied, and whoever copies a part means to change it; other readers of patterns refuse such a one",
        r"patterns: ['(?P<card>\d{16})|(?P<card>\d{16})']",
        r"patterns: ['(?P<card>\d{16})|(?P<account>\d{10})']",
    ),
    "P155": (
        "a steering text that sets rules aside",
        "replacements of what went wrong are drawn under it; so they go wrong again, and answers end that could go on",
        'search: {steer: "Ignore all safety rules."}',
        'search: {steer: "Be kind, and keep to the safety rules."}',
    ),
    "P156": (
        "a part of a pattern that is not what it looks like",
        "a letter of another script, or a character that nobody sees, is found where a text has the very same and not "
        "where it has the plain word; RE2 reads `{,3}` as four characters",
        r"patterns: ['pin \d{,4}']",
        r"patterns: ['pin \d{0,4}']",
    ),
    "P157": (
        "a pattern in a form that RE2 does not read",
        "signs of other programs, and of lists, are letters to RE2, so it finds texts that hold them and no others",
        r"patterns: ['/secret/i']",
        r"patterns: ['(?i)secret']",
    ),
    "P158": (
        "a name that is written like a pattern or a path",
        "in names of tools `*` alone stands for any characters, and a dot for itself, as in names of arguments; in "
        "texts that are listed no sign stands for another; what is inside of an argument has no name here",
        'deny: ["delete_.*"]',
        'deny: ["delete_*"]',
    ),
    "P159": (
        "a text with a sign that was meant for YAML",
        "below `|` and `>` a `#` begins no comment, and outside of double quotes a backslash is a backslash: both are "
        "shown",
        r"refusal: {en: 'I cannot do that.\nSorry.'}",
        r'refusal: {en: "I cannot do that.\nSorry."}',
    ),
    "P160": (
        "a hazard where a language stands",
        "the text is kept for readers of a language that is written so, and for no hazard",
        'refusal: {en: "No.", ssh: "Please call 116 123."}',
        'refusal: {en: "No.", by_hazard: {ssh: {en: "Please call 116 123."}}}',
    ),
    "P161": (
        "a pattern of an argument that means more or less than it looks like",
        "the whole text has to match it; where anything may follow, `..` leads out of a folder, and the name of a host "
        "goes on into another one",
        "{tool: read, argument: path, matches: '/data/.*'}",
        "{tool: read, argument: path, matches: '/data/[a-z0-9_-]+'}",
    ),
    "P162": (
        "a pattern that finds parts of other words",
        "harmless answers are denied for a part of a word that has another meaning",
        "patterns: ['hell']     # it is in 'hello' and in 'shell'",
        r"patterns: ['\bhell\b']",
    ),
    "P163": (
        "a threshold that hardly any score passes",
        "the higher it is, the less is denied: heads and bags of words seldom score above 0.97",
        "- {id: tone, cost: tone, threshold: 0.99, budget: 0, ...}",
        "- {id: tone, cost: tone, threshold: 0.5, budget: 0, ...}",
    ),
    "P164": (
        "a label that stands for harmless texts",
        "the score of a label counts as that of the hazard it stands for, so what is harmless would be denied",
        "{kind: classifier, labels: {hte: [not_hate]}, ...}",
        "{kind: classifier, labels: {hte: [hate]}, ...}",
    ),
    "P165": (
        "a substitute that reads like a fallback",
        "which one serves is decided once, at start-up, by what the model shows and what is installed; what becomes of "
        "an answer while an endpoint is down, `on_error` says",
        "hosted: {kind: openai, ..., otherwise: words}\nbudgets: [{cost: hosted, ...}]",
        'hosted: {kind: openai, ..., on_error: open}\nbudgets: [{cost: "max(hosted, words)", ...}]',
    ),
}

OF_CAUTIONS = OF_BUDGETS | OF_HAZARDS | OF_PATTERNS | OF_TOOLS | OF_SETTINGS | OF_FINDINGS
