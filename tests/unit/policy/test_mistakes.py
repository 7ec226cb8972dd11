"""Every mistake is refused, at its exact place, and each gives exactly one fault."""

from __future__ import annotations

import pytest

from ig_guardrail.policy import compile_text
from ig_guardrail.policy.diagnostics.rules import rules
from tests.unit.policy.texts import VALID, edited, faults_of, places

LEXICAL = "kind: lexical, model: words, hazards: [hte, S2]"
CLASSIFIER = "kind: classifier, model: ./mine, hazards: [hte, ncr]"
GUARD = "kind: guard, model: ./mine, format: llama-guard, hazards: [hte, ncr]"
HOSTED = "kind: openai, model: omni-moderation-latest, base_url: http://localhost/v1"

MISTAKES = [
    ("misspelt key", "    threshold: 0.5\n", "    thresold: 0.5\n", "P013 14:5"),
    ("misspelt top-level key", "output: {", "outputs: {", "P013 19:1"),
    ("key of another section", "allow_unguarded: false", "hold: 16", "P013 30:1"),
    ("unheard-of key", "allow_unguarded: false", "colour: red", "P013 30:1"),
    ("missing key", "    threshold: 0.5\n", "", "P015 11:5"),
    ("missing section", "kind: SafetyPolicy\n", "", "P015 1:1"),
    ("missing list item key", "{id: hate, hazards", "{hazards", "P015 17:5"),
    ("negative budget", "budget: 0.05", "budget: -1.5", "P014 15:13"),
    ("threshold above one", "threshold: 0.8", "threshold: 80", "P014 18:34"),
    ("weight of nothing", "weight: 2", "weight: 0", "P014 17:99"),
    ("no candidates", "candidates: 4", "candidates: 0", "P014 22:15"),
    ("enormous integer", "candidates: 4", "candidates: 99999999999999", "P014 22:15"),
    ("trigger of nothing", "trigger: 0.9", "trigger: 0", "P014 24:12"),
    ("forgetful discount", "weight: 2", "discount: 0.9", "P014 17:101"),
    ("quoted number", "    threshold: 0.5", '    threshold: "0.5"', "P016 14:16"),
    ("percentage", "threshold: 0.8", "threshold: 80%", "P016 18:34"),
    ("decimal comma", "    threshold: 0.5\n", "    threshold: 0,5\n", "P016 14:16"),
    ("octal number", "every: 16", "every: 010", "P016 16:12"),
    ("fraction of a token", "every: 16", "every: 16.5", "P016 16:12"),
    ("boolean for a number", "every: 16", "every: yes", "P016 16:12"),
    ("not a number", "    threshold: 0.5", "    threshold: .nan", "P018 14:16"),
    ("infinity", "budget: 0.05", "budget: .inf", "P018 15:13"),
    ("infinity by exponent", "budget: 0.05", "budget: 1e999", "P018 15:13"),
    ("no for false", "allow_unguarded: false", "allow_unguarded: no", "P017 30:18"),
    ("capital false", "allow_unguarded: false", "allow_unguarded: False", "P017 30:18"),
    ("quoted boolean", "allow_unguarded: false", 'allow_unguarded: "false"', "P016 30:18"),
    ("number for a boolean", "allow_unguarded: false", "allow_unguarded: 0", "P016 30:18"),
    ("empty value", "    threshold: 0.5", "    threshold:", "P016 14:15"),
    ("null", "    threshold: 0.5", "    threshold: null", "P016 14:16"),
    ("list for a value", "    threshold: 0.5", "    threshold: [0.5]", "P016 14:16"),
    ("value for a list", "hazards: [iwp, vcr, ncr]\n", "hazards: ncr\n", "P016 12:14"),
    ("value for a mapping", "output: {on_exceed: [search, end]}", "output: end", "P016 19:9"),
    ("misspelt mode", "mode: shadow", "mode: shadwo", "P019 17:108"),
    ("yaml word for a mode", "mode: shadow", "mode: off", "P019 17:108"),
    ("name with spaces", "name: support-bot", "name: Support Bot", "P020 3:18"),
    ("name that yaml reads as a boolean", "name: support-bot", "name: on", "P017 3:18"),
    ("version of two numbers", "version: 1.2.3", "version: 1.2", "P020 3:40"),
    ("language that yaml reads as a boolean", "en-GB:", "no:", "P017 28:45"),
    ("language that is none", "en-GB:", "xx:", "P020 28:45"),
    ("message that is a number", 'refusal: {en: "I cannot help with that."', "refusal: {en: 404", "P017 28:17"),
    ("blank message", 'closing: {en: "I will stop here."}', 'closing: {en: " "}', "P028 29:17"),
    (
        "message of nothing to see",
        'closing: {en: "I will stop here."}',
        'closing: {en: "\\u200b\\u2060"}',
        "P028 29:17",
    ),
    ("message with a control character", '"I will stop here."', '"I will \\x07 stop."', "P028 29:17"),
    ("half of a surrogate pair", '"I will stop here."', '"\\ud83d stop"', "P028 29:17"),
    ("no English for one hazard", 'en-GB: "I cannot."', 'by_hazard: {hte: {de: "Nein."}}', "P036 28:57"),
    ("message for a hazard that is none", 'en-GB: "I cannot."', 'by_hazard: {hate: {en: "No."}}', "P022 28:57"),
    ("messages by hazzard", 'en-GB: "I cannot."', 'by_hazzard: {hte: {en: "No."}}', "P013 28:45"),
    ("one hazard by two names", 'en-GB: "I cannot."', 'by_hazard: {hte: {en: "No."}, S10: {en: "No."}}', "P026 28:75"),
    ("text for no language", 'en-GB: "I cannot."', 'by_hazard: {hte: "No."}', "P016 28:62"),
    ("approval without a reason", 'en-GB: "I cannot."', 'de: {text: "N.", approved: {owner: me}}', "P015 28:62"),
    ("approval by nobody", 'en-GB: "I cannot."', 'de: {text: "N.", approved: {reason: it is kind}}', "P015 28:62"),
    ("approval of nothing", 'en-GB: "I cannot."', "de: {approved: {reason: it is kind, owner: me}}", "P015 28:45"),
    ("approval by a word", 'en-GB: "I cannot."', 'de: {text: "N.", approved: true}', "P016 28:72"),
    ("severity of no hazard", "allow_unguarded: false", "  severity: [hate]", "P022 30:14"),
    ("severity named twice", "allow_unguarded: false", "  severity: [hte, ssh, S11]", "P026 30:24"),
    ("no English", "closing: {en:", "closing: {de:", "P036 29:3"),
    ("message that matches a pattern", '"I will stop here."', '"I do not say foo."', "P035 29:17"),
    ("unknown kind of cost model", "help: {kind: latent", "help: {kind: latnet", "P021 6:16"),
    ("missing kind", "help: {kind: latent, ", "help: {", "P015 6:3"),
    ("misspelt kind key", "help: {kind: latent", "help: {knid: latent", "P013 6:10"),
    ("option of another kind", "model: words, ", "model: words, longest_match: 9, ", "P013 8:40"),
    (
        "cost model named like a function",
        "  help: {",
        "  max: {kind: lexical, model: words, hazards: [hte]}\n  help: {",
        "P020 6:3",
    ),
    ("unknown hazard", "hazards: [ncr, vcr, iwp]", "hazards: [ncr, vcr, weapons]", "P022 6:64"),
    ("hazard by its meaning", "hazards: [ncr, vcr, iwp]", "hazards: [ncr, vcr, privcy]", "P022 6:64"),
    ("hazard twice by an alias", "hazards: [ncr, vcr, iwp]", "hazards: [ncr, vcr, S2]", "P026 6:64"),
    ("no hazards", "hazards: [iwp, vcr, ncr]\n", "hazards: []\n", "P027 12:14"),
    ("all for a cost model", "hazards: [ncr, vcr, iwp]", "hazards: [all]", "P022 6:54"),
    ("unknown cost model", '"max(help, words)"', '"max(help, wrods)"', "P023 13:22"),
    ("unknown cost model in a plain expression", '"mean(tone, 0.5 * slurs)"', "0.5 * slur + tone", "P023 17:54"),
    ("expression torn by a comma", '"mean(tone, 0.5 * slurs)"', "max(tone, words, slurs)", "P024 17:51"),
    ("number torn by a comma", "threshold: 0.8", "threshold: 0,8", "P013 18:36"),
    ("unknown cost model in the prompt check", "prompt: {cost: words", "prompt: {cost: screen", "P023 18:16"),
    ("open bracket", '"max(help, words)"', '"max(help, words"', "P024 13:15"),
    ("unknown function", '"max(help, words)"', '"sum(help, words)"', "P024 13:12"),
    ("product of cost models", '"max(help, words)"', '"help * words"', "P024 13:17"),
    ("subtraction", '"max(help, words)"', '"help - words"', "P024 13:17"),
    ("stray character", '"max(help, words)"', '"help ; words"', "P024 13:17"),
    ("expression without a cost model", '"max(help, words)"', '"0.5"', "P024 13:12"),
    ("expression in a block", 'cost: "max(help, words)"', "cost: >-\n      max(help,\n      wrods)", "P023 13:11"),
    ("a key of another scope", "weight: 2", "decay: 0.5", "P025 17:91"),
    ("scope of nothing known", "weight: 2", "scope: planet", "P019 17:98"),
    ("same budget id", "{id: hate", "{id: harmful-help", "P026 17:10"),
    ("hazards that nothing scores", "hazards: [iwp, vcr, ncr]\n", "hazards: [prv]\n", "P029 12:14"),
    ("latent prompt check", "prompt: {cost: words", "prompt: {cost: help", "P030 18:16"),
    ("more beams than candidates", "beams: 2", "beams: 8", "P031 23:10"),
    ("accept above trigger", "accept: 0.6", "accept: 0.95", "P031 25:11"),
    ("output in the wrong order", "[search, end]", "[end, search]", "P031 19:21"),
    (
        "strategy against output",
        "output: {on_exceed: [search, end]}\nsearch:\n",
        "output: {on_exceed: [search, end]}\nsearch:\n  strategy: cut\n",
        "P031 21:13",
    ),
    (
        "plain strategy against output",
        "output: {on_exceed: [search, end]}\nsearch:\n",
        "output: {on_exceed: [search, end]}\nsearch:\n  strategy: trace_shield\n",
        "P031 21:13",
    ),
    ("strategy of nothing known", "search:\n", "search:\n  strategy: magic\n", "P019 21:13"),
    ("a method for comparisons only", "search:\n", "search:\n  strategy: beam\n", "P042 21:13"),
    ("the switch that a policy is no place for", "search:\n", "search:\n  strategy: none\n", "P019 21:13"),
    (
        "fresh start of another method",
        "on_exceed: search}\noutput: {on_exceed: [search, end]}\nsearch:\n",
        "on_exceed: refuse}\noutput: {on_exceed: [search, end]}\nsearch:\n  restart: Be kind.\n  strategy: resample\n",
        "P031 21:12",
    ),
    ("search after the prompt check under cut", "[search, end]", "[end]", "P031 18:50"),
    ("pattern that RE2 refuses", '"ba.r"', '"(?=bar)"', "P032 9:74"),
    ("pattern that matches nothing", '"ba.r"', '"(bar)?"', "P033 9:74"),
    ("pattern of a word boundary", '"ba.r"', "'\\b'", "P033 9:74"),
    ("pattern longer than its window", '"ba.r"', '"abcdefghijklmnopqrstuvwxyz0123456789"', "P034 9:74"),
    ("border at a letter that RE2 takes for none", '"ba.r"', r"'(?i)\bärger'", "P040 9:74"),
    ("border behind such a letter", '"ba.r"', r"'caf[eé]|café\b'", "P040 9:74"),
    (
        "patterns that are too much work",
        '"ba.r"], longest_match: 32',
        r"'\pL{1,90}b+'], longest_match: 4096",
        "P041 9:42",
    ),
    ("pattern without a pattern", '"ba.r"', "{name: bar}", "P015 9:74"),
    ("pattern with a foreign key", '"ba.r"', '{name: bar, pattern: "ba.r", flags: 1}', "P013 9:103"),
    ("pattern that is a list", '"ba.r"', "[bar]", "P016 9:74"),
    ("two patterns of one name", '"ba.r"', "{name: a, pattern: xyz}, {name: a, pattern: zyx}", "P026 9:106"),
    ("another way to normalise", '"ba.r"]', '"ba.r"], normalise: nfkc', "P019 9:94"),
    ("window of nothing", "longest_match: 32", "longest_match: 0", "P014 9:98"),
    ("duplicate key", "    every: 16\n", "    every: 16\n    every: 32\n", "P007 17:5"),
    ("duplicate key in a flow mapping", "mode: shadow", "mode: shadow, mode: enforce", "P007 17:116"),
    ("tag", "threshold: 0.8", "threshold: !!python/name:os.system 0.8", "P008 18:34"),
    ("merge key", "    every: 16\n", "    <<: {every: 16}\n", "P009 16:5"),
    ("undefined alias", "cost: words", "cost: *words", "P011 18:16"),
    ("alias of itself", "owners: [you@example.org]", "owners: &o [*o]", "P011 3:59"),
    ("key that is a list", "allow_unguarded: false", "? [allow_unguarded]\n: false", "P016 30:3"),
    ("another version", "ig-guardrail/v1", "ig-guardrail/v2", "P012 1:13"),
    ("another kind", "kind: SafetyPolicy", "kind: Policy", "P012 2:7"),
    ("another taxonomy", "ailuminate-1.0", "llama-guard-3", "P019 4:11"),
    ("two documents", "allow_unguarded: false\n", "allow_unguarded: false\n---\nkind: SafetyPolicy\n", "P006 31:1"),
    ("tab for indentation", "    every: 16\n", "\tevery: 16\n", "P004 16:1"),
    ("two colons on a line", "id: harmful-help", "id: harmful: help", "P004 11:16"),
    ("unclosed bracket", "budgets:\n", "budgets: [\n", "P004 11:3"),
    ("hazard without a category", LEXICAL, f"{HOSTED}, hazards: [hte, ncr, prv]", "P037 8:107"),
    (
        "category of a hazard that is not scored",
        LEXICAL,
        f"{HOSTED}, hazards: [hte, ncr], categories: {{prv: [pii]}}",
        "P037 8:121",
    ),
    ("hazard without a label", LEXICAL, f"{CLASSIFIER}, labels: {{hte: [hate]}}", "P038 8:59"),
    (
        "label of a hazard that is not scored",
        LEXICAL,
        f"{CLASSIFIER}, labels: {{hte: [hate], ncr: [crime], prv: [pii]}}",
        "P038 8:101",
    ),
    ("guard without a format", LEXICAL, "kind: guard, model: ./mine, hazards: [hte]", "P015 8:3"),
    ("guard at no address", LEXICAL, f"{GUARD}, base_url: '1'", "P020 8:91"),
    ("categories of another hazard", LEXICAL, f"{GUARD}, categories: {{vcr: [S1]}}", "P037 8:94"),
    ("classifier without labels", LEXICAL, CLASSIFIER, "P015 8:3"),
    (
        "classifier by half a path",
        LEXICAL,
        f"{CLASSIFIER}, labels: {{hte: [a], ncr: [b]}}".replace("./mine", "my/own/mine"),
        "P020 8:36",
    ),
    ("scores of another kind", LEXICAL, f"{CLASSIFIER}, labels: {{hte: [a], ncr: [b]}}, scores: relu", "P019 8:103"),
    (
        "plain http to another machine",
        LEXICAL,
        f"{HOSTED}, hazards: [hte, ncr]".replace("localhost", "a.org"),
        "P020 8:66",
    ),
    ("key in the policy", LEXICAL, f"{HOSTED}, api_key_env: sk-1234, hazards: [hte, ncr]", "P020 8:100"),
    ("module for an entry point", LEXICAL, "kind: python, entry_point: os:system, hazards: [hte, ncr]", "P020 8:38"),
    (
        "option that is a number",
        LEXICAL,
        "kind: python, entry_point: mine, options: {a: 1}, hazards: [hte, ncr]",
        "P017 8:57",
    ),
    ("substitute that is not declared", LEXICAL, f"{LEXICAL}, otherwise: helb", "P023 8:71"),
    ("substitute of other hazards", LEXICAL, f"{LEXICAL}, otherwise: slurs", "P043 8:71"),
    ("substitute of itself", LEXICAL, f"{LEXICAL}, otherwise: words", "P043 8:71"),
    ("scale from nothing", LEXICAL, f"{LEXICAL}, scale: {{from: 0, to: 0.5}}", "P014 8:74"),
    ("scale without an end", LEXICAL, f"{LEXICAL}, scale: {{from: 0.5}}", "P015 8:60"),
    ("swap that is not known", '  steer: "Be kind."\n', "  swaps: [gendre]\n", "P039 26:11"),
    ("unclosed quote", '"Be kind."', '"Be kind.', "P004 26:10"),
]


@pytest.mark.parametrize(("old", "new", "expected"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_one_mistake_gives_one_fault_at_its_exact_place(old: str, new: str, expected: str) -> None:
    policy, faults = compile_text(edited((old, new)), "p.yaml")
    assert policy is None
    assert [f"{code} {line}:{column}" for code, line, column in places(faults)] == [expected]


@pytest.mark.parametrize(("old", "new", "expected"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_every_fault_says_why_and_what_to_write(old: str, new: str, expected: str) -> None:
    (fault,) = faults_of(edited((old, new)))
    assert fault.file == "p.yaml"
    assert fault.message
    assert fault.why
    assert fault.help


def test_the_text_that_is_broken_here_is_valid_and_without_warnings() -> None:
    policy, faults = compile_text(VALID, "p.yaml")
    assert policy is not None
    assert faults == ()


def test_every_rule_about_a_policy_is_broken_by_some_mistake() -> None:
    broken = {expected.split()[0] for *_, expected in MISTAKES}
    tested_elsewhere = {"P001", "P002", "P003", "P005", "P010", "P044", "P045", "P050", "P051", "P052", "P053", "P054"}
    assert broken | tested_elsewhere == {code for code, rule in rules().items() if rule.severity == "error"}
