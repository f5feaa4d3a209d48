"""Learning from pairs: which pairs, the MPO loss, the Bradley-Terry loss of reward models."""
