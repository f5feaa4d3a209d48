"""Settings of the GRPO objective, each with its meaning and where its value comes from."""

from dataclasses import dataclass

from algorithms.errors import ConfigError, check_at_least
from algorithms.grpo.averages import AVERAGES, WITHOUT_TOKEN_COUNT, AverageName
from algorithms.grpo.function_table import OwnFunction
from algorithms.grpo.kl import KL_ESTIMATORS, KLEstimatorName
from algorithms.grpo.ratios import RATIOS, RatioName
from algorithms.grpo.surrogates import SURROGATES, SurrogateName


@dataclass(frozen=True, kw_only=True)
class GRPOConfig:
    """Settings of the surrogate. The defaults are the paper's equation 8.

    ``ratio``, ``surrogate``, ``average`` and ``kl_estimator`` each name a function: by a short name, or by the import
    path of a function of your own; see algorithms/grpo/function_table.py.
    """

    # The types of the names come from the files of the functions: a new function changes nothing here.
    ratio: RatioName | OwnFunction = "token"
    """Importance ratio of each token, or of the whole completion (GSPO); see algorithms/grpo/ratios.py."""

    surrogate: SurrogateName | OwnFunction = "clip"
    """Gain as a function of the ratio; see algorithms/grpo/surrogates.py."""

    average: AverageName | OwnFunction = "sequence"
    """Per-sample mean (R1V2, eq. 8), mean over tokens (DAPO), or a constant divisor (Dr.GRPO); see
    algorithms/grpo/averages.py."""

    clip_low: float = 0.2
    """Largest relative drop of a ratio that still earns gradient, in (0, 1]."""

    clip_high: float = 0.2
    """Largest relative rise of a ratio that still earns gradient, above 0. DAPO uses 0.28; for CISPO it is the bound
    minus 1."""

    dual_clip: float | None = None
    """Largest ratio that is used where the advantage is negative, above 1; null: no limit. EasyR1 and verl use 3."""

    kl_weight: float = 0.0
    """Weight of the KL to the reference; 0 keeps no reference at all. The paper's equation has none.
    The KL is that of the samples in the batch, which are effective or replayed: when fewer groups are effective, the
    same weight holds the policy back less."""

    kl_estimator: KLEstimatorName | OwnFunction = "k3"
    """Estimator of the KL; see algorithms/grpo/kl.py."""

    entropy_weight: float = 0.0
    """Weight of a bonus for the entropy (nats per token) of the next-token distribution, at the tokens of the batch."""

    engine_ratio_cap: float | None = None
    """Largest weight for learner / engine probability of a token (truncated importance sampling; verl 2.0). Scores
    every effective completion once more after sampling; null trusts the engine's log-probs."""

    veto_log_ratio: float | None = None
    """Leave out replayed samples with negative advantage whose mean log(behavior / pi) is above this (DeepSeek-V3.2;
    TRL suggests 0.5); null keeps them."""

    mask_truncated: bool = False
    """Give completions cut at the length limit no advantage, so that they are not learnt from (DAPO)."""

    def __post_init__(self) -> None:
        # A function that does not fit must stop the run here and not at the first loss, after a whole rollout.
        RATIOS.check(self.ratio)
        SURROGATES.check(self.surrogate)
        AVERAGES.check(self.average)
        KL_ESTIMATORS.check(self.kl_estimator)
        if not 0.0 < self.clip_low <= 1.0:
            raise ConfigError(
                f"model.grpo.clip_low must lie in (0, 1], got {self.clip_low}: a ratio cannot fall by more than 1."
            )
        if self.clip_high <= 0.0:
            raise ConfigError(
                f"model.grpo.clip_high must be above 0, got {self.clip_high}: no token could ever become more likely."
            )
        # A smaller dual clip would cut ratios that clip_high lets pass.
        if self.dual_clip is not None and self.dual_clip <= 1.0 + self.clip_high:
            raise ConfigError(
                f"model.grpo.dual_clip must be null or above 1 + clip_high = {1.0 + self.clip_high:g}, got "
                f"{self.dual_clip}: it bounds ratios that the ordinary clip lets through."
            )
        if self.dual_clip is not None and self.surrogate == "cispo":
            raise ConfigError(
                f"model.grpo.dual_clip must be null with surrogate cispo, got {self.dual_clip}: cispo bounds every "
                "ratio by clip_high already, and would ignore it."
            )
        check_at_least("model.grpo.kl_weight", self.kl_weight, 0, "below 0 it drives the policy away")
        for key, limit in (("engine_ratio_cap", self.engine_ratio_cap), ("veto_log_ratio", self.veto_log_ratio)):
            if limit is not None and limit <= 0.0:
                raise ConfigError(f"model.grpo.{key} must be null or above 0, got {limit}.")

    @property
    def needs_token_count(self) -> bool:
        """Whether the average may divide by the tokens of the optimizer step."""
        return self.average not in WITHOUT_TOKEN_COUNT
