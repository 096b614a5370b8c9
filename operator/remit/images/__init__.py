"""Container images without Docker: reproducible, non-root, as docker-archive files.

Three layers: a Debian base with Python and nothing else (no shell, no package manager), the
locked wheels, and our own files. Each is cached by what it is made from; the same inputs make
the same bytes, so an image's id says what is in it.
"""
