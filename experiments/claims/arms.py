"""Arms that several claims share. An arm's name is also that of its stored runs: change it when the arm changes."""

from experiments.claims.records import Arm

GRPO_CONFIG, MPO_CONFIG = "configs/tiny/grpo.yaml", "configs/tiny/mpo.yaml"
TINY, ABLATIONS = "configs/tiny/overlays", "configs/ablations"
PAIRS = 2048 * 8  # completions behind configs/tiny/stages/pairs.yaml and prompt_pool.yaml
# A fit must take a step: with this learning rate it changes no weight by more than 1e-12.
NOTHING_LEARNT = ("--model.learning.optimizer.learning_rate=1e-12",)


def grpo(
    name: str,
    *overlays: str,
    flags: tuple[str, ...] = (),
    steps: int = 160,
    completions_before: int = 0,
    says: str = "",
) -> Arm:
    """Return an arm of GRPO: 128 completions a step, two steps to a rollout."""
    return Arm(name, GRPO_CONFIG, overlays, flags, steps, completions_before=completions_before, says=says)


def mpo(name: str, *overlays: str, flags: tuple[str, ...] = (), says: str = "") -> Arm:
    """Return an arm of 240 steps on the stored pairs."""
    return Arm(name, MPO_CONFIG, overlays, flags, steps=240, validations=6, completions_before=PAIRS, says=says)


BASE = grpo("base", flags=NOTHING_LEARNT, steps=1, says="the aligned policy, from which the others start")
SSB = grpo("grpo_ssb", says="GRPO with the buffer, rewarded for right answers and their form")
PLAIN = grpo("grpo_plain", f"{ABLATIONS}/replay/no_ssb.yaml", says="GRPO without the buffer")
