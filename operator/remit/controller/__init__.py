"""The control-plane process. May not call upstreams, nor hold run data in memory only."""
