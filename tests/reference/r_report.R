# What R says of the example trial of the chapter Your own trial: Newcombe's interval from two Wilson intervals, the
# standardised effects of a logistic regression (glm) with the delta method, and Table 1; and of two arms of ACTG 175,
# by the package survival: risks by day 730, event-free time, Cox's hazard ratio and the log-rank test up to it.
# Usage: Rscript r_report.R output.csv
suppressPackageStartupMessages(library(survival))
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

# Table 1: mean and SD, or number and share, by arm; the difference in SD (as the package tableone's SMD of two arms).
keep <- function(name, cells, gap) {
  names(cells) <- paste("table 1", name, c("control", "control spread", "treated", "treated spread"), sep = ": ")
  values <<- c(values, cells, setNames(gap, paste("table 1", name, "difference", sep = ": ")))
}
for (name in c("age", "crp")) {
  x <- trial[[name]]
  spread <- c(sd(x[t == 0]), sd(x[t == 1]))
  centre <- c(mean(x[t == 0]), mean(x[t == 1]))
  keep(name, c(centre[1], spread[1], centre[2], spread[2]), diff(centre) / sqrt(mean(spread^2)))
}
for (name in c("sex", "severity", "smoker")) for (level in sort(unique(trial[[name]]))) {
  x <- trial[[name]] == level
  share <- c(mean(x[t == 0]), mean(x[t == 1]))
  cells <- c(sum(x[t == 0]), share[1], sum(x[t == 1]), share[2])
  keep(paste(name, level), cells, diff(share) / sqrt(mean(share * (1 - share))))
}

actg <- read.csv(file.path("..", "..", "book", "data", "actg175", "actg175.csv"), row.names = 1)
actg <- transform(actg[actg$arms %in% 0:1, ], event = cens * (days <= 730), days = pmin(days, 730))
for (arm in 0:1) {
  curve <- survfit(Surv(days, event) ~ 1, data = actg[actg$arms == arm, ])
  at <- summary(curve, times = 730)
  mean_time <- summary(curve, rmean = 730)$table[c("rmean", "se(rmean)")]
  found <- c(1 - at$surv, at$std.err, mean_time)
  names(found) <- paste("times", c("control", "treated")[arm + 1], c("risk", "se", "event_free", "event_free_se"), sep = ": ")
  values <- c(values, found)
}
cox <- coxph(Surv(days, event) ~ arms, data = actg, ties = "efron")
log_rank <- survdiff(Surv(days, event) ~ arms, data = actg)
ends <- coef(cox) + c(0, -z, z) * sqrt(vcov(cox)[1, 1])
values <- c(values, setNames(exp(ends), paste("times: hazard ratio", c("estimate", "lower", "upper"), sep = ": ")),
            "times: log-rank p" = pchisq(log_rank$chisq, 1, lower.tail = FALSE))

out <- commandArgs(trailingOnly = TRUE)[1]
writeLines(c(paste0("# ", R.version.string, "; survival ", packageVersion("survival")), "name,value", paste0(names(values), ",", sprintf("%.15g", values))), out)
