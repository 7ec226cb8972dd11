"""A chain with a guard at either end: input is checked before the model, text on its way out, piece by piece.

A hosted model goes where the fake one stands.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from ig_guardrail import AnswerRefused, GuardInput, GuardRunnable

POLICY = r"""
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: polite, version: 1.0.0}
cost_models:
  rude: {kind: pattern, hazards: [hte], longest_match: 9, patterns: ['(?i)\bblockhead']}
budgets: [{id: rudeness, hazards: [hte], cost: rude, threshold: 0.5, every: 4}]
prompt: {cost: rude, threshold: 0.5, on_exceed: refuse}
search: {block: 4, hold: 4}
messages: {refusal: {en: "I would rather not say that."}, closing: {en: "I stop here."}}
"""
ANSWERS = [
    "Pour boiling water on the leaves, wait for three minutes, and take them out.",
    "Pour boiling water on the leaves, and then wait for three minutes, you blockhead, as anyone knows.",
]

with TemporaryDirectory() as temporary:
    policy = Path(temporary) / "policy.yaml"
    policy.write_text(POLICY)
    model = GenericFakeChatModel(messages=iter(ANSWERS))  # a hosted model goes here
    prompt = ChatPromptTemplate.from_template("{question}")
    chain = prompt | GuardInput(policy) | model | StrOutputParser() | GuardRunnable(policy)
    for question in ("How do I make tea?", "And again?", "You blockhead!"):
        try:
            print(list(chain.stream({"question": question})))
        except AnswerRefused:
            print("the input was refused, and the model never saw it")
