//! Alarms that a scenario sets itself.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::StateValue;

/// Without datapoints the alarm stays as it is set, instead of being
/// evaluated away.
pub(crate) async fn keep_state(cloudwatch: &Client, name: &str) {
    let named = cloudwatch.describe_alarms().alarm_names(name);
    let named = named.send().await.expect("alarms");
    let [alarm] = named.metric_alarms() else {
        panic!("there is no alarm {name}: the endpoint has not what the catalogue says");
    };
    let put = (cloudwatch.put_metric_alarm())
        .alarm_name(name)
        .set_namespace(alarm.namespace.clone())
        .set_metric_name(alarm.metric_name.clone())
        .set_dimensions(alarm.dimensions.clone())
        .set_statistic(alarm.statistic.clone())
        .set_period(alarm.period)
        .set_evaluation_periods(alarm.evaluation_periods)
        .set_threshold(alarm.threshold)
        .set_comparison_operator(alarm.comparison_operator.clone())
        .set_alarm_actions(alarm.alarm_actions.clone())
        .set_ok_actions(alarm.ok_actions.clone())
        .treat_missing_data("ignore");
    put.send().await.expect("the alarm");
}

/// Sets its state, as AWS does when a metric crosses the threshold.
pub(crate) async fn set(cloudwatch: &Client, name: &str, state: StateValue) {
    let set = cloudwatch.set_alarm_state().alarm_name(name);
    let set = set.state_value(state);
    let set = set.state_reason("the scenario says so").send().await;
    set.expect("the alarm's state");
}
