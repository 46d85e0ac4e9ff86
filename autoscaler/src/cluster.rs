//! The one file that speaks to Kubernetes.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use crate::decision::Action;
use crate::lease::{DURATION, LeaseState};
use crate::scale::{Cluster, ClusterError, Versioned};

/// The key of the record in its ConfigMap.
const RECORD: &str = "record";
/// Who we are in Events.
const COMPONENT: &str = "stepfleet-autoscaler";

/// One namespace of a cluster.
#[derive(Clone)]
pub(crate) struct Kubernetes {
    client: Client,
    namespace: String,
}

impl Kubernetes {
    /// By KUBECONFIG, or by the pod's service account.
    pub(crate) async fn connect(namespace: &str) -> Result<Self, ClusterError> {
        let mut config = (kube::Config::infer().await).map_err(|error| {
            ClusterError::Unavailable(format!("no KUBECONFIG and no service account: {error}"))
        })?;
        // A hung connection must not hold a cycle for longer than the Lease.
        config.connect_timeout = Some(Duration::from_secs(5));
        config.read_timeout = Some(Duration::from_secs(10));
        tracing::info!(url = %config.cluster_url, namespace, "the cluster");
        let client = Client::try_from(config).map_err(failed)?;
        Ok(Self::new(client, namespace))
    }

    fn new(client: Client, namespace: &str) -> Self {
        let namespace = namespace.to_owned();
        Self { client, namespace }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn meta(&self, name: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.clone()),
            ..ObjectMeta::default()
        }
    }
}

impl Cluster for Kubernetes {
    async fn scale(&self, name: &str) -> Result<Versioned<u32>, ClusterError> {
        let scale = (self.api::<Deployment>().get_scale(name).await).map_err(failed)?;
        let replicas = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        Ok(Versioned {
            value: u32::try_from(replicas).unwrap_or(0),
            version: version(scale.metadata)?,
        })
    }

    async fn set_scale(&self, name: &str, scale: Versioned<u32>) -> Result<(), ClusterError> {
        let body = k8s_openapi::api::autoscaling::v1::Scale {
            metadata: ObjectMeta {
                resource_version: Some(scale.version),
                ..self.meta(name)
            },
            spec: Some(k8s_openapi::api::autoscaling::v1::ScaleSpec {
                replicas: Some(i32::try_from(scale.value).unwrap_or(i32::MAX)),
            }),
            status: None,
        };
        (self.api::<Deployment>())
            .replace_scale(name, &PostParams::default(), &body)
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn record(&self, name: &str) -> Result<Option<Versioned<Option<String>>>, ClusterError> {
        let found = self.api::<ConfigMap>().get(&record_name(name)).await;
        let Some(mut map) = existing(found)? else {
            return Ok(None);
        };
        // The chart makes it without one, since `create` cannot be allowed by name.
        let value = (map.data.as_mut()).and_then(|data| data.remove(RECORD));
        let version = version(map.metadata)?;
        Ok(Some(Versioned { value, version }))
    }

    async fn put_record(
        &self,
        name: &str,
        text: String,
        over: Option<String>,
    ) -> Result<String, ClusterError> {
        let (api, name) = (self.api::<ConfigMap>(), record_name(name));
        let params = PostParams::default();
        let data = Some([(RECORD.to_owned(), text)].into());
        let written = match over {
            Some(over) => {
                let map = api.get(&name).await.map_err(failed)?;
                let metadata = unchanged(map.metadata, &over)?;
                let map = ConfigMap {
                    metadata,
                    data,
                    ..map
                };
                api.replace(&name, &params, &map).await
            }
            None => {
                let map = ConfigMap {
                    metadata: self.meta(&name),
                    data,
                    ..ConfigMap::default()
                };
                api.create(&params, &map).await
            }
        };
        version(written.map_err(failed)?.metadata)
    }

    async fn autoscaled(&self) -> Result<Vec<String>, ClusterError> {
        let api = self.api::<HorizontalPodAutoscaler>();
        let mut params = ListParams::default().limit(500);
        let mut names = Vec::new();
        loop {
            let page = match api.list(&params).await.map_err(failed) {
                // A cluster without this API has no such object.
                Err(ClusterError::Missing(_)) => return Ok(names),
                page => page?,
            };
            names.extend(page.items.into_iter().filter_map(|hpa| {
                let target = hpa.spec?.scale_target_ref;
                (target.kind == "Deployment").then_some(target.name)
            }));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(names),
            }
        }
    }

    async fn event(&self, name: &str, action: &Action, now: Timestamp) -> Result<(), ClusterError> {
        let event = Event {
            metadata: ObjectMeta {
                generate_name: Some(format!("{name}-")),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: Some("Deployment".to_owned()),
                name: Some(name.to_owned()),
                namespace: Some(self.namespace.clone()),
                ..ObjectReference::default()
            },
            action: Some(action.kind().to_owned()),
            reason: Some(action.code().to_owned()),
            message: Some(message(action)),
            type_: Some("Normal".to_owned()),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource {
                component: Some(COMPONENT.to_owned()),
                host: None,
            }),
            reporting_component: Some(COMPONENT.to_owned()),
            ..Event::default()
        };
        let (api, params) = (self.api::<Event>(), PostParams::default());
        api.create(&params, &event).await.map(drop).map_err(failed)
    }

    async fn lease(&self, name: &str) -> Result<Option<Versioned<LeaseState>>, ClusterError> {
        let found = self.api::<Lease>().get(name).await;
        let Some(lease) = existing(found)? else {
            return Ok(None);
        };
        let spec = lease.spec.unwrap_or_default();
        let seconds = spec
            .lease_duration_seconds
            .and_then(|s| u64::try_from(s).ok());
        let value = LeaseState {
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            renewed: spec.renew_time.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            duration: seconds.map_or(DURATION, Duration::from_secs),
            transitions: spec.lease_transitions.unwrap_or(0),
        };
        let version = version(lease.metadata)?;
        Ok(Some(Versioned { value, version }))
    }

    async fn put_lease(
        &self,
        name: &str,
        state: LeaseState,
        over: Option<String>,
    ) -> Result<(), ClusterError> {
        let (api, params) = (self.api::<Lease>(), PostParams::default());
        let metadata = match &over {
            Some(over) => unchanged(api.get(name).await.map_err(failed)?.metadata, over)?,
            None => self.meta(name),
        };
        let lease = Lease {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(state.holder.unwrap_or_default()),
                lease_duration_seconds: i32::try_from(state.duration.as_secs()).ok(),
                lease_transitions: Some(state.transitions),
                renew_time: Some(MicroTime(state.renewed)),
                ..LeaseSpec::default()
            }),
        };
        let written = if over.is_some() {
            api.replace(name, &params, &lease).await
        } else {
            api.create(&params, &lease).await
        };
        written.map(drop).map_err(failed)
    }
}

fn record_name(deployment: &str) -> String {
    format!("{deployment}-scaling")
}

fn message(action: &Action) -> String {
    match action {
        Action::Scale { from, to, why } => format!("{from} -> {to} replicas: {why}"),
        Action::Hold(hold) => hold.to_string(),
    }
}

/// What was found, if it exists: by the code, since reasons differ between servers.
fn existing<T>(found: kube::Result<T>) -> Result<Option<T>, ClusterError> {
    match found.map_err(failed) {
        Ok(found) => Ok(Some(found)),
        Err(ClusterError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The metadata to write an object back with: labels and annotations are others',
/// and stay. Refused where somebody has written since `over` was read.
fn unchanged(mut meta: ObjectMeta, over: &str) -> Result<ObjectMeta, ClusterError> {
    if meta.resource_version.as_deref() != Some(over) {
        return Err(ClusterError::Conflict);
    }
    meta.managed_fields = None;
    Ok(meta)
}

/// Without a version there is no precondition, and without one we never write.
fn version(meta: ObjectMeta) -> Result<String, ClusterError> {
    (meta.resource_version)
        .ok_or_else(|| ClusterError::Unavailable("an object came without resourceVersion".into()))
}

fn failed(error: kube::Error) -> ClusterError {
    match error {
        kube::Error::Api(status) => match status.code {
            404 => ClusterError::Missing(status.message),
            409 => ClusterError::Conflict,
            401 | 403 => ClusterError::Denied(status.message),
            _ => ClusterError::Unavailable(status.message),
        },
        other => ClusterError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
