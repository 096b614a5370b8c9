"""A model that always says the same: OpenAI and Anthropic APIs over dialogues in readable files.

The same request gets the same answer, byte for byte, so that runs can be repeated and asserted.
"""
