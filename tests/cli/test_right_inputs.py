"""What is right is not refused, in whichever of the parser's forms it is written."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from lightning.pytorch import Callback

from cli.app import run
from cli.given.settings import config_files, flags
from cli.mistakes.unknown_keys import check_keys
from cli.mistakes.yaml_files import check_files

GRPO, MPO = "configs/tiny/grpo.yaml", "configs/tiny/mpo.yaml"


@dataclass
class Often:
    every: int = 1


@dataclass
class Seldom:
    after: int = 1


class Own(Callback):
    """Takes one of two dataclasses, any keywords of its base, and a mapping."""

    def __init__(self, when: Often | Seldom | None = None, weights: dict[str, float] | None = None) -> None:
        super().__init__()


OWN = f"--callbacks.own={__name__}.Own"


def check(*arguments: str, config: str = GRPO) -> None:
    given = [f"--config={config}", *arguments]
    check_keys("fit", config_files(given), flags(given))


@pytest.mark.parametrize(
    "given",
    [
        ("--model.judge=hallucination.YesNoJudge",),
        ("--model.judge=YesNoJudge",),
        ("--model.judge.class_path=hallucination.YesNoJudge",),
        ("--model.engine", "rollouts.TransformersEngine", "--model.engine.max_rows", "16"),
        ("--model.init_args.engine.init_args.max_rows=16",),
        ("--data.source=datamodules.PromptFolder", "--data.source.path=somewhere"),
        ("--model.reward.parts.short.reward=rewards.FunctionReward", "--model.reward.parts.short.weight=0.1"),
        ("--model.reward.init_args.parts.format=null",),
        ("--model.grpo.surrogate=my_module.my_surrogate",),
        ("--model.grpo={dual_clip: null, clip_high: 0.3}",),
        ("--model.learning.optimizer.learning_rate=1e-5",),
        ("--model.learning.lora={rank: 4}", "--model.learning.trainable=[]"),
        ("--trainer.logger=false",),
        ("--trainer.logger=CSVLogger", "--trainer.logger.save_dir=x"),
        ("--trainer.logger=[CSVLogger, TensorBoardLogger]",),
        ("--trainer.strategy=ddp", "--trainer.devices=auto", "--trainer.precision=bf16-mixed"),
        ("--trainer.strategy.class_path=lightning_modules.FSDP2Strategy", "--trainer.strategy.param_dtype=float32"),
        ("--trainer.callbacks+=LearningRateMonitor",),
        ("--trainer.max_time={hours: 1}",),
        ("--trainer.limit_val_batches=0.5", "--trainer.val_check_interval=1.0", "--trainer.fast_dev_run=true"),
        ("--callbacks.export=null", "--callbacks.completions=null"),
        ("--callbacks.best=lightning.pytorch.callbacks.ModelCheckpoint", "--callbacks.best.monitor=x"),
        (OWN, "--callbacks.own=null"),
        (OWN, "--callbacks.own.when={after: 3}"),
        (OWN, "--callbacks.own.when.every=3", "--callbacks.own.weights={anything: 1.0}"),
        ("--ckpt_path=last", "--seed_everything=true", "--print_config=skip_null"),
        ("--data.seed=${seed_everything}", "--model.seed=${oc.env:SEED,3}"),
    ],
)  # fmt: skip
def test_forms_that_the_parser_takes_are_left_to_it(given: tuple[str, ...]) -> None:
    check(*given)


@pytest.mark.parametrize(
    "content",
    [
        "model: GRPOModule\n",
        "model: lightning_modules.GRPOModule\ndata: {seed: 1}\n",
        "trainer: &base {max_steps: 1}\ncallbacks: {1: {class_path: my_module.Mine}}\n",
        "model:\n  init_args:\n    <<: {seed: 1}\n    max_attempts: 2\n",
    ],
)
def test_forms_of_yaml_that_are_in_use_are_taken(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(content)
    check_files(config_files([f"--config={tmp_path}/config.yaml"]))


@pytest.mark.parametrize(
    "config",
    [
        str(path)
        for path in sorted(Path("configs").rglob("*.yaml"))
        # Those of evaluations have keys of their own; tests/evaluation/test_tables.py reads them.
        if "# Lies over" not in path.read_text() and path.parts[1] != "evaluation"
    ],
)
def test_every_config_of_the_project_has_known_keys_only(config: str) -> None:
    check(config=config)


@pytest.mark.parametrize("config", [GRPO, MPO])
def test_a_printed_config_is_taken_back(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [OWN, "--callbacks.own=null", "--callbacks.completions=null", "--trainer.logger=false"]
    with pytest.raises(SystemExit) as stopped:
        run(["fit", f"--config={config}", *flags, "--print_config"])
    assert stopped.value.code == 0
    printed = tmp_path / "config.yaml"
    printed.write_text(text := capsys.readouterr().out)
    with pytest.raises(SystemExit) as stopped:
        run(["fit", f"--config={printed}", "--print_config"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == text
