"""Sample data: a believable and deliberately dirty landing zone of any size."""

from pipelines.sample.land import InvalidSampleSize, LandedSample, LandingNotEmpty, OtherSampleLanded, land_sample

__all__ = ["InvalidSampleSize", "LandedSample", "LandingNotEmpty", "OtherSampleLanded", "land_sample"]
