"""The side without privilege: talks to the agent, compares databases."""
