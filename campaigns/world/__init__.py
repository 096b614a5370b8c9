"""The world that a campaign plays in: a control plane alone, its node and gateway played, our processes real."""
