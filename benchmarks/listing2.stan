// The model of Listing 2 (Appendix B of the paper) in Stan, for posterior.py; tests/reference/jags_listing2.txt is the
// same in JAGS, with the paper's lines. Deviations of the genders are written as standard normals times their SD, which
// is the same law, and NUTS can move in it.
data {
  int<lower=1> N;
  int<lower=1> n_gender;
  int<lower=0, upper=1> y[N];
  vector[N] treatment;
  int<lower=0> gender[N];
  vector[N] age;
  vector[N] anticoag;
  vector[N] bmi;
  vector[N] diabetes;
  vector[N] prior_bleeding;
}
parameters {
  real b_intercept;
  real b_trt;
  real b_age;
  real b_anticoag;
  real b_diabetes;
  real b_prior;
  real b_bmi;
  real b_trt_age;
  real b_trt_anticoag;
  real b_trt_diabetes;
  vector[n_gender] z;
  vector[n_gender] z_trt;
  real<lower=0> tau_re;
  real<lower=0> tau_re_trt;
}
transformed parameters {
  vector[n_gender] re = z / sqrt(tau_re);
  vector[n_gender] re_trt = z_trt / sqrt(tau_re_trt);
  vector[n_gender] te_gender = b_trt + re_trt;
}
model {
  vector[N] risk = b_intercept + b_age * age + b_anticoag * anticoag + b_diabetes * diabetes + b_prior * prior_bleeding
    + b_bmi * bmi;
  vector[N] effect = b_trt + b_trt_age * age + b_trt_anticoag * anticoag + b_trt_diabetes * diabetes;
  for (i in 1:N) {
    risk[i] += re[gender[i] + 1];
    effect[i] += re_trt[gender[i] + 1];
  }
  y ~ bernoulli_logit(risk + effect .* treatment);
  b_intercept ~ normal(0, 1);
  b_trt ~ normal(0, 1);
  b_age ~ normal(0, 1);
  b_anticoag ~ normal(0, 1);
  b_diabetes ~ normal(0, 1);
  b_prior ~ normal(0, 1);
  b_bmi ~ normal(0, 1);
  b_trt_age ~ normal(0, 1);
  b_trt_anticoag ~ normal(0, 1);
  b_trt_diabetes ~ normal(0, 1);
  z ~ normal(0, 1);
  z_trt ~ normal(0, 1);
  tau_re ~ gamma(2, 2);
  tau_re_trt ~ gamma(2, 2);
}
