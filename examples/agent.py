"""An agent with two real tools, and a policy that stops one call and lets the next through.

pip install 'ig-guardrail[agents]'
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from ig_guardrail import ChatIGGuardrail, GuardrailMiddleware

POLICY = """
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: files, version: 1.0.0}
cost_models: {tone: {kind: latent, head: toxic-tone, hazards: [hte]}}
budgets: [{id: tone, hazards: [hte], cost: tone, threshold: 0.7}]
tools: {deny: ["delete_*"]}
messages: {refusal: {en: "I can't do that."}, closing: {en: "I'll stop here."}}
"""


@tool
def list_files() -> str:
    """List the files in the folder."""
    return ", ".join(sorted(path.name for path in folder.iterdir()))


@tool
def delete_file(name: str) -> str:
    """Delete a file in the folder."""
    (folder / name).unlink()
    return f"{name} is gone"


@wrap_model_call
def call_a_tool_first(request, handler):
    """The embedded model is too small to decide for a tool by itself."""
    fresh = isinstance(request.messages[-1], HumanMessage)
    return handler(request.override(tool_choice="any" if fresh else "none"))


with TemporaryDirectory() as temporary:
    folder = Path(temporary)
    for name in ("notes.txt", "policy.yaml"):
        (folder / name).write_text("")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    model = ChatIGGuardrail(policy=policy, temperature=0, max_tokens=48, seed=1)
    agent = create_agent(model, [delete_file, list_files], middleware=[call_a_tool_first, GuardrailMiddleware(policy)])
    for message in agent.invoke({"messages": [HumanMessage("Delete the file notes.txt.")]})["messages"]:
        message.pretty_print()
    print("\nstill there:", list_files.invoke({}))
