//! SQS: long polls, visibility, dead-letter queues.
