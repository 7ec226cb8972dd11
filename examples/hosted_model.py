"""A policy around any other chat model: an answer that may not be shown is asked for again, as long as it is held back.

A hosted model goes where the fake one stands, such as `ChatOpenAI` of the package `langchain-openai`.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

from ig_guardrail import GuardedChatModel

POLICY = r"""
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: polite, version: 1.0.0}
cost_models:
  rude: {kind: pattern, hazards: [hte], longest_match: 9, patterns: ['(?i)\bblockhead']}
budgets: [{id: rudeness, hazards: [hte], cost: rude, threshold: 0.5, every: 4}]
search: {block: 4, hold: 12, retries: 2}
messages: {refusal: {en: "I would rather not say that."}, closing: {en: "I stop here."}}
"""
ANSWERS = [
    "Tea, you blockhead, is made by pouring boiling water on leaves.",
    "Pour boiling water on the leaves, wait for three minutes, and take them out. A little milk is up to you.",
]

with TemporaryDirectory() as temporary:
    policy = Path(temporary) / "policy.yaml"
    policy.write_text(POLICY)
    hosted = GenericFakeChatModel(messages=iter(ANSWERS))  # a hosted model goes here
    model = GuardedChatModel(inner=hosted, policy=policy)
    for chunk in model.stream("How do I make a pot of tea?"):
        print(repr(chunk.text))
    receipt = chunk.response_metadata["ig_guardrail"]
    print(f"outcome: {receipt['verdict']['outcome']}, answers asked for: {receipt['forwards']}")
