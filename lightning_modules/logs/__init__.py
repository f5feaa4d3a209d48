"""What training modules log: rollouts, pairs, TensorBoard, and a warning where nothing is learnt."""
