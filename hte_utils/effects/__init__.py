"""From a posterior to effects: individual, average, by stratum, and beside the truth of a simulated trial."""
