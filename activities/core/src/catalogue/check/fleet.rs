//! The fleet itself: version, name, account, signals, warehouses.

use std::time::Duration;

use super::values::{ANY, is_cluster_name, show};
use super::{Checker, Sink};
use crate::catalogue::ReadOptions;
use crate::catalogue::delivery::Delivery;
use crate::catalogue::from_tree::from_tree;
use crate::catalogue::raw::{RawAws, RawDelivery, RawSignals, RawWarehouse};
use crate::catalogue::tree::Node;
use crate::catalogue::types::{Aws, Signals, Warehouse, WarehouseTarget};

/// A day: the longest that periods times their number may be.
pub(super) const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
/// `<fleet>-signals-dead` is a queue's name: 80 characters at most.
const LONGEST_FLEET: usize = 63;

/// The format's version: 1.
pub(crate) fn version(node: &Node, sink: &mut Sink<'_>) -> Option<()> {
    match from_tree::<u32>(node) {
        Ok(1) => Some(()),
        _ => {
            let message = format!("found {}; allowed is 1", node.found());
            sink.say(node.at, node.path.clone(), message);
            None
        }
    }
}

/// The fleet's name. It is in the Lease's name, so Kubernetes must take it.
pub(crate) fn fleet(node: &Node, sink: &mut Sink<'_>) -> Option<String> {
    let name: String = from_tree(node)
        .map_err(|fault| sink.mistyped(fault, node))
        .ok()?;
    if is_cluster_name(&name) {
        return Some(name);
    }
    sink.say(
        node.at,
        node.path.clone(),
        format!(
            "found `{name}`; allowed are lower-case letters, digits and inner hyphens, at most {LONGEST_FLEET}"
        ),
    );
    None
}

/// Account and region.
pub(crate) fn aws(node: &Node, sink: &mut Sink<'_>) -> Option<Aws> {
    let RawAws { account, region } = from_tree(node)
        .map_err(|fault| sink.mistyped(fault, node))
        .ok()?;
    let mut check = Checker { node, sink };
    let mut fine = true;
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        check.fault(
            "account",
            format!("found `{account}`; allowed are 12 digits, in quotes"),
        );
        fine = false;
    }
    if !is_region(&region) {
        check.fault(
            "region",
            format!("found `{region}`; allowed is a region's name like `eu-west-1`"),
        );
        fine = false;
    }
    fine.then_some(Aws { account, region })
}

/// `<area>-<direction>-<number>`, with more parts in `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [words @ .., number] = parts.as_slice() else {
        return false;
    };
    let word = |part: &&str| part.len() >= 2 && part.bytes().all(|b| b.is_ascii_lowercase());
    words.len() >= 2
        && words.iter().all(word)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// How signals are taken; all of it has defaults.
pub(crate) fn signals(
    node: Option<&Node>,
    options: &ReadOptions,
    sink: &mut Sink<'_>,
) -> Option<Signals> {
    let default = Signals {
        max_age: 15 * MINUTE,
        period: MINUTE,
        delivery: Delivery::Sns,
    };
    let Some(node) = node else {
        return Some(default);
    };
    let raw: Option<RawSignals> = from_tree(node)
        .map_err(|fault| sink.mistyped(fault, node))
        .ok()?;
    let RawSignals {
        max_age,
        period,
        delivery,
    } = raw.unwrap_or_default();
    let delivery = match delivery {
        Some(RawDelivery::Sns) | None => default.delivery,
        Some(RawDelivery::Raw) => Delivery::Raw,
        Some(RawDelivery::EventBridge) => Delivery::EventBridge,
    };
    let mut check = Checker { node, sink };
    let age = check.duration("max_age", max_age.as_ref(), default.max_age, ANY);
    let period = check.duration("period", period.as_ref(), default.period, ANY);
    let period = period.filter(|period| check.period(*period, options));
    let (max_age, period) = (age?, period?);
    if max_age < period {
        check.fault(
            "max_age",
            format!(
                "found {}; allowed is the period, {}, or more: a signal is older than that when it comes",
                show(max_age),
                show(period)
            ),
        );
        return None;
    }
    Some(Signals {
        max_age,
        period,
        delivery,
    })
}

impl Checker<'_, '_> {
    fn period(&mut self, period: Duration, options: &ReadOptions) -> bool {
        let whole = period.subsec_nanos() == 0;
        let seconds = period.as_secs();
        let minutes = whole && seconds > 0 && seconds.is_multiple_of(60) && period <= DAY;
        let short = whole && matches!(seconds, 10 | 30);
        if minutes || (short && options.allow_short_periods) {
            return true;
        }
        let hint = if short {
            ": AWS/States has no shorter one; --allow-short-periods takes it, for a service that has"
        } else if options.allow_short_periods {
            ", or `10s` or `30s`"
        } else {
            ""
        };
        self.fault(
            "period",
            format!(
                "found {}; allowed is a multiple of `1m`, up to `1day`{hint}",
                show(period)
            ),
        );
        false
    }
}

/// A named connection. A secret that was written out is not repeated.
pub(crate) fn warehouse(node: &Node, sink: &mut Sink<'_>) -> Option<Warehouse> {
    let raw: RawWarehouse = from_tree(node)
        .map_err(|fault| sink.mistyped(fault, node))
        .ok()?;
    let mut check = Checker { node, sink };
    if let Some(secret) = &raw.secret
        && !is_arn(secret, "secretsmanager", "secret:")
    {
        check
            .fault(
                "secret",
                "found a text that is not the ARN of a secret; allowed is `arn:aws:secretsmanager:<region>:<account>:secret:<name>`: secrets are named here, never written",
            )
            .source = None;
        return None;
    }
    if let Some(role) = &raw.copy_role
        && !is_arn(role, "iam", "role/")
    {
        check.fault(
            "copy_role",
            format!(
                "found `{role}`; allowed is the ARN of a role, `arn:aws:iam::<account>:role/<name>`"
            ),
        );
        return None;
    }
    if raw.database.is_empty() {
        check.fault("database", "found ``; allowed is the name of a database");
        return None;
    }
    let target = match raw.postgres.clone() {
        Some(server) => check.postgres(&raw, &server)?,
        None if !check.redshift(&raw) => return None,
        None => check.target(raw.workgroup, raw.cluster, raw.user)?,
    };
    Some(Warehouse {
        target,
        database: raw.database,
        secret: raw.secret,
        copy_role: raw.copy_role,
    })
}

impl Checker<'_, '_> {
    fn target(
        &mut self,
        workgroup: Option<String>,
        cluster: Option<String>,
        user: Option<String>,
    ) -> Option<WarehouseTarget> {
        match (workgroup, cluster) {
            (Some(_), None) if user.is_some() => {
                self.fault(
                    "user",
                    "found a `user` beside a `workgroup`; it is allowed beside a `cluster` only",
                );
                None
            }
            (Some(name), None) if !name.is_empty() => Some(WarehouseTarget::Workgroup(name)),
            (None, Some(identifier)) if !identifier.is_empty() => {
                Some(WarehouseTarget::Cluster { identifier, user })
            }
            (Some(_), Some(_)) => {
                self.fault(
                    "cluster",
                    "found both `workgroup` and `cluster`; allowed is one of them",
                );
                None
            }
            _ => {
                self.fault(
                    "",
                    "found neither `workgroup` nor `cluster` nor `postgres`; one of them must be named",
                );
                None
            }
        }
    }
}

/// Whether it is the ARN of a service's resource.
fn is_arn(text: &str, service: &str, resource: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", partition, of, _, _, rest]
        if partition.starts_with("aws") && *of == service && rest.starts_with(resource) && rest.len() > resource.len())
}
