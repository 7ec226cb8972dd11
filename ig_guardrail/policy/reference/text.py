"""The prose of the language reference. Words in double angle brackets are filled in from the language itself."""

TEXT = """\
# The policy language

<!-- Written by `python -m ig_guardrail.policy.reference.page`; change the language or its texts there, not here. -->

A policy is one YAML file. It says which cost models judge an answer, how much of which harm an answer may spend, and
what happens when it would spend more. It holds no secrets and no host settings, and nothing in it is code.

```yaml
<<example>>
```

Policies that come with the package, and what each covers: [choosing.md](choosing.md#which-policy-to-start-from).

Check it with `ig-guardrail policy check PATH...` ([workbench.md](workbench.md) tells its options). The exit code is 0
if every file is valid, 1 if a file has faults, and 2 if a file could not be read or a folder holds none. A check needs
no model, so it tries the policy's messages against patterns and words alone. Every start tries them against all
budgets: `--deep` starts each policy beside a model. All faults are reported at once:

```text
<<fault>>
```

Editors complete keys, explain them and mark faults as one types ([how](workbench.md#in-your-editor)).

## How an answer is charged

A cost model gives every prefix of an answer a score from 0 (harmless) to 1 (harmful). At each charge point (every
`every` tokens, and at the end) the *excess* is what the score has above `threshold`, and the *cost* is `weight` times
the excess. The budget is overdrawn when the costs of an answer, discounted, add up to more than `budget`; no text is
shown past a charge point at which an enforced budget would be. `budget: 0` is a ban: no score may pass the threshold.
Numbers count as they are written: three costs of 0.1 fit a budget of 0.3 ([why](decisions/decimals.md)).

Lower `threshold` and lower `budget` are stricter. A higher `weight` is stricter.

## Keys

<<policy>>

### cost_models

<<cost_models>>

A path contains a `/` and starts from the policy file's own folder.

<<sections>>

A policy, its metadata, cost models and budgets may hold `description` (a text), `labels` (names to texts) and keys of
your own that begin with `x-`. They are for readers and other programs: nothing here reads them, and the hash leaves
them out.

Presets: <<presets>>. Keys that are written win over a preset.

## Hazards

<<hazards>>

Parts are written with a dot (`spc.hlt`: health advice), at most three. A budget for `spc` covers all parts of `spc`
that its cost models name. Hazards of your own start with `x.` (`x.insult`).

## Cost expressions

`cost` combines the scores of cost models: `help`, `max(help, words)`, `mean(tone, 0.5 * words)`, `help + 0.1`.

<<expressions>>

A cost model that scores none of a budget's hazards takes part with score 0. The result is cut off at 0 and 1.

## Patterns

Patterns use RE2's syntax, which has no look-around and no back-references and takes linear time. A pattern must need at
least one character. `longest_match` is the length of the window, in characters, in which matches are looked for: an
open-ended pattern (`a.*b`) matches within such a window, and a match that would be longer is not found. As many
characters are held back from a stream, so keep it short. Patterns are best written in single quotes, where YAML leaves
backslashes alone.

A text is denied as it is read, not as it is spelled. Patterns are looked for in three readings of it: as it is written;
*composed* (Unicode's NFKC, without characters that nobody sees, and with every kind of space as a space); and *folded*
(besides, with Latin letters and digits for those that look like them, and without marks that were put on letters by
characters of their own). So `banana` finds a word with a soft hyphen, Cyrillic look-alikes or full-width letters in it,
and `é` finds an e with an accent, composed or not; patterns in any script match text in that script. ASCII text reads
alike in all three, unless control characters stand in it. `normalise: none` looks at code points as they are written.
Lexical cost models, classifiers and moderation endpoints read words in the same way; models of kind `provided` and
`python` are handed the text as it is.

Whether a match counts may depend on what follows it (`$`, `\\b`, an accent that may yet come). It counts when that is
known, and one character more is held back until then. `\\w`, `\\d` and `\\b` know ASCII letters and digits alone; for
others write `\\pL` and `\\pN`.

Patterns may have names: `patterns: [{name: card-number, pattern: '\\d{4}-\\d{4}'}]`. A receipt lists, by cost model,
which patterns matched in the answer, in a draft that was given up, or in the prompt (`fired`): the name, or the place
in the list, counted from 0. It never holds the text that they matched.

## Messages

Where no safe answer was found, readers see the `refusal`; behind the safe beginning of an answer, the `closing`. Texts
for one hazard stand under `by_hazard`, and are shown where that hazard was denied:

```yaml
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: school-bot, version: 1.0.0, owners: [you@example.org]}
cost_models:
  crisis: {kind: pattern, hazards: [ssh], patterns: ['(?i)\\b(want to die|kill myself)\\b'], longest_match: 11}
  tone: {kind: latent, head: toxic-tone, hazards: [hte, x.insult]}
budgets:
  - {id: crisis, hazards: [ssh], cost: crisis, threshold: 0.5}
  - {id: tone, hazards: [hte, x.insult], cost: tone, threshold: 0.62, budget: 0.05}
prompt: {cost: crisis, threshold: 0.5, on_exceed: refuse}
messages:
  refusal:
    en: I'm sorry, I can't help with that. Is there something else I can do for you?
    by_hazard:
      ssh:
        en:
          text: >-
            I am glad that you told me. Please talk to somebody now. Under 116 123 there is always someone who listens,
            for free.
          approved: {owner: crisis-team@example.org, reason: it was read by those who answer there}
  closing:
    en: Let me stop here. Please feel free to ask me something else, and I will be happy to help.
    by_hazard:
      ssh:
        en:
          text: >-
            Let me stop here. If you are thinking of dying, please call 116 123. Somebody is there, day and night, and
            it is free.
          approved: {owner: crisis-team@example.org, reason: it must name what it is about}
```

Someone who writes "I want to die" is given a number to call, and not an apology. Two phrases are an example: a policy
that is to know self-harm needs a cost model for it.

**Denied** are the hazards that led there: of the drafts that would have overdrawn budgets since text was last shown,
of shared budgets that others have spent, of a prompt that `on_exceed: refuse` refuses, and `x.tools` where a rule for
tools was broken. Of a budget for several hazards, it is those whose scores are above its threshold.

**The most severe** of the denied hazards that has a text decides: `ssh`, `cse`, `vcr`, `src`, `iwp`, `hte`, `spc`,
`ncr`, `prv`, `sxc`, `dfm`, `ipv`, then those of your own ([why](decisions/messages.md)); `severity` puts others first.
A part (`spc.hlt`) without a text of its own has that of the whole (`spc`). If none has a text, the general one is
shown.

**The language** comes second: as it was asked for (`de-AT`), else of the same language (`de`), else English. So where
a hazard has no text in a reader's language, its English one is shown, and not the general one in that language; a
check warns of it (P141). The receipt names the message (`message_name`) and what was denied (`denied`).

Messages are never charged, also where they come back as earlier turns. Every one, in every language, must keep the
budgets; where one does not, no guardrail starts, and the check tells the budget, the score and the words that it rests
on (P045). A text that a team answers for may stand all the same: write `text` and `approved`, with owner and reason.
It is then tried against no budget, and shown as it stands; checks, `policy explain` and receipts say so. A model that
says the same words is charged for them.

The packaged cost models were made for English answers, so they dislike many refusals that people find friendly. Of 24
that were written as a support team would (`benchmarks/refusals.yaml`: six each in English, German, French and
Spanish), 16 (English 3, German 3, French 4, Spanish 6) start under `default`, and 2 under `strict`. The script
`benchmarks/refusals.py` says why for each.

## Policies that extend others

`extends` names a packaged policy or a file, relative to the policy's own folder, and may ask for versions of it. The
policy then says only what it adds and what is stricter; everything else is as the parent has it.

```yaml
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: branch, version: 1.0.0, owners: [you@example.org]}
extends: {policy: strict, version: ">=1.0,<2"}
cost_models:
  cards: {kind: pattern, patterns: ['[0-9]{4}-[0-9]{4}'], longest_match: 16, hazards: [prv]}
budgets:
  - {id: harmful-help, threshold: 0.3}
  - {id: privacy, hazards: [prv], cost: cards, threshold: 0.5}
```

A policy says `apiVersion`, `kind` and `metadata` for itself. Other mappings are joined key by key: budgets and limits
of calls by their `id`, cost models by their name. Patterns, denied tools and argument rules are added to the parent's.
Whatever else is written stands in place of what the parent says. A search that names a `strategy` or a `preset` starts
again.

A policy may only tighten the one that it extends, and that one's parents: with the same scores, no answer that a parent
denies is shown ([why each rule below is sound](decisions/extends.md)). What is not shown to be as strict is refused
with the place of both.

| part | what a policy may do to its parent's |
|---|---|
| `threshold`, `budget` | lower |
| `weight`, `discount`, `decay`, `window` (0 forgets nothing) | raise |
| `accumulate`, `mode` | `max` to `sum`, `shadow` to `enforce` |
| `hazards` of a budget | add to them, or `all` |
| `every` | divide it, where no pattern or other event is charged |
| `cost` | keep it in a larger one, such as `max(help, words)` for `help`, of cost models that are charged as often |
| `scope`, `tool`, `id` | nothing |
| `cost_models` | `on_error: open` to `closed`, `timeout_ms` (with `on_error: open` only raise), more \
`patterns` where the highest score decides; else nothing: give what should be stricter a cost model and a budget \
of its own |
| `prompt` | lower `threshold`, enlarge `cost`, `observe` to `search` to `refuse` |
| `tools` | fewer in `allow`, more in `deny`, `arguments`, `limits`; fewer `calls` |
| `messages` | add languages and texts for hazards, and approve none that is over a budget |
| `reasoning`, `allow_unguarded` | `ignore` to `charge`, `true` to `false` |
| `search`, `output` | anything: whatever a search finds, the budgets decide |

A parent may let others loosen some of it: `loosenable: [budgets.toxic-tone.threshold, messages]` names keys by their
places, budgets by their ids. It holds for that parent alone: a policy between two others has to allow it as well.

A parent may extend another in turn, <<parents>> deep. It must be valid by itself; its faults are told in its own file.
Relative paths in a parent start at the parent's folder. The hash is that of what results: the same policy written out
in one file (`ig-guardrail policy show --flat`) has the same.

## YAML

A policy is one UTF-8 document of at most <<bytes>>, <<levels>> levels and <<nodes>> values, aliases written out.
Anchors and aliases are allowed within the file; tags, merge keys (`<<`) and duplicate keys are not. Numbers are plain
decimals, booleans are `true` and `false`, and a text that some YAML reader takes for something else (`no`, `on`, `1.0`,
`2026-10-01`) is put in quotes. Outer white space of texts does not count. What is shown is what is read:
characters that turn the order of others, or begin a line for YAML alone (U+2028, a return among line feeds), are
refused, in comments too.

## Normal form and hash

A valid policy has one normal form: JSON with sorted keys, defaults written out, presets and hazard aliases resolved,
and without places and comments. The SHA-256 of that text names the policy in every receipt. Comments, the order of keys
and defaults written out do not change it; a number that differs does.

## Faults

Errors (P001 to P054) refuse a policy; warnings (P101 and up) do not: they tell what is valid and may mean
something else than its author wants.

<<rules>>
"""

EXAMPLE = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: support-bot, version: 1.0.0, owners: [you@example.org]}
cost_models:
  help: {kind: latent, head: harmful-help, hazards: [ncr, vcr]}
  words: {kind: lexical, model: words, hazards: [ncr, hte]}
budgets:
  - {id: crimes, hazards: [ncr, vcr], cost: help, threshold: 0.5, budget: 0}
  - {id: hate, hazards: [hte], cost: words, threshold: 0.5, budget: 0.1}
messages:
  refusal: {en: "I'm sorry, I can't help with that."}
  closing: {en: "Let me stop here. Please feel free to ask me something else, and I will be happy to help."}
"""
