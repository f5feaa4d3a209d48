"""The verifier: decides whether an answer is equivalent to the right one, and for what reason."""

from rewards.answers.equivalence import judge_quickly
from rewards.answers.golds import gold_problem
from rewards.answers.reading import read_answer
from rewards.answers.reasons import Reason
from rewards.answers.verifier import Question, Verifier

__all__ = ["Question", "Reason", "Verifier", "gold_problem", "judge_quickly", "read_answer"]
