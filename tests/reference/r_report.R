# What R says of the example trial of the chapter Your own trial: Newcombe's interval from two Wilson intervals, and the
# standardised effects of a logistic regression (glm) with the delta method. Usage: Rscript r_report.R output.csv
trial <- read.csv(file.path("..", "..", "book", "data", "own-trial", "trial.csv"))
y <- as.numeric(trial$relapse == "yes")
t <- as.numeric(trial$arm == "Active")
wilson <- function(x, n) suppressWarnings(prop.test(x, n, correct = FALSE)$conf.int)
events <- c(sum(y[t == 1]), sum(y[t == 0]))
n <- c(sum(t == 1), sum(t == 0))
rate <- events / n
w1 <- wilson(events[1], n[1])
w0 <- wilson(events[2], n[2])
difference <- rate[1] - rate[2]
lower <- difference - sqrt((rate[1] - w1[1])^2 + (w0[2] - rate[2])^2)
upper <- difference + sqrt((w1[2] - rate[1])^2 + (rate[2] - w0[1])^2)
fit <- glm(y ~ t + age + sex + severity + smoker + crp, family = binomial, data = trial,
           control = glm.control(epsilon = 1e-14, maxit = 100))
x <- model.matrix(fit)
x1 <- x0 <- x
x1[, "t"] <- 1
x0[, "t"] <- 0
p1 <- plogis(x1 %*% coef(fit))[, 1]
p0 <- plogis(x0 %*% coef(fit))[, 1]
g1 <- colMeans(p1 * (1 - p1) * x1)
g0 <- colMeans(p0 * (1 - p0) * x0)
error <- function(gradient) sqrt(drop(gradient %*% vcov(fit) %*% gradient))
se <- error(g1 - g0)
z <- qnorm(0.975)
ratio <- log(mean(p1) / mean(p0))
se_ratio <- error(g1 / mean(p1) - g0 / mean(p0))
values <- c(
  n = length(y), events = sum(y), events_treated = events[1], events_control = events[2],
  crude_difference = difference, crude_lower = lower, crude_upper = upper,
  standardised_difference = mean(p1) - mean(p0),
  standardised_lower = mean(p1) - mean(p0) - z * se, standardised_upper = mean(p1) - mean(p0) + z * se,
  standardised_ratio = exp(ratio), standardised_ratio_lower = exp(ratio - z * se_ratio),
  standardised_ratio_upper = exp(ratio + z * se_ratio)
)
out <- commandArgs(trailingOnly = TRUE)[1]
writeLines(c(paste("#", R.version.string), "name,value", paste0(names(values), ",", sprintf("%.15g", values))), out)
