"""The posterior: what is fitted, how, and whether it may be believed."""
