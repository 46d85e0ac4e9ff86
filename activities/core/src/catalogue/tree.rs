//! The document as a tree in which every node knows its line, column and path.
//!
//! The YAML reader stops at its first fault. So it reads only this tree, which
//! takes any document; each section is then read from its part of the tree.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

/// A document of more values is nobody's catalogue and nobody's config, nor is one
/// that is nested deeper: each value costs its place and its path.
const MOST_NODES: usize = 20_000;
const DEEPEST: usize = 64;
/// A path is for people: one that grows longer is not written out below.
const LONGEST_PATH: usize = 250;

/// A place in one of the files; line and column are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// Which of the files, in the order in which they were given.
    pub(crate) file: usize,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Mark {
    pub(crate) fn new(file: usize, location: Location) -> Self {
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            file,
            line: number(location.line()),
            column: number(location.column()),
        }
    }
}

/// A node, where it stands and how it is reached.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Like `activities.s3-load.alarms.out.steps[1]`.
    pub(crate) path: String,
    /// A scalar's own place; of a list or map in a map, its key's.
    pub(crate) at: Mark,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Nulls, truth values, numbers and texts.
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Mark,
    pub(crate) value: Node,
}

impl Node {
    /// Reads the document of one of the files.
    pub(crate) fn parse(text: &str, file: usize) -> Result<Self, serde_saphyr::Error> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {max_depth: DEEPEST, max_nodes: MOST_NODES},
            alias_limits: serde_saphyr::alias_limits! {max_total_replayed_events: MOST_NODES},
        };
        let root: Spanned<Bare> = serde_saphyr::from_str_with_options(text, options)?;
        Ok(Builder(file).build(root, String::new(), None))
    }

    /// A value that comes from no file: it has paths and no places. None where
    /// it is too large or too deep to be anybody's.
    pub(crate) fn of_value(value: &Value) -> Option<Self> {
        let mut left = MOST_NODES;
        place_nowhere(
            value,
            String::new(),
            &mut Room {
                left: &mut left,
                depth: DEEPEST,
            },
        )
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The entries, if this is a map.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Scalar(_) | Kind::List(_) => &[],
        }
    }

    /// The node at a relative path like `out.steps[1].to`, or the nearest one
    /// above it, with what is left of the path.
    pub(crate) fn locate<'a>(&self, relative: &'a str) -> (&Self, &'a str) {
        let mut node = self;
        let mut rest = relative;
        while !rest.is_empty() {
            let Some((next, left)) = node.step(rest) else {
                break;
            };
            node = next;
            rest = left;
        }
        (node, rest)
    }

    fn step<'a>(&self, path: &'a str) -> Option<(&Self, &'a str)> {
        if let Some(indexed) = path.strip_prefix('[') {
            let (index, left) = indexed.split_once(']')?;
            let Kind::List(items) = &self.kind else {
                return None;
            };
            let item = items.get(index.parse::<usize>().ok()?)?;
            return Some((item, left.strip_prefix('.').unwrap_or(left)));
        }
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let left = &path[end..];
        Some((
            self.get(&path[..end])?,
            left.strip_prefix('.').unwrap_or(left),
        ))
    }

    /// This node over `below`: maps are merged key by key, all else is replaced.
    /// Every node keeps its place and path, so a fault points to where it was said.
    pub(crate) fn over(&self, below: &Self) -> Self {
        let (Kind::Map(mine), Kind::Map(theirs)) = (&self.kind, &below.kind) else {
            return self.clone();
        };
        let mut entries: Vec<Entry> = mine
            .iter()
            .map(|entry| Entry {
                value: match below.get(&entry.key) {
                    Some(under) => entry.value.over(under),
                    None => entry.value.clone(),
                },
                ..entry.clone()
            })
            .collect();
        let unsaid = theirs.iter().filter(|entry| self.get(&entry.key).is_none());
        entries.extend(unsaid.cloned());
        Self {
            kind: Kind::Map(entries),
            ..self.clone()
        }
    }

    /// This document with another laid over it: maps are merged to any depth,
    /// everything else is replaced. Each part keeps the place where it is written.
    pub(crate) fn overlaid(mut self, top: Self) -> Self {
        let Kind::Map(over) = top.kind else {
            return top;
        };
        let Kind::Map(entries) = &mut self.kind else {
            return Self {
                kind: Kind::Map(over),
                ..top
            };
        };
        for mut entry in over {
            let below = entries.iter().position(|below| below.key == entry.key);
            let Some(at) = below else {
                entries.push(entry);
                continue;
            };
            let below = entries.swap_remove(at);
            let both = matches!(
                (&below.value.kind, &entry.value.kind),
                (Kind::Map(_), Kind::Map(_))
            );
            if both {
                entry.key_at = below.key_at;
            }
            entry.value = below.value.overlaid(entry.value);
            entries.push(entry);
            let last = entries.len() - 1;
            entries.swap(at, last);
        }
        self
    }

    /// The same map with these keys only.
    pub(crate) fn only(&self, keys: &[&str]) -> Self {
        let entries = self.entries().iter();
        let kept = entries.filter(|entry| keys.contains(&entry.key.as_str()));
        Self {
            path: self.path.clone(),
            at: self.at,
            kind: Kind::Map(kept.cloned().collect()),
        }
    }

    /// Whether this is this very text.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(&self.kind, Kind::Scalar(Value::String(own)) if own == text)
    }

    /// What stands here, for a message.
    pub(crate) fn found(&self) -> String {
        match &self.kind {
            Kind::Scalar(Value::Null) => "nothing".to_owned(),
            Kind::Scalar(Value::String(text)) => format!("`{text}`"),
            Kind::Scalar(value) => format!("`{value}`"),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }
}

/// `parent.key`, or `key` at the top.
pub(crate) fn join(parent: &str, key: &str) -> String {
    if parent.len() + key.len() > LONGEST_PATH {
        let parent = parent.strip_suffix(CUT).unwrap_or(parent);
        return format!("{}{CUT}", cut(parent));
    }
    if parent.is_empty() || key.is_empty() || key.starts_with('[') {
        format!("{parent}{key}")
    } else {
        format!("{parent}.{key}")
    }
}

/// Stands for what is left out.
const CUT: &str = "…";

/// As much of a path as people read.
fn cut(path: &str) -> &str {
    &path[..path.floor_char_boundary(LONGEST_PATH)]
}

/// Makes the nodes of one of the files.
#[derive(Clone, Copy)]
struct Builder(usize);

impl Builder {
    fn build(self, bare: Spanned<Bare>, path: String, key_at: Option<Mark>) -> Node {
        let own = Mark::new(self.0, bare.referenced);
        let (kind, at) = match bare.value {
            Bare::Scalar(Value::Null) => (Kind::Scalar(Value::Null), key_at.unwrap_or(own)),
            Bare::Scalar(value) => (Kind::Scalar(value), own),
            Bare::List(items) => {
                let items = items.into_iter().enumerate();
                let items = items.map(|(index, item)| {
                    self.build(item, join(&path, &format!("[{index}]")), None)
                });
                (Kind::List(items.collect()), key_at.unwrap_or(own))
            }
            Bare::Map(entries) => {
                let entries = entries.into_iter().map(|(key, value)| {
                    let key_at = Mark::new(self.0, key.referenced);
                    Entry {
                        value: self.build(value, join(&path, &key.value), Some(key_at)),
                        key: key.value,
                        key_at,
                    }
                });
                (Kind::Map(entries.collect()), key_at.unwrap_or(own))
            }
        };
        Node { path, at, kind }
    }
}

/// How many more nodes, and how deep.
struct Room<'a> {
    left: &'a mut usize,
    depth: usize,
}

fn place_nowhere(value: &Value, path: String, room: &mut Room<'_>) -> Option<Node> {
    *room.left = room.left.checked_sub(1)?;
    let mut below = Room {
        depth: room.depth.checked_sub(1)?,
        left: room.left,
    };
    let at = Mark::default();
    let kind = match value {
        Value::Array(items) => {
            let items = items.iter().enumerate().map(|(index, item)| {
                place_nowhere(item, join(&path, &format!("[{index}]")), &mut below)
            });
            Kind::List(items.collect::<Option<_>>()?)
        }
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                Some(Entry {
                    key: key.clone(),
                    key_at: at,
                    value: place_nowhere(value, join(&path, key), &mut below)?,
                })
            });
            Kind::Map(entries.collect::<Option<_>>()?)
        }
        scalar => Kind::Scalar(scalar.clone()),
    };
    Some(Node { path, at, kind })
}

/// Any YAML value, as the YAML reader gives it.
enum Bare {
    Scalar(Value),
    List(Vec<Spanned<Bare>>),
    Map(Vec<(Spanned<String>, Spanned<Bare>)>),
}

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BareVisitor)
    }
}

struct BareVisitor;

impl<'de> Visitor<'de> for BareVisitor {
    type Value = Bare;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bare, E> {
        Ok(Bare::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bare, E> {
        Ok(Bare::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bare, E> {
        Ok(Bare::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Bare, E> {
        Ok(Bare::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Bare, E> {
        Ok(Bare::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Bare, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Bare::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Bare, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key()? {
            entries.push((key, access.next_value()?));
        }
        Ok(Bare::Map(entries))
    }
}
