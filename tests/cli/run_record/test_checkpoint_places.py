"""Checkpoints lie in the run's folder whichever logger it has, or where the user has said."""

from pathlib import Path

from jsonargparse import Namespace, dict_to_namespace

from cli.run_record.checkpoint_places import given_checkpoint_folders, point_checkpoints_at


def section() -> Namespace:
    lightnings = {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": {"dirpath": "best"}}
    return dict_to_namespace(
        {
            "trainer": {"callbacks": [lightnings]},
            "callbacks": {
                "checkpoint": {"class_path": "callbacks.StepCheckpoint", "init_args": {"dirpath": None, "keep": 2}},
                "bare": {"class_path": "callbacks.StepCheckpoint"},
                "progress": {"class_path": "callbacks.RolloutProgressBar", "init_args": {}},
                "export": None,
            },
        }
    )


def test_folders_that_the_user_gave_are_found_and_stay() -> None:
    config = section()
    assert given_checkpoint_folders(config) == [Path("best")]
    point_checkpoints_at(config, Path("run/checkpoints"))
    assert config.trainer.callbacks[0].init_args.dirpath == "best"


def test_every_other_callback_that_saves_is_pointed_at_the_folder() -> None:
    config = section()
    point_checkpoints_at(config, Path("run/checkpoints"))
    assert config.callbacks.checkpoint.init_args.as_dict() == {"dirpath": "run/checkpoints", "keep": 2}
    assert config.callbacks.bare.init_args.dirpath == "run/checkpoints"
    assert config.callbacks.progress.init_args.as_dict() == {}
    assert config.callbacks.export is None
