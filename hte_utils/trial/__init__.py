"""The paper's trial: R's random stream, Listing 1 as printed, and the trial as the text describes it."""

from hte_utils.trial.as_described import simulate_trial_as_described as simulate_trial_as_described
from hte_utils.trial.as_described import simulate_truth_as_described as simulate_truth_as_described
from hte_utils.trial.listing_1 import AGE_LIMITS as AGE_LIMITS
from hte_utils.trial.listing_1 import BLOOD_PRESSURE_COVARIANCE as BLOOD_PRESSURE_COVARIANCE
from hte_utils.trial.listing_1 import BLOOD_PRESSURE_MEAN as BLOOD_PRESSURE_MEAN
from hte_utils.trial.listing_1 import BMI_LIMITS as BMI_LIMITS
from hte_utils.trial.listing_1 import LISTING_BASELINE as LISTING_BASELINE
from hte_utils.trial.listing_1 import LISTING_COEFFICIENTS as LISTING_COEFFICIENTS
from hte_utils.trial.listing_1 import LISTING_EFFECT as LISTING_EFFECT
from hte_utils.trial.listing_1 import P_TREATED as P_TREATED
from hte_utils.trial.listing_1 import BaselineCoefficients as BaselineCoefficients
from hte_utils.trial.listing_1 import Covariates as Covariates
from hte_utils.trial.listing_1 import EffectCoefficients as EffectCoefficients
from hte_utils.trial.listing_1 import EffectScale as EffectScale
from hte_utils.trial.listing_1 import ListingCoefficients as ListingCoefficients
from hte_utils.trial.listing_1 import TrialTruth as TrialTruth
from hte_utils.trial.listing_1 import TrialVariant as TrialVariant
from hte_utils.trial.listing_1 import baseline_log_odds as baseline_log_odds
from hte_utils.trial.listing_1 import draw_covariates as draw_covariates
from hte_utils.trial.listing_1 import simulate_trial as simulate_trial
from hte_utils.trial.listing_1 import simulate_truth as simulate_truth
from hte_utils.trial.listing_1 import treatment_effect as treatment_effect
from hte_utils.trial.listing_1 import trial_table as trial_table
