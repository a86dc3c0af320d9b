# Draws of R's samplers, call after call from one stream, for many seeds, probabilities, means and covariances.
#   Rscript r_streams.R [OUTPUT.csv.gz]     (run in this folder; default r_streams.csv.gz)
# One row a call: the seed that began the stream, the call's place in it, sampler, n, its two arguments, the draws.
source("r_values.R")

SEEDS <- c(0, 1, 123, -1, 42, 20241123, 65536, -987654321, 2147483647, -2147483647)
PAPER_COVARIANCE <- matrix(c(200, 100, 100, 100), 2, 2)

samplers <- list(
  rnorm = rnorm, rbinom = rbinom, mvrnorm = function(n, mu, sigma) MASS::mvrnorm(n, mu, matrix(sigma, length(mu))))

play <- function(seed, calls) {
  set.seed(seed)
  rows <- lapply(seq_along(calls), function(place) {
    call <- calls[[place]]
    draws <- samplers[[call$sampler]](call$n, call$first, call$second)
    data.frame(seed = sprintf("%d", as.integer(seed)), place, sampler = call$sampler, n = call$n,
               first = hex(call$first), second = hex(call$second), draws = hex(draws))
  })
  do.call(rbind, rows)
}

call <- function(sampler, n, first, second) list(sampler = sampler, n = n, first = first, second = second)

# Every sampler after every other: what one call takes from the stream shows in the next.
mixed <- list(
  call("rnorm", 5, 0, 1), call("rbinom", 9, 1, 0.3), call("rbinom", 9, 1, 0.5), call("rbinom", 9, 1, 0.9),
  call("rnorm", 9, c(55, -1e6, 3), c(12, 1e-3, 1e9)),
  call("rbinom", 12, 1, c(0.2, 0.7, 0.4, 0, 1, 0.5, 1e-9, 1 - 1e-9, 0.50001, 0, 1, 0.999)),
  call("mvrnorm", 6, c(130, 80), PAPER_COVARIANCE), call("mvrnorm", 2, c(130, 80), PAPER_COVARIANCE),
  call("rbinom", 3, 1, 0.3), call("rnorm", 2, 0, 1))

# Long runs of one sampler, over blocks and generations of the twister (624 words).
long <- list(call("rnorm", 4000, 0, 1), call("rbinom", 3000, 1, 0.1), call("mvrnorm", 1500, c(130, 80), PAPER_COVARIANCE))

# As in Listing 1: positive covariance, the larger variance first.
covariance <- function() { sd <- sort(rexp(2), decreasing = TRUE); between <- runif(1) * prod(sd); matrix(c(sd[1]^2, between, between, sd[2]^2), 2) }
set.seed(20241101)
covariances <- lapply(1:40, function(k) call("mvrnorm", 2, round(rnorm(2), 2), covariance()))

rows <- rbind(do.call(rbind, lapply(SEEDS, play, mixed)), play(7, long), play(8, covariances))
write_values(rows, output_path("r_streams.csv.gz"))
