//! SNS: topics, SQS subscriptions, signed envelopes.
