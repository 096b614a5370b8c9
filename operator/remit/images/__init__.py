"""Container images without Docker: reproducible, non-root, as docker-archive files."""
