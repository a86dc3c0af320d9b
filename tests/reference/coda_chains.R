# Makes the chains on which coda's values were recorded.
#   Rscript coda_chains.R JAGS_CHAIN_1.csv.gz JAGS_CHAIN_2.csv.gz JAGS_CHAIN_3.csv.gz
# Writes coda_chains_ar.csv.gz (artificial series) and coda_chains_jags.csv.gz (draws of Listing 2 from JAGS without
# module glm, made by jags_runs.R, every 10th). The rounded values in the files are the chains.
source("jags_model.R")
set.seed(1992)
N_CHAINS <- 3
N_DRAWS <- 400

autoregressive <- function(phi) {
  series <- filter(rnorm(N_DRAWS + 200), phi, method = "recursive")
  as.numeric(series)[200 + seq_len(N_DRAWS)]
}
artificial <- do.call(rbind, lapply(seq_len(N_CHAINS), function(chain) data.frame(
  chain = chain,
  white_noise = rnorm(N_DRAWS),
  ar_half = autoregressive(0.5),
  ar_nine_tenths = autoregressive(0.9),
  ar_sticky = autoregressive(0.99),
  ar_alternating = autoregressive(-0.6),
  ar_two = autoregressive(c(1.2, -0.5)),
  skewed = rexp(N_DRAWS)^2,
  far_from_zero = 1000 + 0.01 * autoregressive(0.7),
  tiny = 1e-4 * autoregressive(0.3),
  drifting = rnorm(N_DRAWS) + seq_len(N_DRAWS) / 100,
  seasonal = autoregressive(c(rep(0, 24), 0.7)), # of order 25: the largest that ar() tries on 400 draws is 26
  apart = rnorm(N_DRAWS) + chain)))
# "far_from_zero" needs its digits after the decimal point: ten in all.
digits <- ifelse(names(artificial) == "far_from_zero", 10, 6)
artificial[] <- Map(signif, artificial, digits)
write_csv(artificial, "coda_chains_ar.csv.gz",
          c("set.seed(1992); see coda_chains.R", paste(names(versions()), versions(), collapse = ", ")))

files <- commandArgs(TRUE)
if (length(files)) {
  # Table 4's twelve quantities.
  reported <- c("b_age", "b_anticoag", "b_bmi", "b_diabetes", "b_intercept", "b_prior", "b_trt", "b_trt_age",
                "b_trt_anticoag", "b_trt_diabetes", "te_gender[1]", "te_gender[2]")
  kept <- seq(10, by = 10, length.out = N_DRAWS)
  listing2 <- do.call(rbind, lapply(seq_along(files), function(chain) {
    draws <- read.csv(files[chain], comment.char = "#", check.names = FALSE)
    data.frame(chain = chain, signif(draws[kept, reported], 6), check.names = FALSE)
  }))
  write_csv(listing2, "coda_chains_jags.csv.gz",
            c("Every 10th draw of jags_runs.R's chains (seeds 31, 32, 33), the first 400",
              sub("^# ", "", readLines(files[1], 1))))
}
