//! The kinds of objects that this cluster has.

/// One kind of object, and where the API serves it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    /// Empty for the core group.
    pub(crate) group: &'static str,
    /// Like `v1`.
    pub(crate) version: &'static str,
    /// The name in the path, like `deployments`.
    pub(crate) plural: &'static str,
    /// Like `Deployment`.
    pub(crate) kind: &'static str,
    /// Whether it has a `status` of its own and counts generations of its spec.
    pub(crate) has_status: bool,
    /// Whether it has the `scale` subresource.
    pub(crate) has_scale: bool,
}

const fn plain(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
) -> Resource {
    Resource {
        group,
        version,
        plural,
        kind,
        has_status: false,
        has_scale: false,
    }
}

pub(crate) static DEPLOYMENTS: Resource = Resource {
    has_status: true,
    has_scale: true,
    ..plain("apps", "v1", "deployments", "Deployment")
};
pub(crate) static PODS: Resource = Resource {
    has_status: true,
    ..plain("", "v1", "pods", "Pod")
};
static CONFIG_MAPS: Resource = plain("", "v1", "configmaps", "ConfigMap");
static CORE_EVENTS: Resource = plain("", "v1", "events", "Event");
static EVENTS: Resource = plain("events.k8s.io", "v1", "events", "Event");
static LEASES: Resource = plain("coordination.k8s.io", "v1", "leases", "Lease");
static AUTOSCALERS: Resource = Resource {
    has_status: true,
    ..plain(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
    )
};

/// All of them. Events of the two groups are kept apart: an event is listed
/// where it was made.
pub(crate) static RESOURCES: [&Resource; 7] = [
    &CONFIG_MAPS,
    &CORE_EVENTS,
    &PODS,
    &DEPLOYMENTS,
    &AUTOSCALERS,
    &LEASES,
    &EVENTS,
];

// === impl Resource ===

impl Resource {
    /// `v1` or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods` or `deployments.apps`, as messages name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The resource that a path names.
    pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        RESOURCES.into_iter().find(|resource| {
            resource.group == group && resource.version == version && resource.plural == plural
        })
    }
}

/// Where one object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(resource: &'static Resource, namespace: &str, name: &str) -> Self {
        Self {
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}
