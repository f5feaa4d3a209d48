"""Settings of the GRPO objective, each with its meaning and where its value comes from."""

from dataclasses import dataclass
from typing import Literal

from algorithms.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AdvantageConfig:
    """How rewards become advantages."""

    scale_by_std: bool = True
    """Divide by the standard deviation of the group (R1V2, eq. 6); False is Dr.GRPO (arXiv:2503.20783)."""

    population_std: bool = False
    """Divide its sum of squares by G; False: by G - 1, as TRL, EasyR1 and verl do. The paper names neither."""

    eps: float = 1e-6
    """Added to the standard deviation; EasyR1's and verl's value (TRL 1e-4)."""

    tolerance: float = 0.0
    """A group is effective when its rule rewards differ by more than this."""

    def __post_init__(self) -> None:
        for key in ("eps", "tolerance"):
            if getattr(self, key) < 0.0:
                raise ConfigError(f"model.advantage.{key} must be at least 0, got {getattr(self, key)}.")


@dataclass(frozen=True, kw_only=True)
class GRPOConfig:
    """Settings of the surrogate. The defaults are the paper's equation 8."""

    ratio: Literal["token", "sequence"] = "token"
    """Importance ratio of each token, or of the whole completion (GSPO)."""

    surrogate: Literal["clip", "cispo"] = "clip"
    """What is made of the ratio; see algorithms/grpo/surrogates.py."""

    average: Literal["sequence", "token", "constant"] = "sequence"
    """Per-sample mean (R1V2, eq. 8), mean over tokens (DAPO), or a constant divisor (Dr.GRPO)."""

    clip_low: float = 0.2
    """Largest relative drop of a ratio that still earns gradient, in (0, 1]."""

    clip_high: float = 0.2
    """Largest relative rise of a ratio that still earns gradient, above 0. DAPO 0.28; CISPO's bound minus 1."""

    dual_clip: float | None = None
    """Largest ratio that counts where the advantage is negative, above 1; null: any. EasyR1 and verl 3."""

    kl_weight: float = 0.0
    """Weight of the KL to the reference; 0 keeps no reference at all. The paper's equation has none."""

    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    """Estimator of the KL; see algorithms/grpo/kl.py."""

    entropy_weight: float = 0.0
    """Weight of a bonus for the entropy (nats per token) of the next-token distribution."""

    engine_ratio_cap: float | None = None
    """Largest weight for learner / engine probability of a token (truncated importance sampling; verl 2.0). Scores
    every effective completion once more after sampling; null trusts the engine's log-probs."""

    veto_log_ratio: float | None = None
    """Leave out replayed samples with negative advantage whose mean log(behavior / pi) is above this (DeepSeek-V3.2;
    TRL suggests 0.5); null keeps them."""

    mask_truncated: bool = False
    """Give completions cut at the length limit no advantage, so that they are not learnt from (DAPO)."""

    def __post_init__(self) -> None:
        if not 0.0 < self.clip_low <= 1.0:
            raise ConfigError(
                f"model.grpo.clip_low must lie in (0, 1], got {self.clip_low}: a ratio cannot fall by more than 1."
            )
        if self.clip_high <= 0.0:
            raise ConfigError(
                f"model.grpo.clip_high must be above 0, got {self.clip_high}: no token could ever become more likely."
            )
        if self.dual_clip is not None and self.dual_clip <= 1.0 + self.clip_high:
            raise ConfigError(
                f"model.grpo.dual_clip must be null or above 1 + clip_high = {1.0 + self.clip_high:g}, got "
                f"{self.dual_clip}: it bounds ratios that the ordinary clip lets through."
            )
        if self.kl_weight < 0.0:
            raise ConfigError(
                f"model.grpo.kl_weight must be at least 0, got {self.kl_weight}: below 0 it drives the policy away."
            )
        for key in ("engine_ratio_cap", "veto_log_ratio"):
            value: float | None = getattr(self, key)
            if value is not None and value <= 0.0:
                raise ConfigError(f"model.grpo.{key} must be null or above 0, got {value}.")
