"""The agent loop inside the pod. Imports the API vocabulary only, and decides nothing."""
