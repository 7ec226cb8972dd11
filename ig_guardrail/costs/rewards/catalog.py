"""Rewards and critics by name: packaged ones, artifact folders, classifiers. Each must fit the engine beside it."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ig_guardrail.costs.heads.artifact import for_numerics, kind_of, numerics_in
from ig_guardrail.costs.heads.base_model import BaseModel
from ig_guardrail.costs.kinds.base import CARD
from ig_guardrail.costs.rewards.base import PromptedReward, RewardModel
from ig_guardrail.costs.rewards.classifier_reward import load_classifier_reward
from ig_guardrail.costs.rewards.latent_critic import LatentCritic, read_latent_critic
from ig_guardrail.costs.rewards.latent_reward import read_latent_reward
from ig_guardrail.errors import HeadMismatch, ModelError

PACKAGED = {"reward": ("relevance",), "critic": ("foresight",)}
CLASSIFIER = "classifier:"


def reward_named(name: str, loaded: BaseModel, device: str = "cpu") -> RewardModel | PromptedReward:
    """A packaged reward, "classifier:PATH", or a folder with a reward, or with a critic, which foresees one.

    device: where a classifier runs
    Raises ModelError if there is none, HeadMismatch if it was trained on another model or in other numerics.
    """
    if name.startswith(CLASSIFIER):
        return load_classifier_reward(name.removeprefix(CLASSIFIER), device)
    where = f"reward '{name}'"
    folder = _folder("reward", name, loaded)
    if kind_of(folder) == "critic":
        return _critic(folder, loaded, where).value
    reward = read_latent_reward(folder)
    reward.base.demand(loaded, where, "ig-guardrail train reward")
    return reward


def critic_named(name: str, loaded: BaseModel) -> LatentCritic:
    """A packaged critic, or that in a folder. Raises ModelError if there is none, HeadMismatch if it does not fit."""
    return _critic(_folder("critic", name, loaded), loaded, f"critic '{name}'")


def _critic(folder: Traversable, loaded: BaseModel, where: str) -> LatentCritic:
    critic = read_latent_critic(folder)
    critic.base.demand(loaded, where, "ig-guardrail train critic")
    return critic


def _folder(role: str, name: str, loaded: BaseModel) -> Traversable:
    """Of a packaged name or a path: the folder itself if it is an artifact, else the one in it for these numerics."""
    where, packaged = f"{role} '{name}'", PACKAGED[role]
    given: Traversable = files("ig_guardrail.artifacts") / name if name in packaged else Path(name)
    found = for_numerics(given, loaded.numerics)
    if found is not None:
        return found
    offered = numerics_in(given)
    if offered:
        raise HeadMismatch(
            f"there is none for weights in {loaded.numerics}",
            where=where,
            why=f"{given} has artifacts for: {', '.join(offered)}",
            fix=f"load the model in {offered[0]}, or train one for these",
        )
    raise ModelError(
        "there is no such artifact",
        where=where,
        why=f"it is no packaged name ({', '.join(packaged)}), and {given} holds no {CARD}",
        fix="give a folder that `ig-guardrail train reward` or `ig-guardrail train critic` wrote",
    )
