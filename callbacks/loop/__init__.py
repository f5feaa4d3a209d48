"""The closed loop of hallucination monitor and threshold calibrator, and the parts that they are made of."""
