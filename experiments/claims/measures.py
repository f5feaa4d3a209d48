"""Measures that several claims use."""

from experiments.claims.records import Measure

GREEDY = Measure("val/greedy_accuracy", "greedy accuracy")
SAMPLED = Measure("val/sampled_accuracy", "sampled accuracy")
SAMPLED_EARLY = Measure("val/sampled_accuracy", "sampled accuracy at the first validation", at="start")
SAMPLED_OVER_RUN = Measure("val/sampled_accuracy", "sampled accuracy, mean over the validations of a run", at="mean")
HALLUCINATION = Measure("val/hallucination_rate", "hallucination rate")
COVERAGE = Measure("val/coverage", "true things mentioned")
EFFECTIVE = Measure("rollout/effective_fraction", "effective groups in the last rollouts")
EFFECTIVE_EARLY = Measure("rollout/effective_fraction", "effective groups in the first rollouts", at="start")
PREFERENCE = Measure("rollout/preference", "preference score in the last rollouts", is_share=False)
PREFERENCE_EARLY = Measure("rollout/preference", "preference score in the first rollouts", at="start", is_share=False)
BATCH = Measure(
    "buffer/batch_samples", "samples with an advantage in the last batches, of 256", is_share=False, digits=0
)
MOVED_AT_END = Measure("calibration/threshold", "what the calibrator has set at the end", is_share=False)
MOVED = Measure("calibration/threshold", "what the calibrator sets, mean over the run", at="mean", is_share=False)
