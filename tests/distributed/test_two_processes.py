"""Two processes against one: FSDP2, DistributedDataParallel, checkpoints from one to the other, export."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from algorithms import ConfigError
from cli.app import run
from models import Policy, PretrainedPolicy, stream_weights
from tests.distributed.scenarios import BLIND, NO_RANDOM_STATE, mpo, resumed, scripted
from tests.test_training import largest_difference

pytestmark = pytest.mark.distributed

# Sums over ranks are added in another order, and Adam makes steps of 1e-3 out of gradients however small.
ROUNDING = 2e-4


def losses(outcomes: list[dict]) -> list[float]:
    """Mean over ranks of the loss of each step."""
    steps = zip(*(outcome["seen"] for outcome in outcomes), strict=True)
    return [sum(seen["train/loss"] for seen in step) / len(outcomes) for step in steps]


@pytest.mark.parametrize(("kind", "command"), [("mpo", mpo), ("scripted", scripted)], ids=["MPO", "GRPO"])
def test_one_process_ddp_and_fsdp2_take_the_same_steps_on_the_same_batch(root, ended, alone, kind, command) -> None:
    single = alone(command(root))
    for strategy in ("ddp", "fsdp2"):
        ranks = [ended(f"{kind}_{strategy}", rank) for rank in range(2)]
        assert losses(ranks) == pytest.approx(losses([single]), abs=1e-4), strategy
        assert largest_difference(single["weights"], ranks[0]["weights"]) < ROUNDING, strategy


def test_ranks_hold_half_of_the_weights_each_and_frozen_ones_too(ended) -> None:
    assert ended("mpo_fsdp2")["kept"] < 0.51 * ended("mpo_ddp")["kept"]
    assert ended("mpo_adapter")["kept"] < 0.51 * ended("mpo_ddp")["kept"]


def test_grpo_with_replay_reference_and_learner_scores_is_the_same_under_ddp_and_fsdp2(ended) -> None:
    ddp, fsdp2 = ended("grpo_ddp"), ended("grpo_fsdp2")
    assert largest_difference(ddp["weights"], fsdp2["weights"]) < ROUNDING
    for name in ("train/loss", "train/grad_norm", "train/kl_fresh", "engine/logp_gap_max", "buffer/batch_samples"):
        assert [s.get(name) for s in fsdp2["seen"]] == pytest.approx([s.get(name) for s in ddp["seen"]], abs=1e-4), name
    assert {k: v for k, v in ddp["metrics"].items() if k.startswith("val/")} == pytest.approx(
        {k: v for k, v in fsdp2["metrics"].items() if k.startswith("val/")}, abs=1e-6
    )


@pytest.mark.parametrize(
    "name", ["mpo_fsdp2", "mpo_validated", "grpo_fsdp2", "grpo_ddp", "ahead_ddp", "idle_fsdp2", "uneven", "signals"]
)
def test_all_ranks_end_with_the_same_weights_and_have_seen_the_same_validation(ended, name: str) -> None:
    first, second = (ended(name, rank) for rank in range(2))
    assert largest_difference(first["weights"], second["weights"]) == 0.0
    assert {k: v for k, v in first["metrics"].items() if k.startswith("val/")} == {
        k: v for k, v in second["metrics"].items() if k.startswith("val/")
    }


def test_a_copied_reference_parts_of_a_batch_and_recomputed_activations_change_nothing(ended) -> None:
    plain = ended("mpo_fsdp2")["weights"]
    assert largest_difference(plain, ended("mpo_copy")["weights"]) < ROUNDING
    assert largest_difference(plain, ended("mpo_recomputed")["weights"]) < ROUNDING
    assert largest_difference(ended("scripted_fsdp2")["weights"], ended("scripted_recomputed")["weights"]) < ROUNDING


def test_computing_in_bfloat16_keeps_what_learns_in_32_bits_and_engine_and_learner_agree(ended) -> None:
    half, full = ended("grpo_bf16"), ended("grpo_fsdp2")
    kinds = {name: tensor.dtype for name, tensor in half["weights"].items()}
    assert {kind for name, kind in kinds.items() if ".vision_tower." in name} == {torch.bfloat16}
    assert {kind for name, kind in kinds.items() if ".vision_tower." not in name} == {torch.float32}
    gaps, exact = ([step["engine/logp_gap_mean"] for step in outcome["seen"]] for outcome in (half, full))
    # Roundings of bfloat16 at log-probs of about -4, not another computation.
    assert 1e-5 < max(gaps) < 0.05
    assert max(exact) < 1e-5


def test_lora_learns_from_shards_as_from_whole_weights(root: Path, ended, alone) -> None:
    from tests.distributed.scenarios import LORA

    reference = "--model.init_args.reference=lightning_modules.LoRAOffReference"
    assert largest_difference(alone(mpo(root, *LORA, reference))["weights"], ended("mpo_lora")["weights"]) < ROUNDING


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_a_rank_without_an_effective_sample_waits_for_the_others_and_learns_with_them(ended, strategy: str) -> None:
    busy, idle = (ended(f"idle_{strategy}", rank) for rank in range(2))
    assert busy["seen"][-1]["buffer/batch_samples"] > 0
    assert idle["seen"][-1]["buffer/batch_samples"] == 0
    assert largest_difference(busy["weights"], idle["weights"]) == 0.0


def test_validation_prompts_that_do_not_divide_are_all_counted(ended) -> None:
    assert "val/greedy_accuracy" in ended("uneven")["metrics"]


def test_more_batches_on_one_rank_than_on_another_are_refused(ended) -> None:
    for rank in range(2):
        assert "[[3], [2]] validation batches" in ended("unequal", rank)["error"]
        assert "data.reading.batch_size" in ended("unequal", rank)["error"]


def test_a_run_resumed_from_slices_ends_with_the_weights_of_one_never_stopped(ended) -> None:
    for rank in range(2):
        assert largest_difference(ended("grpo_fsdp2", rank)["weights"], ended("grpo_resumed", rank)["weights"]) == 0.0


def test_ranks_that_each_have_a_rollout_in_flight_go_on_from_a_checkpoint_with_all_of_them(ended) -> None:
    for rank in range(2):
        whole, half = ended("ahead_ddp", rank), ended("ahead_resumed", rank)
        assert [step["rollout/staleness"] for step in whole["seen"]][::2] == [0.0, 2.0, 2.0]
        assert largest_difference(whole["weights"], half["weights"]) == 0.0


def test_fsdp2_goes_on_from_a_checkpoint_of_ddp(ended) -> None:
    assert largest_difference(ended("mpo_ddp")["weights"], ended("mpo_ddp_to_fsdp2")["weights"]) < ROUNDING


def test_one_process_goes_on_from_a_full_checkpoint_of_fsdp2(root: Path, ended, alone) -> None:
    ended("mpo_half_full")
    resumed_alone = alone(mpo(root, NO_RANDOM_STATE, resumed(root, "full")))
    assert largest_difference(ended("mpo_fsdp2")["weights"], resumed_alone["weights"]) < ROUNDING


def test_state_that_belongs_to_ranks_is_refused_by_another_number_of_ranks(root: Path, ended) -> None:
    ended("mpo_half_ddp")
    with pytest.raises(ConfigError, match=r"written by 2 rank\(s\) and this run has 1"):
        run(mpo(root, resumed(root, "ddp")))


def test_slices_are_refused_by_other_strategies(root: Path, ended) -> None:
    ended("grpo_half")
    with pytest.raises(ConfigError, match=r"step=3.ckpt is a folder of slices, which only FSDP2 reads"):
        run(mpo(root, resumed(root, "sharded", steps=3)))


def test_the_export_of_shards_is_that_of_whole_weights(root: Path, ended, alone) -> None:
    weights = ended("mpo_fsdp2")["weights"]
    exported = AutoModelForImageTextToText.from_pretrained(root / "export").state_dict()
    assert largest_difference(weights, dict(exported)) == 0.0
    folder = root / "export_alone"
    alone(mpo(root, f"--callbacks.export.folder={folder}"))
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in (root / "export").iterdir())
    assert (folder / "config.json").read_text() == (root / "export" / "config.json").read_text()


def test_ranks_publish_the_same_signals_and_standardise_by_the_same_statistics(ended) -> None:
    first, second = (ended("signals", rank) for rank in range(2))
    assert first["signals"] == second["signals"] != {}
    assert str(first["reward"]) == str(second["reward"])


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_blind_probes_measure_on_two_ranks_what_one_process_measures(root: Path, ended, alone, strategy: str) -> None:
    def measured(outcome: dict) -> list[dict[str, float]]:
        return [{name: value for name, value in seen.items() if name.startswith("blind/")} for seen in outcome["seen"]]

    single = measured(alone(scripted(root, *BLIND)))
    assert len({seen["blind/logp_gap_shuffled"] for seen in single if seen}) > 1
    for rank in range(2):
        ranks = measured(ended(f"blind_{strategy}", rank))
        for seen, expected in zip(ranks, single, strict=True):
            assert seen == pytest.approx(expected, abs=1e-3)


def test_slices_are_read_as_from_pretrained_reads_the_whole(root: Path, ended) -> None:
    # Without a step the weights streamed out of shards are those of the folder.
    whole: Policy = PretrainedPolicy(str(root / "policy")).build()
    untouched = {n: t for n, t in stream_weights(whole.model) if ".vision_tower." in n}
    streamed = ended("mpo_fsdp2")["weights"]
    assert all(torch.equal(tensor, streamed[name]) for name, tensor in untouched.items())
