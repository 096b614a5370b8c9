"""The embedded single-node cluster. Touches nothing on the machine that it did not make."""
