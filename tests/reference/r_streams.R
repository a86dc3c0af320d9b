# Draws of R's samplers, call after call from one stream, for many seeds, sizes, probabilities, means and covariances.
#   Rscript r_streams.R [OUTPUT.csv.gz]     (run in this folder; default r_streams.csv.gz)
# One row a call: the seed that began the stream, the call's place in it, sampler, n, its two arguments, the draws.
source("r_values.R")

SEEDS <- c(0, 1, 123, -1, 42, 20241123, 65536, -987654321, 2147483647, -2147483647)
PAPER_COVARIANCE <- matrix(c(200, 100, 100, 100), 2, 2)

samplers <- list(
  runif = runif, rnorm = rnorm, rbinom = rbinom,
  mvrnorm = function(n, mu, sigma) MASS::mvrnorm(n, mu, matrix(sigma, length(mu))))

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
  call("runif", 5, 0, 1), call("rnorm", 5, 0, 1), call("runif", 7, c(-2, 0, 3), c(7, 1e-3, 3)),
  call("rbinom", 9, 1, 0.3), call("rbinom", 9, 1, 0.5), call("rbinom", 9, 1, 0.9),
  call("rnorm", 9, c(55, -1e6, 3), c(12, 0, 1e-3, 1e9)), call("rnorm", 2, c(1, 2, 3), c(4, 5, 6)),
  call("rbinom", 16, c(1, 10, 0, 50, 59, 60, 3), c(0.2, 0.7, 0.4, 0, 1, 0.5)),
  call("mvrnorm", 6, c(130, 80), PAPER_COVARIANCE), call("mvrnorm", 1, c(130, 80), PAPER_COVARIANCE),
  call("rbinom", 9, 100, 0.5), call("rbinom", 9, c(1000, 2), c(0.999, 0.4, 0.31)),
  call("mvrnorm", 3, c(0, 1, 2), matrix(c(4, 1, 0.5, 1, 3, -1, 0.5, -1, 2), 3)), call("mvrnorm", 3, 7, 2),
  call("rbinom", 3, 100000, 0.3), call("runif", 2, 0, 1))

# Long runs of one sampler, over blocks and generations of the twister (624 words).
long <- list(call("rnorm", 4000, 0, 1), call("runif", 1500, 0, 1), call("rbinom", 3000, 1, 0.1))

covariance <- function(p) { root <- matrix(rnorm(p * p), p); crossprod(root) + t(crossprod(root)) }
set.seed(20241101)
covariances <- lapply(rep(c(2, 3, 4, 6), each = 12), function(p) call("mvrnorm", 2, round(rnorm(p), 2), covariance(p)))
special <- lapply(
  list(diag(3), diag(c(1, 2, 3)), diag(c(3, 2, 1)), matrix(1, 3, 3), matrix(0, 2, 2), diag(2), matrix(c(1, -1, -1, 1), 2),
       matrix(c(1, 0.9, 0, 0.9, 1, 0, 0, 0, 1), 3), diag(0.5, 4) + 0.5),
  function(sigma) call("mvrnorm", 2, numeric(nrow(sigma)), sigma))

# Binomials on both sides of the border between inversion and BTPE (mean 30), and of probability 1/2.
grid <- expand.grid(size = c(2, 17, 59, 61, 100, 299, 1000, 10000, 1000000), prob = c(1e-5, 0.003, 0.1, 0.3, 0.5, 0.50001, 0.7, 0.999))
binomials <- Map(function(size, prob) call("rbinom", 40, size, prob), grid$size, grid$prob)
# Seeds where a draw of BTPE hangs on a detail: the signs of the Stirling corrections, where the recursion ends, and the series'
# first constant (13860; some programs have 13680).
details <- rbind(play(100, list(call("rbinom", 940, 3000, 0.03))), play(103, list(call("rbinom", 1260, 3000, 0.03))),
                 play(1167, list(call("rbinom", 4870, 100000, 0.0006))))

rows <- rbind(do.call(rbind, lapply(SEEDS, play, mixed)), play(7, long), play(8, covariances), play(9, special),
              play(10, binomials), play(11, list(call("rbinom", 2000, 40000000, 0.6))), details)
write_values(rows, output_path("r_streams.csv.gz"))
