"""An answer as a value: the schema is enforced at every token, inside the policy's budgets."""

from typing import Literal

from pydantic import BaseModel, Field

from ig_guardrail import AnswerRefused, ChatIGGuardrail


class Ticket(BaseModel):
    """A customer's request."""

    subject: str = Field(max_length=60)
    urgency: Literal["low", "medium", "high"]


model = ChatIGGuardrail(model="embedded", policy="default", max_tokens=64, seed=3)
try:
    ticket = model.with_structured_output(Ticket).invoke("I ordered 2 lamps and both arrived broken. Please hurry!")
    print(repr(ticket))
except AnswerRefused as refusal:
    print("refused:", refusal)
