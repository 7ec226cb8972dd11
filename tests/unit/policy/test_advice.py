"""What faults say: the message, the words beside the carets, and the advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail.policy import Diagnostic, check_files
from tests.unit.policy.texts import VALID, edited, faults_of

LEXICAL = "kind: lexical, model: words, hazards: [hte, S2]"
HOSTED = "kind: openai, model: m, base_url: http://localhost/v1, hazards: [hte, ncr]"
SAID = [
    ("    threshold: 0.5\n", "    thresold: 0.5\n", "unknown key `thresold`", "write `threshold`"),
    ("allow_unguarded: false", "hold: 16", "unknown key `hold`", "`hold` is a key of the search"),
    ("allow_unguarded: false", "version: 2.0.0", "unknown key `version`",
     "write it under `metadata`: `metadata: {version: 2.0.0}`"),
    ("allow_unguarded: false", "authors: [safety@example.org]", "unknown key `authors`",
     "write it under `metadata`: `metadata: {owners: [...]}`"),
    ("allow_unguarded: false", "languages: [en, de]", "unknown key `languages`",
     "a policy has the languages that its messages have: `messages: {refusal: {en: ...}, closing: {en: ...}}`"),
    ("allow_unguarded: false", "tools: {limits: [{id: pays, tool: pay, calls: 3, scope: tenant}]}",
     "unknown key `scope`",
     "delete it: a limit counts the calls of a conversation, and neither those of a tenant nor those of a time"),
    ("allow_unguarded: false", "tools: {arguments: [{argument: amount, most: 5, required: true}]}",
     "unknown key `required`",
     "delete it: a rule limits an argument where it is given; what must be given is said by the tool's own schema"),
    ("allow_unguarded: false", "tools: {arguments: [{argument: table, none_of: [users]}]}", "unknown key `none_of`",
     "a rule says what an argument may be: write `one_of`, `matches`, `least` or `most`"),
    ("allow_unguarded: false", "tools: {arguments: [{argument: text, matches: a, max_length: 100}]}",
     "unknown key `max_length`",
     "limit a number by `least` and `most`, and a text by `matches`, such as `'(?s).{0,100}'` for its length"),
    ("allow_unguarded: false", "tools: {rate_limits: [{id: pays, tool: pay, calls: 3}]}", "unknown key `rate_limits`",
     "write `limits`"),
    ("mode: on_risk", "mode: never", "`mode` is `never`",
     "to end answers rather than search for others, write `output: {on_exceed: [end]}`"),
    ("prompt: {cost: words, threshold: 0.8, on_exceed: search}", "prompt: refuse", "`prompt` is a single value",
     "write `{on_exceed: refuse}`, with what else is said of the prompt check beside it"),
    ("allow_unguarded: false", "streaming: true", "unknown key `streaming`",
     "delete it: models, logs and limits of requests are set where the policy is served (docs/server.md)"),
    ("allow_unguarded: false", "system: Be kind.", "unknown key `system`",
     "delete it: the system message is the application's; what a search is told besides is `search: {steer: ...}`"),
    ("mode: shadow", "mode: shadow, action: redact", "unknown key `action`",
     "delete it: `output: {on_exceed: [...]}` says for all budgets what follows; no part of a text is blanked out"),
    ("on_exceed: search}", "action: search}", "unknown key `action`", "write `on_exceed`"),
    ("mode: shadow", "mode: shadow, reset: daily", "unknown key `reset`",
     "what is spent is forgotten over turns, not over time: write `decay` or `window`"),
    ("allow_unguarded: false", "tools: {default: deny}", "unknown key `default`",
     "delete it: with `allow`, what it does not name is denied; without, what `deny` does not name is allowed"),
    ("allow_unguarded: false", "tools: {approval: [pay]}", "unknown key `approval`",
     "a policy asks nobody: deny the tool, limit its `arguments`, or by `limits` how often it is called"),
    ("allow_unguarded: false", "tools: {results: {cost: words}}", "unknown key `results`",
     "delete it: what tools return is judged by `prompt`, as what users write is"),
    ("mode: shadow", "mode: off", "`mode` is `off`",
     "to have it record and deny nothing, write `shadow`; to have no such budget, delete it"),
    ("allow_unguarded: false", "reasoning: {judge: true}", "`reasoning` is a mapping", "write `charge` or `ignore`"),
    ("budget: 0.05", "budget: -1.5", "`budget` is negative", "to ban the hazard, write `budget: 0`"),
    ("threshold: 0.8", "threshold: 80", "`threshold` is too large", "write a share of 1: for 50 percent, 0.5"),
    ("threshold: 0.8", "threshold: 80%", "`threshold` is not a number", "write a share of 1: 0.8"),
    ("    threshold: 0.5\n", "    threshold: 0,5\n", "`threshold` is not a number", "write a point: 0.5"),
    ("threshold: 0.8", "threshold: 0,8", "unknown key `8`", "for a fraction write a point, such as 0.5"),
    ('    threshold: 0.5', '    threshold: "0.5"', "`threshold` is not a number", "write 0.5 without quotes"),
    ("every: 16", "every: 010", "`every` is not a number", "write 10: with a leading 0, YAML 1.1 counts in eights"),
    ("allow_unguarded: false", "allow_unguarded: no", "`allow_unguarded` is `no`", "write `false`, without quotes"),
    ("name: support-bot", "name: Support Bot", "`Support Bot` is not a name", "write `support-bot`"),
    ("version: 1.2.3", "version: 1.2", "`1.2` is not a version of three numbers", "write `1.2.0`"),
    ("allow_unguarded: false", 'tools: {deny: [""]}', "`` is not a tool's name, with `*` for any characters",
     "write a tool's name, with `*` for any characters, such as `delete_*`"),
    ("en-GB:", "xx:", "`xx` is not a language tag", "write a language tag, such as `pt-BR`"),
    ("hazards: [iwp, vcr, ncr]\n", "hazards: ncr\n", "`hazards` is a single value", "write [ncr]"),
    ("hazards: [iwp, vcr, ncr]\n", "hazards: [hate]\n", "there is no hazard `hate`", "did you mean `hte` (hate)?"),
    ("hazards: [iwp, vcr, ncr]\n", "hazards: [s2]\n", "there is no hazard `s2`",
     "did you mean `S2` (non-violent crimes)?"),
    ("help: {kind: latent", "help: {kind: latnet", "there is no kind `latnet` of cost model", "did you mean `latent`?"),
    ('"max(help, words)"', '"max(help, wrods)"', "there is no cost model `wrods`", "did you mean `words`?"),
    ("prompt: {cost: words", "prompt: {cost: help", "the prompt check cannot use `help`",
     "name a cost model that reads text: `words`, `slurs`"),
    ("weight: 2", "scope: user", "`scope` is `user`", "did you mean `tenant`?"),
    ("allow_unguarded: false", "tools: {limits: {pays: {tool: pay, calls: 3}}}", "`limits` is a mapping",
     "write each as an item of a list, with its name as `id`: `- {id: pays, ...}`"),
    ("weight: 2", "scope: session", "`scope` is `session`", "did you mean `conversation`?"),
    ("weight: 2", "scope: house", "`scope` is `house`", "write `response`, `conversation`, `tool` or `tenant`"),
    ("weight: 2", "scope: [conversation, tenant]", "`scope` is a list",
     "write one, and a budget of its own for each other"),
    ("mode: shadow", "mode: monitor", "`mode` is `monitor`", "did you mean `shadow`?"),
    ("on_exceed: search", "on_exceed: block", "`on_exceed` is `block`", "did you mean `refuse`?"),
    ("allow_unguarded: false", "tools: {allow: all}", "`allow` is a single value",
     "delete the key: without it, every tool that is not denied may be called"),
    ("allow_unguarded: false", "tools: {deny: none}", "`deny` is a single value",
     "delete the key: without it, no tool is denied"),
    ("allow_unguarded: false", "tools: {arguments: [{argument: currency, equals: [EUR]}]}", "unknown key `equals`",
     "write `one_of`"),
    ("allow_unguarded: false", "fallback: Sorry.", "unknown key `fallback`",
     "what is shown instead are the texts `refusal` and `closing`"),
    ("allow_unguarded: false", "remove: [hate]", "unknown key `remove`",
     "name nothing to be taken away: a policy that extends another adds to it, and tightens it"),
    ("allow_unguarded: false", "extends: strict@1.0",
     "`strict@1.0` is not a packaged policy, or the path of a file, which contains `/` or ends with `.yaml`",
     'write `{policy: strict, version: ">=1.0"}`'),
    ("allow_unguarded: false", "extends: [strict, default]", "`extends` is a list",
     "write one policy, which may extend the next itself"),
    (LEXICAL, f"{LEXICAL}, otherwise: [slurs, words]", "`otherwise` is a list",
     "write one, and the next as `otherwise` of that"),
    ("  closing: {en:", '  de: {refusal: "Nein."}\n  closing: {en:', "unknown key `de`",
     "write it under each message: `refusal: {de: ...}`, `closing: {de: ...}`"),
    ("weight: 2", "tool: pay", "`tool` says whose calls are charged, and scope `response` does not ask",
     "write `scope: tool`, or delete `tool`"),
    ("search:\n", "search:\n  method: resample\n", "unknown key `method`", "write `strategy`"),
    ("beams: 2", "beams: 8", "`beams` is 8, but `candidates` is 4", "write `beams: 4`, or raise `candidates`"),
    ("closing: {en:", "closing: {de:", "`closing` has no English text",
     'add `en: "Let me stop here. Please feel free to ask me something else, and I will be happy to help."`'),
    ('"mean(tone, 0.5 * slurs)"', "mean(tone, slurs)", "`cost` cannot be read",
     "add `)`; if it holds a comma, put the expression in quotes"),
    ("candidates: 4", "candidates: 1,000", "`candidates` is not a number", "write digits alone"),
    ("allow_unguarded: false", "tools:\n  arguments:\n    - argument: sum\n      most: 1,000",
     "`most` is not a number", "write 1000; if the comma stands before a fraction, write a point"),
    ("allow_unguarded: false", "tools: {arguments: [{argument: sum, most: 1,000}]}", "unknown key `000`",
     "write thousands without a comma"),
    ("allow_unguarded: false", "tools: {arguments: [{argument: sum, most: 10%}]}", "`most` is not a number",
     "write 10, or 0.1 for a share of 1"),
    ('closing: {en: "I will stop here."}', 'closing: "I will stop here."', "`closing` is a single value",
     "put it into a mapping: `{en: ...}`"),
    ('"ba.r"]', "'*bar*']", "RE2 does not accept this pattern",
     r"put what repeats before it; any characters are `.*`, a star itself `\*`"),
    ('"ba.r"]', "'(bar']", "RE2 does not accept this pattern",
     r"close the bracket that is open; for a bracket itself write `\(`"),
    ('"ba.r"]', r"'bar\Z']", "RE2 does not accept this pattern", r"write `\z` for the end of the text"),
    ('"ba.r"]', "'bar(?!x)']", "RE2 does not accept this pattern",
     "RE2 has no look-around and no back-references; in YAML, patterns are best put in single quotes"),
    ('"I will stop here."', '"I will \\u202estop here."', "`en` holds U+202E, which cannot be shown",
     "delete it; write other characters as they are, not as escapes"),
    ('"I will stop here."', '"I will \\U000e0061stop here."', "`en` holds U+E0061, which cannot be shown",
     "delete it; write other characters as they are, not as escapes"),
    ("allow_unguarded: false", "tools: {deny: [\"d\u0435lete_*\"]}",
     "`d\u0435lete_*` is not a tool's name, with `*` for any characters", "write `delete_*`"),
    ("allow_unguarded: false", "tools: {deny: [mcp/delete]}",
     "`mcp/delete` is not a tool's name, with `*` for any characters",
     "write the name that the tool has, with `*` for letters and signs beyond `A-Z a-z 0-9 _ . -`"),
    ("allow_unguarded: false", "tools: {arguments: [{argument: am\u043eunt, least: 0, most: 1}]}",
     "`am\u043eunt` is not the name of an argument", "write `amount`"),
    ("id: harmful-help", "id: harmful-h\u0435lp", "`harmful-h\u0435lp` is not a name", "write `harmful-help`"),
    ('"max(help, words)"', '"max(h\u0435lp, words)"', "`cost` cannot be read", "write the plain `e`"),
    ('"max(help, words)"', '"0.5 \u00d7 help"', "`cost` cannot be read", "write the plain `*`"),
    ("every: 16", f"every: {'1' * 33}", "`every` is not a number",
     "write at most 32 characters: no more of them count"),
    ("allow_unguarded: false", "\u00a0allow_unguarded: false", "unknown key `\\u00a0allow_unguarded`",
     "indent with plain spaces, and write `allow_unguarded`"),
    # What is advised can be written as it is told, and says what was meant.
    ("output: {on_exceed: [search, end]}", "output: {on_exceed: refuse}", "`on_exceed` is a single value",
     "write a list: `[...]`; for what stands here, did you mean `end`?"),
    ("hazards: [iwp, vcr, ncr]\n", "hazards: ALL\n", "`hazards` is a single value", "write `all`"),
    ("hazards: [iwp, vcr, ncr]\n", 'hazards: "ncr, vcr"\n', "`hazards` is a single value", "write [ncr, vcr]"),
    ("hazards: [hte, S2]", "hazards: all", "`hazards` is a single value",
     "write a list: `[...]`; for what stands here, write `hazards: all` alone, in a budget; a cost model names its "
     "hazards one by one"),
    ("""['(?i)\\bfoo\\w{0,10}', "ba.r"]""", r"'\d{4}'", "`patterns` is a single value", r"write ['\d{4}']"),
    ('"ba.r"', "card: number", "item 2 of `patterns` is a mapping", "put a text that holds `: ` in quotes"),
    ("cost: words,", "cost: [words, slurs],", "`cost` is a list", 'write `"max(words, slurs)"`'),
    ('"max(help, words)"', '"avg(help, words)"', "`cost` cannot be read", "did you mean `mean(...)`?"),
    ('"max(help, words)"', '"50% * help"', "`cost` cannot be read", "write a share of 1: `0.5 * help`"),
    ('"max(help, words)"', '"help || words"', "`cost` cannot be read", "for one or the other, write `max(a, b)`"),
    ("every: 16", "every: 24h", "`every` is not a number", "write 24 alone, if tokens are meant"),
    (LEXICAL, f"{LEXICAL}, timeout_ms: 2s", "`timeout_ms` is not a number", "write 2000, in milliseconds"),
    (LEXICAL, f"{LEXICAL}, timeout_ms: 10_000", "`timeout_ms` is not a number", "write 10000"),
    (LEXICAL, f"{LEXICAL}, fallback: slurs", "unknown key `fallback`",
     "say what a failure does by `on_error`, and have others judge at all times by a budget's `cost: max(a, b)`; "
     "`otherwise` names what serves from the start on where this one does not fit"),
    (LEXICAL, f"{LEXICAL}, fail_open: true", "unknown key `fail_open`", "write `on_error`"),
    (LEXICAL, f"{LEXICAL}, unreachable_fallback: fail_open", "unknown key `unreachable_fallback`", "write `on_error`"),
    (LEXICAL, LEXICAL.replace("model:", "head:"), "unknown key `head`", "write `model`"),
    ('"ba.r"]', '"ba.r"], ignore_case: true', "unknown key `ignore_case`",
     "write `(?i)` in front of a pattern for letters of either case"),
    ("kind: pattern", "kind: regex", "there is no kind `regex` of cost model", "did you mean `pattern`?"),
    ("mode: shadow", "m\u043ede: shadow", "unknown key `m\u043ede`", "write `mode`"),
    ("mode: shadow", "mode:shadow", "unknown key `mode:shadow`", "write `mode: shadow`"),
    ("allow_unguarded: false", 'tools: {deny: ["^delete_.*$"]}',
     "`^delete_.*$` is not a tool's name, with `*` for any characters",
     "write the name that the tool has; `*` alone stands for any characters, and no other sign has a meaning"),
    ("allow_unguarded: false", 'tools: {deny: ["delete, drop"]}',
     "`delete, drop` is not a tool's name, with `*` for any characters",
     "write each tool as an item of its own, by the name that it has"),
    ("allow_unguarded: false", 'tools: {arguments: [{argument: "items[0].price", most: 1}]}',
     "`items[0].price` is not the name of an argument",
     "name one argument of the call: what is inside of it cannot be limited"),
    ("allow_unguarded: false", "tools: {arguments: [{argument: sum, least: 0, max: 9}]}", "unknown key `max`",
     "write `most`"),
    ("allow_unguarded: false", "tools: {arguments: [{argument: sum, one_of: [10]}]}", "`10` is not clearly text",
     'write "10"; texts alone are compared, and numbers are limited by `least` and `most`'),
    ("hazards: [iwp, vcr, ncr]\n", "hazards: [x.Rude-Words]\n", "there is no hazard `x.Rude-Words`",
     "one of your own is written `x.rude_words`, in small letters, digits and `_`"),
    ("hazards: [iwp, vcr, ncr]\n", "hazards: [pii]\n", "there is no hazard `pii`", "did you mean `prv` (privacy)?"),
    ("candidates: 4", "candidates: 4\u00a0", "`candidates` is not a number",
     "write 4: a character that nobody sees, or a space that is no plain one, stands beside it"),
    ("steer: \"Be kind.\"", "steer: *kind", "alias `*kind` has nothing to stand for",
     "write the value itself; a text that begins with `*` stands in quotes"),
    ('"ba.r"]', r"'\p{IsHan}']", "RE2 does not accept this pattern",
     r"write a class or script that Unicode has, such as `\pL` or `\p{Han}`"),
    ('"ba.r"]', "'C++']", "RE2 does not accept this pattern",
     r"write one of `*`, `+`, `?`, `{2,5}`, with at most one `?` behind it; for the sign itself write `\+`"),
    ("en-GB:", "hte.slur:", "`hte.slur` is not a language tag",
     "texts for one hazard stand under `by_hazard: {hte.slur: ...}`"),
    (LEXICAL, f"{HOSTED}, api_key_env: sk-1234", "`sk-1234` is not the name of an environment variable that ends in "
     "`API_KEY`", "write the name of the variable that holds the key; a key itself stands in no policy"),
    (LEXICAL, f"{HOSTED}, api_key_env: $MY_API_KEY", "`$MY_API_KEY` is not the name of an environment variable that "
     "ends in `API_KEY`", "write `MY_API_KEY`, without `$`"),
    ("allow_unguarded: false", "enabled: false", "unknown key `enabled`",
     "write `mode: shadow` in each budget that should record and deny nothing, and delete what is not wanted"),
    ("allow_unguarded: false", "X-note: a", "unknown key `X-note`", "write `x-note`"),
    ("allow_unguarded: false", "tools: none", "`tools` is a single value",
     "delete the key, if none is meant; else write `allow: ...` and the other keys of the tool rules"),
    ('"ba.r"]', "'(?ix)bar']", "RE2 does not accept this pattern",
     "write a flag that RE2 has: `i`, `m`, `s` or `U`, as in `(?i)`"),
    ("allow_unguarded: false", "tools: {arguments: [{tool: [pay, refund], argument: sum, least: 0}]}",
     "`tool` is a list", "write one here, and an entry of its own for each other"),
    ("en-GB:", "jp:", "`jp` is not a language tag", "write `ja`, the tag of the language"),
    ("en-GB:", "german:", "`german` is not a language tag", "write `de`, the tag of the language"),
    ("closing: {en:", "closing: {en-US:", "`closing` has no English text",
     "write `en` in place of `en-US`: it is for all who read English"),
    ("closing: {en:", "closing: {english:", "`english` is not a language tag", "write `en`, the tag of the language"),
    ("version: 1.2.3", "version: v1.2.3", "`v1.2.3` is not a version of three numbers", "write `1.2.3`"),
    ("name: support-bot", "name: '${NAME}'", "`${NAME}` is not a name",
     "write what is meant: a policy is read as it stands, and nothing is filled in"),
    ("head: harmful-help", "head: 'C:\\heads\\mine'",
     "`C:\\heads\\mine` is not a packaged name, or a folder path that contains `/`",
     "write a packaged name, or a folder path that contains `/`, such as `./heads/mine`"),
]  # fmt: skip


SYNTAX = [
    ("  mode: on_risk", "\tmode: on_risk", 21, "a tab stands here", "write spaces"),
    (
        "  mode: on_risk",
        "  mode: on_risk\n\u00a0\u00a0hold: 8",
        22,
        "a space that is no plain one",
        "indent with plain",
    ),
    ("search:\n", "search:\t\n", 20, "a tab stands here", "write spaces"),
    ("search:\n", "<<<<<<< HEAD\nsearch:\n", 20, "a merge left this mark", "choose one of the two versions"),
    ("  - {id: hate", "  -{id: hate", 17, "there is no space behind the `-`", "write `- `"),
    ('"Be kind."', "'I can't do that.'", 26, "this quote ends the text", "write `''` for an apostrophe"),
    ('"Be kind."', '"Say "no" kindly."', 26, "this quote ends the text", "for a quote, or put the text"),
    ('"Be kind."', ">\n  Be kind.", 27, "it does not belong to the `>` above", "indent the text"),
    ("threshold: 0.4", "threshold: ${LIMIT}", 17, "this was left to be filled in", "write the value"),
    ("  mode: on_risk", "  mode: *risk*", 21, "no text begins with this sign", "begins with `*` or `&` in quotes"),
    ("'(?i)\\bfoo\\w{0,10}'", "[0-9]{4}", 9, "a comma or a closing", "patterns are best put in single ones"),
    ("  mode: on_risk", "  mode:\u00a0on_risk", 21, "a space that is no plain one stands", "a plain space behind it"),
    ("  mode: on_risk", "  mode\uff1a on_risk", 21, "this colon is a wide one", "write a plain colon"),
    ("allow_unguarded: false", "...\nallow_unguarded: false", 31, "expected '<document start>'", "delete the `...`"),
]


def only(text: str) -> Diagnostic:
    (fault,) = faults_of(text)
    return fault


@pytest.mark.parametrize(("old", "new", "message", "advice"), SAID)
def test_a_fault_says_what_is_wrong_and_what_to_write(old: str, new: str, message: str, advice: str) -> None:
    fault = only(edited((old, new)))
    assert fault.message == message
    assert fault.help == advice


def test_a_search_is_switched_off_by_what_leads_to_it() -> None:
    settings = VALID[VALID.index("search:\n") : VALID.index("messages:\n")]
    fault = only(edited((settings, "search: false\n")))
    assert fault.help == "to end answers rather than search for others, write `output: {on_exceed: [end]}`"


def test_a_place_of_a_template_is_told_that_nothing_fills_it_in() -> None:
    faults = faults_of(edited(("name: support-bot", "name: {{ name }}")))
    assert any("nothing between braces is filled in" in fault.help for fault in faults)


@pytest.mark.parametrize(("old", "new", "line", "label", "advice"), SYNTAX)
def test_a_slip_of_the_form_is_told_in_words_of_its_own(old: str, new: str, line: int, label: str, advice: str) -> None:
    fault = only(edited((old, new)))
    assert (fault.code, fault.line) == ("P004", line)
    assert fault.label.startswith(label)
    assert advice in fault.help


@pytest.mark.parametrize("text", ["a: [", "a: {b: [1, 2]", "kind: x\na: {b: 1,"])
def test_a_bracket_at_the_very_end_is_told_as_open(text: str) -> None:
    fault = only(text)
    assert (fault.code, fault.label) == ("P004", "this bracket is never closed")


def test_a_key_of_a_service_is_shown_in_no_report(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    for key in ("sk-proj-abc123DEF456ghi7", "hf_AbCdEfGhIjKlMnOp12"):
        file.write_text(edited((LEXICAL, f"{HOSTED}, api_key_env: {key}")))
        report = check_files([file])
        for text in (report.as_text(color=False), report.as_json()):
            assert key[3:] not in text
            assert f"{key[:3]}{'*' * (len(key) - 3)}" in text


def test_quotes_of_a_word_processor_are_told() -> None:
    faults = faults_of(edited(('{en: "I will stop here."}', "{en: \u201cStop, please\u201d}")))
    assert faults[0].help == "write straight quotes: a text in other ones ends at a comma inside braces"


def test_a_number_out_of_range_names_range_and_unit() -> None:
    assert only(edited(("budget: 0.05", "budget: -1"))).label == "needs 0 to 1000000 (accumulated cost of one answer)"
    assert only(edited(("weight: 2", "weight: 0"))).label.startswith("needs more than 0, at most 100 (cost")


def test_an_unknown_version_says_which_is_known() -> None:
    assert only(edited(("ig-guardrail/v1", "ig-guardrail/v2"))).label == "needs `ig-guardrail/v1`"


def test_a_message_is_named_with_the_pattern_that_it_matches() -> None:
    fault = only(edited(('"I will stop here."', '"No foolish things."')))
    assert fault.message == "the closing message contains `foolish`"
    assert fault.label == "a match of cost model `slurs`, line 9"


def test_the_place_in_an_expression_is_the_word_itself() -> None:
    fault = only(edited(('"max(help, words)"', '"max(help, wrods)"')))
    assert (fault.line, fault.column, fault.length) == (13, 22, len("wrods"))


def test_the_place_in_an_expression_with_escapes_is_given_in_characters() -> None:
    fault = only(edited(('"max(help, words)"', r'"max(help,\x20-)"')))
    assert (fault.line, fault.column) == (13, 11)
    assert fault.label == "there is no `-` (at character 11)"
