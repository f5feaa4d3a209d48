"""The closed loop of hallucination monitor and threshold calibrator, and their parts."""
