"""Pre-approved texts: by language, and by hazard."""

from __future__ import annotations

from dataclasses import replace

from ig_guardrail.fields.field import Field, HazardKind, ListOf, MapOf, Section, ShortForm, TextKind
from ig_guardrail.policy.language.names import LANGUAGE
from ig_guardrail.types.hazards import SEVERITY

# Example messages that pass the packaged cost models; shorter ones may not.
REFUSAL = "I'm sorry, I can't help with that."
CLOSING = "Let me stop here. Please feel free to ask me something else, and I will be happy to help."

APPROVAL = Section(
    "an approval",
    {
        "owner": Field(TextKind(200), "who lets the text stand", "you@example.org", required=True),
        "reason": Field(
            TextKind(500), "why it may, whatever the budgets say", "read by our crisis team", required=True
        ),
    },
)

MESSAGE = Section(
    "a message",
    {
        "text": Field(TextKind(2000), "what is shown", REFUSAL, required=True),
        "approved": Field(
            APPROVAL, "that no budget is asked about it", "{owner: you@example.org, reason: read by our crisis team}"
        ),
    },
)

_BY_LANGUAGE = MapOf(LANGUAGE, ShortForm(MESSAGE, "text"), 1, 64, needs=("en",))
_OF_HAZARDS = Field(
    MapOf(HazardKind(), _BY_LANGUAGE, 1, 64),
    "shown instead where that hazard was denied; of several, the most severe that has a text",
    '{ssh: {en: "I am glad that you wrote. Please call 116 123: somebody is there, day and night."}}',
)
_PART = replace(_BY_LANGUAGE, beside={"by_hazard": _OF_HAZARDS})

MESSAGES = Section(
    "the messages",
    {
        "refusal": Field(_PART, "shown when nothing of an answer was", f'{{en: "{REFUSAL}"}}', required=True),
        "closing": Field(_PART, "shown after the safe beginning of an answer", f'{{en: "{CLOSING}"}}', required=True),
        "severity": Field(
            ListOf(HazardKind(), 1, 64, unique=True),
            "which hazard's text is shown where several were denied: the first of these; what is not named follows",
            "[ssh, x.insult]",
            computed=f"`[{', '.join(SEVERITY)}]`, then those of your own",
        ),
    },
)
