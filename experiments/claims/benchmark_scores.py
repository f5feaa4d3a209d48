"""The scores of the 38B model."""

from experiments.claims.records import Claim

CLAIM = Claim(
    name="benchmarks",
    rank=20,
    title="Scores on public benchmarks",
    paper_says="MMMU 73.6, MathVista 74.0, OlympiadBench 62.6, AIME 2024 78.9, LiveCodeBench 63.6.",
    source="R1V2 v3, table 1",
    question="Does the recipe reach these scores?",
    arms=(),
    measures=(),
    expectations=(),
    curves=(),
    why="It takes a model of 38 billion weights, its data, which are not published, and GPUs.",
)
