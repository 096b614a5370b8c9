"""What Remit costs, beside a peer that does the same operation in the same run. See docs/benchmarks.md."""
