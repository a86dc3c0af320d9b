# Whole trials of Listing 1 from R, and digests of a large one.
#   Rscript r_trials.R [TRIALS.csv.gz] [UNROUNDED.csv.gz] [DIGEST.csv]     (run in this folder)
source("r_values.R")
source("listing_1.R")
arguments <- commandArgs(TRUE)
path <- function(place, default) if (length(arguments) >= place) arguments[place] else default

CASES <- list(
  list(1, 123), list(1, 5), list(2, 1), list(3, -1), list(7, 0), list(50, 2147483647), list(100, -2147483647),
  list(2000, 123), list(2000, 123, "first-draw-removed"), list(2000, 123, "first-draw-kept"), list(5000, 20241123))
exact <- function(x) sprintf("%a", x)

trials <- lapply(CASES, function(case) {
  trial <- do.call(simulate_trial, case)
  trial$true_te <- exact(trial$true_te)
  cbind(n = case[[1]], seed = sprintf("%d", as.integer(case[[2]])), variant = if (length(case) == 3) case[[3]] else "as-printed", trial)
})
write_values(do.call(rbind, trials), path(1, "r_trials.csv.gz"))

# The values behind the rounded columns, for the paper's trial.
write_values(data.frame(lapply(attr(simulate_trial(2000, 123), "unrounded"), exact)), path(2, "r_trial_unrounded.csv.gz"))

# Whole numbers only, so that sums are exact in any order; the sums weighted by subject_id see an exchange of rows as well.
LARGE <- list(n = 1000000L, seed = 31)
large <- simulate_trial(LARGE$n, LARGE$seed)
above_half <- sum(attr(large, "unrounded")$event_prob > 0.5)
tenfold <- c("age", "bmi")
large[tenfold] <- round(10 * large[tenfold])
large$true_te <- round(1e4 * large$true_te)
weight <- as.numeric(large$subject_id)
large$subject_id <- NULL
digest <- data.frame(n = sprintf("%d", LARGE$n), seed = LARGE$seed, above_half, column = names(large),
                     sum = sprintf("%.0f", colSums(large)), weighted = sprintf("%.0f", colSums(large * weight)))
write_values(digest, path(3, "r_trial_digest.csv"))
