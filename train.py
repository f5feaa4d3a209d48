"""Train, validate, test or predict: ``python train.py fit --config configs/tiny/grpo.yaml``.

Further ``--config`` files are laid over the first, key by key; flags come last. ``fit --help`` leads to the keys.
``new`` writes a config for data and a model of your own, ``inspect`` a page of what would be asked, ``sweep`` runs a
config with several overlays and seeds, ``compare`` sets runs side by side; ``--help`` lists them all.
"""

from cli.app import main

if __name__ == "__main__":
    main()
