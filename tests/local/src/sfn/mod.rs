//! Step Functions: activities, state machines, executions.
