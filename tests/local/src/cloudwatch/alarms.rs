//! The operations on alarms.

use serde_json::{Value, json};

use super::alarm::{Alarm, Config, Outcome};
use super::requests::{Describe, DescribeForMetric, Named, SetState};
use super::{AlarmState, CloudWatch, Inner};
use crate::AwsError;

impl CloudWatch {
    pub(super) fn put_alarm(&self, config: Config) -> Result<Value, AwsError> {
        let mut inner = self.lock();
        config.check(&inner.store)?;
        let now = self.context.clock.now();
        let name = config.alarm_name.clone();
        let arn = self.context.arn("cloudwatch", &format!("alarm:{name}"));
        let Inner {
            alarms, history, ..
        } = &mut *inner;
        let kind = if alarms.contains_key(&name) {
            "Update"
        } else {
            "Create"
        };
        let alarm = alarms.entry(name).or_insert_with(|| Alarm {
            tags: config.tags.clone(),
            config: config.clone(),
            arn,
            state: AlarmState::InsufficientData,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            data: json!({}),
            since: now,
            configured: now,
            evaluated: None,
        });
        // An alarm that is put again keeps its state until it is evaluated.
        alarm.config = config;
        alarm.configured = now;
        history.configured(alarm, kind, now)?;
        Ok(json!({}))
    }

    pub(super) fn describe(&self, input: &Describe) -> Result<Value, AwsError> {
        let most = input.max_records.unwrap_or(50);
        if !(1..=100).contains(&most) {
            return Err(AwsError::validation(format!(
                "MaxRecords is 1 to 100, not {most}"
            )));
        }
        let metric_alarms =
            input.alarm_types.is_empty() || input.alarm_types.iter().any(|t| t == "MetricAlarm");
        let prefix = input.alarm_name_prefix.as_deref().unwrap_or_default();
        let after = input.next_token.as_deref();
        let acts = |alarm: &Alarm| {
            let wanted = input.action_prefix.as_deref();
            wanted.is_none_or(|wanted| {
                let mut actions = alarm.config.all_actions();
                actions.any(|action| action.starts_with(wanted))
            })
        };
        let inner = self.lock();
        let mut found = inner.alarms.iter().filter(|(name, alarm)| {
            metric_alarms
                && (input.alarm_names.is_empty() || input.alarm_names.contains(name))
                && name.starts_with(prefix)
                && acts(alarm)
                && input.state_value.is_none_or(|state| state == alarm.state)
                && after.is_none_or(|after| name.as_str() > after)
        });
        let page: Vec<(&String, &Alarm)> = found.by_ref().take(most).collect();
        let described = page.iter().map(|(_, alarm)| alarm.described());
        let mut output = json!({
            "MetricAlarms": described.collect::<Result<Vec<_>, _>>()?,
            "CompositeAlarms": [],
        });
        if found.next().is_some()
            && let Some((last, _)) = page.last()
        {
            output["NextToken"] = last.as_str().into();
        }
        Ok(output)
    }

    pub(super) fn delete(&self, input: &Named) -> Result<Value, AwsError> {
        let now = self.context.clock.now();
        let mut inner = self.lock();
        let Inner {
            alarms, history, ..
        } = &mut *inner;
        let mut names = input.alarm_names.iter();
        if let Some(name) = names.find(|name| !alarms.contains_key(*name)) {
            return Err(unknown(name));
        }
        for name in &input.alarm_names {
            if let Some(alarm) = alarms.remove(name) {
                history.configured(&alarm, "Delete", now)?;
            }
        }
        Ok(json!({}))
    }

    pub(super) fn set_state(&self, input: SetState) -> Result<Value, AwsError> {
        let data = match input.state_reason_data.as_deref() {
            None => json!({}),
            Some(text) => serde_json::from_str(text)
                .map_err(|_| AwsError::new("InvalidFormat", "StateReasonData has to be JSON"))?,
        };
        let mut inner = self.lock();
        let Inner {
            alarms, history, ..
        } = &mut *inner;
        let alarm = alarms
            .get_mut(&input.alarm_name)
            .ok_or_else(|| unknown(&input.alarm_name))?;
        let outcome = Outcome {
            state: input.state_value,
            reason: input.state_reason,
            data,
        };
        let notice = self.change((alarm, history), outcome, self.context.clock.now());
        drop(inner);
        self.send(notice.as_slice());
        Ok(json!({}))
    }

    /// Those that watch just this metric, whatever they say of it unless that
    /// is asked for too.
    pub(super) fn describe_for_metric(&self, input: &DescribeForMetric) -> Result<Value, AwsError> {
        let mut dimensions = input.dimensions.clone();
        dimensions.sort();
        let wanted = |config: &Config| {
            let mut own = config.dimensions.clone();
            own.sort();
            config.namespace.as_ref() == Some(&input.namespace)
                && config.metric_name.as_ref() == Some(&input.metric_name)
                && own == dimensions
                && input
                    .statistic
                    .is_none_or(|one| config.statistic == Some(one))
                && input
                    .extended_statistic
                    .is_none_or(|one| config.extended_statistic == Some(one))
                && input.period.is_none_or(|one| config.period == Some(one))
                && (input.unit.is_none() || config.unit == input.unit)
        };
        let inner = self.lock();
        let found = inner.alarms.values().filter(|alarm| wanted(&alarm.config));
        let described = found.map(Alarm::described).collect::<Result<Vec<_>, _>>()?;
        Ok(json!({"MetricAlarms": described}))
    }

    /// Those that are not there are passed over.
    pub(super) fn enable(&self, input: &Named, enabled: bool) -> Result<Value, AwsError> {
        let now = self.context.clock.now();
        let mut inner = self.lock();
        let Inner {
            alarms, history, ..
        } = &mut *inner;
        for name in &input.alarm_names {
            if let Some(alarm) = alarms.get_mut(name) {
                alarm.config.actions_enabled = enabled;
                alarm.configured = now;
                history.configured(alarm, "Update", now)?;
            }
        }
        Ok(json!({}))
    }
}

fn unknown(name: &str) -> AwsError {
    AwsError {
        status: 404,
        ..AwsError::new("ResourceNotFound", format!("there is no alarm {name:?}"))
    }
}
