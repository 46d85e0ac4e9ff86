//! The functions over arrays.

use serde_json::Value;

use crate::sfn::digits;

/// The most items that a range may have.
const MOST: usize = 1_000;

pub(super) fn item(all: &[Value], at: i64) -> Result<Value, String> {
    let item = usize::try_from(at).ok().and_then(|at| all.get(at));
    item.cloned()
        .ok_or_else(|| format!("there is no item {at} in an array of {}", all.len()))
}

pub(super) fn parts(all: &[Value], size: i64) -> Result<Value, String> {
    let size = usize::try_from(size).ok().filter(|size| *size > 0);
    let size = size.ok_or("the size of a part must be 1 or more")?;
    Ok(all.chunks(size).collect())
}

/// From the first to the last, which belongs to it.
pub(super) fn range((first, last): (i64, i64), step: i64) -> Result<Value, String> {
    if step == 0 {
        return Err("the step must not be 0".to_owned());
    }
    let steps = std::iter::successors(Some(first), |at| at.checked_add(step));
    let within = |at: &i64| if step > 0 { *at <= last } else { *at >= last };
    let range: Vec<i64> = steps.take_while(within).take(MOST + 1).collect();
    if range.len() > MOST {
        return Err(format!("the range has more than {MOST} items"));
    }
    Ok(range.into())
}

pub(super) fn contains(all: &[Value], one: &Value) -> bool {
    all.iter().any(|other| digits::same(other, one))
}

/// The first of each.
pub(super) fn unique(all: &[Value]) -> Value {
    let mut kept: Vec<Value> = Vec::new();
    for one in all {
        if !contains(&kept, one) {
            kept.push(one.clone());
        }
    }
    kept.into()
}
