//! The demonstration: arrivals, workers, autoscaler, summary.
