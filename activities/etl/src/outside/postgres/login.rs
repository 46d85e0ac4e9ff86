//! Whom a server is spoken to as: what the catalogue says, or a secret.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::outside::Answer;
use crate::outside::secrets::{self, Client, Credentials};

/// For how long a secret is not read again. It is no limit for a rotation: a
/// password that is refused is read again at once.
const FRESH: Duration = Duration::from_secs(300);

/// Whom a server is spoken to as.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    /// Said by the catalogue and the environment.
    Said(Credentials),
    /// Said by a secret, which may be rotated.
    Secret(Arc<Secret>),
}

/// A secret and what it said when.
#[derive(Debug)]
pub(crate) struct Secret {
    client: Client,
    arn: String,
    /// Held over a call, so that many loads ask once.
    known: Mutex<Option<(Instant, Credentials)>>,
}

impl Login {
    pub(crate) fn secret(client: Client, arn: String) -> Self {
        Self::Secret(Arc::new(Secret {
            client,
            arn,
            known: Mutex::default(),
        }))
    }

    pub(crate) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    pub(crate) async fn credentials(&self) -> Answer<Credentials> {
        match self {
            Self::Said(credentials) => Ok(credentials.clone()),
            Self::Secret(secret) => secret.unless(None).await,
        }
    }

    /// Others than these, which were refused, if there are any.
    pub(crate) async fn renewed(&self, refused: &Credentials) -> Answer<Option<Credentials>> {
        let Self::Secret(secret) = self else {
            return Ok(None);
        };
        let credentials = secret.unless(Some(refused)).await?;
        Ok(Some(credentials).filter(|new| new != refused))
    }
}

impl Secret {
    /// What is known, if it is fresh and not refused; else what the secret says now.
    async fn unless(&self, refused: Option<&Credentials>) -> Answer<Credentials> {
        let mut known = self.known.lock().await;
        if let Some((read, credentials)) = &*known
            && read.elapsed() < FRESH
            && Some(credentials) != refused
        {
            return Ok(credentials.clone());
        }
        let credentials = secrets::credentials(&self.client, &self.arn).await?;
        *known = Some((Instant::now(), credentials.clone()));
        Ok(credentials)
    }
}
