"""The paper's model as its text describes it (equations 5 to 8), beside the one that was run."""
