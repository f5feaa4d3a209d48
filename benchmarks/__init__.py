"""Speed and memory, measured against others in one run. Ratios only: machines differ, and are noisy."""
