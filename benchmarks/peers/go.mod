module remit.dev/benchmarks/peers

go 1.24
